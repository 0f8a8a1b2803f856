/** The table of allowed imports, and the imports of the sources that violate it. */
import { isBuiltin } from 'node:module';
import path from 'node:path';
import { importsOf } from './imports.ts';

interface Rule {
  /** Areas of ours, beside itself. */
  readonly ours: readonly string[];
  /** From node_modules; with a trailing `*` all that begin so. */
  readonly packages: readonly string[];
  readonly builtins: boolean;
}

const all = [
  'contract',
  'processes',
  'activities',
  'agents',
  'worktrees',
  'changes',
  'frames',
  'store',
  'client',
  'services',
  'maintenance',
];
/** An area is a top-level folder, or a file at the root. No area imports backend, cli or worker.ts. */
export const RULES: Readonly<Record<string, Rule>> = {
  contract: { ours: [], packages: [], builtins: false },
  /** Who a process is, and what of ours can be started as one. */
  processes: { ours: ['contract'], packages: ['zod'], builtins: true },
  workflows: { ours: ['contract'], packages: ['@temporalio/workflow', '@temporalio/common'], builtins: false },
  activities: {
    ours: ['contract', 'processes', 'agents', 'worktrees', 'changes', 'frames', 'store'],
    packages: ['@temporalio/activity', '@temporalio/client', '@temporalio/common', '@temporalio/proto', 'pino'],
    builtins: true,
  },
  agents: {
    ours: ['contract', 'processes'],
    packages: ['@agentclientprotocol/sdk', '@ai-sdk/*', '@xterm/headless', 'jsonc-parser', 'node-pty', 'zod'],
    builtins: true,
  },
  worktrees: { ours: ['contract', 'processes'], packages: ['zod'], builtins: true },
  /** Changes that land in a user's checkout. */
  changes: { ours: ['contract', 'worktrees'], packages: ['zod'], builtins: true },
  store: { ours: ['contract'], packages: ['postgres'], builtins: true },
  frames: { ours: ['contract', 'store'], packages: ['zod'], builtins: true },
  client: {
    ours: ['contract', 'store', 'frames'],
    packages: ['@temporalio/client', '@temporalio/common', 'zod'],
    builtins: true,
  },
  backend: {
    ours: ['contract', 'processes', 'client', 'services'],
    packages: ['fastify', '@fastify/*', 'fastify-type-provider-zod', 'pino', 'prom-client', 'zod'],
    builtins: true,
  },
  /** What needs a look at everything: which agents there are, what is wrong, what was left. */
  maintenance: {
    ours: ['contract', 'processes', 'agents', 'worktrees', 'store', 'client', 'services'],
    packages: ['@temporalio/client', 'zod'],
    builtins: true,
  },
  cli: {
    ours: ['contract', 'processes', 'client', 'services', 'maintenance'],
    packages: ['commander', 'string-width'],
    builtins: true,
  },
  services: {
    ours: ['contract', 'processes'],
    packages: [
      '@temporalio/client',
      '@temporalio/envconfig',
      '@temporalio/proto',
      '@temporalio/worker',
      'pino',
      'postgres',
      'zod',
    ],
    builtins: true,
  },
  /** Runs the steps; worker.ts chooses what they work with. */
  worker: { ours: all, packages: ['@temporalio/*', 'pino'], builtins: true },
  'worker.ts': { ours: [...all, 'worker'], packages: [], builtins: false },
};

/** The area of a file; for a file at the root its name. */
export function areaOf(file: string): string {
  return file.split('/', 1)[0] ?? file;
}

/** Each import that the table does not allow, as `from → to: why`. Paths are relative to the root, with slashes. */
export function violations(sources: ReadonlyMap<string, string>): string[] {
  return [...sources].flatMap(([file, source]) => {
    const area = areaOf(file);
    const rule = Object.hasOwn(RULES, area) ? RULES[area] : undefined;
    if (!rule) return [`${file}: ${area} has no rule; say in the table what it may import`];
    return importsOf(source).flatMap(({ specifier, typeOnly }) => {
      if (specifier === undefined) return [`${file} → ?: its import cannot be determined`];
      const why = refusal(file, specifier, { area, rule, sources });
      if (why === undefined) return [];
      const to = specifier.startsWith('.') ? targetOf(file, specifier) : specifier;
      return [`${file} → ${to}${typeOnly ? ' (type)' : ''}: ${why}`];
    });
  });
}

interface Asked {
  readonly area: string;
  readonly rule: Rule;
  readonly sources: ReadonlyMap<string, string>;
}

function refusal(file: string, specifier: string, { area, rule, sources }: Asked): string | undefined {
  if (specifier.startsWith('.')) {
    const target = targetOf(file, specifier);
    if (!sources.has(target)) return 'there is no such source; relative imports name their .ts file';
    const to = areaOf(target);
    return to === area || rule.ours.includes(to) ? undefined : `${area} may not import ${to}`;
  }
  if (isBuiltin(specifier)) {
    if (!specifier.startsWith('node:')) return 'built-in modules are imported as node:…';
    return rule.builtins ? undefined : `${area} may not import Node's own modules`;
  }
  const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
  const allowed = rule.packages.some((one) => (one.endsWith('*') ? name.startsWith(one.slice(0, -1)) : name === one));
  return allowed ? undefined : `${area} may not import the package ${name}`;
}

function targetOf(file: string, specifier: string): string {
  return path.posix.join(path.posix.dirname(file), specifier);
}
