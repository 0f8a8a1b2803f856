/** `temporal-compose.yml` as Compose reads it: merge keys resolved, variables filled in. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { z } from 'zod';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));
export const COMPOSE_FILE = fileURLToPath(new URL('../../temporal-compose.yml', import.meta.url));

/** The required variables of .env, with values that are easy to distinguish. */
export const VARIABLES: Readonly<Record<string, string>> = {
  LONGHAUL_PROJECTS: '/srv/projects',
  LONGHAUL_TOKEN_FILE: '/srv/longhaul-token',
  LONGHAUL_DB_PASSWORD: 'longhaulSecret',
  TEMPORAL_DB_PASSWORD: 'temporalSecret',
  POSTGRES_PASSWORD: 'postgresSecret',
};

const service = z.looseObject({
  image: z.string(),
  build: z
    .object({ context: z.string(), dockerfile: z.string(), args: z.record(z.string(), z.string()).optional() })
    .optional(),
  command: z.array(z.string()).optional(),
  depends_on: z.record(z.string(), z.object({ condition: z.string() })).optional(),
  // Null: passed on from where Compose runs.
  environment: z.record(z.string(), z.string().nullable()).default({}),
  volumes: z.array(z.string()).default([]),
  ports: z.array(z.string()).default([]),
  restart: z.string().optional(),
  healthcheck: z.looseObject({ test: z.array(z.string()) }).optional(),
});
const composeFile = z.looseObject({
  services: z.record(z.string(), service),
  volumes: z.record(z.string(), z.null()),
});

export type Service = z.infer<typeof service>;
export type ComposeFile = z.infer<typeof composeFile>;

export const readText = (): Promise<string> => readFile(COMPOSE_FILE, 'utf8');

/** Not yet checked against anything. */
export async function readRaw(variables = VARIABLES): Promise<unknown> {
  return filled(parse(await readText(), { merge: true }), variables);
}

export async function readCompose(variables = VARIABLES): Promise<ComposeFile> {
  return composeFile.parse(await readRaw(variables));
}

/** After parsing, as Compose does it: a value cannot change the file's shape. */
function filled(value: unknown, variables: Readonly<Record<string, string>>): unknown {
  if (typeof value === 'string') return interpolate(value, variables);
  if (Array.isArray(value)) return value.map((item) => filled(item, variables));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, filled(item, variables)]));
}

function interpolate(text: string, variables: Readonly<Record<string, string>>): string {
  return text.replaceAll(
    /\$\$|\$\{(\w+)(?::([-?])([^}]*))?\}/g,
    (match, name?: string, sign?: string, rest?: string) => {
      if (name === undefined) return '$';
      const value = variables[name];
      if (value !== undefined && value !== '') return value;
      if (sign === '-') return rest ?? '';
      throw new Error(`${match}: ${sign === '?' ? rest : 'it has no value and no default'}`);
    },
  );
}
