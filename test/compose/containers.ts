/**
 * Backend and worker of the compose file as plain processes: its very commands, variables and health checks. Only what
 * a container gives is put in place: names of other services, its folders, compiled programs (the source runs instead).
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, closeSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { builtModule } from '../lab/built.ts';
import { readCompose, ROOT, type Service, VARIABLES } from './compose-file.ts';

export interface Place {
  /** Of the test; the containers' folders are below it. */
  readonly dir: string;
  /** Where the projects are, here and there. */
  readonly projects: string;
  readonly postgresPort: number;
  readonly temporalPort: number;
  readonly backendPort: number;
  readonly cacheDir: string;
}

/** The content of the token file that the user of the containers has written. */
export const TOKEN = 'a'.repeat(64);
const tokenFileOf = ({ dir }: Place): string => path.join(dir, 'token');

export class Container {
  readonly #service: Service;
  readonly #place: Place;
  readonly #logFile: string;
  #child: ChildProcess | undefined;
  #ended = true;

  private constructor(name: string, service: Service, place: Place) {
    this.#service = service;
    this.#place = place;
    this.#logFile = path.join(place.dir, `${name}.log`);
  }

  static async of(name: 'backend' | 'worker', place: Place): Promise<Container> {
    const compose = await readCompose({ ...VARIABLES, LONGHAUL_PROJECTS: place.projects });
    const service = compose.services[name];
    if (!service) throw new Error(`no service ${name}`);
    for (const folder of ['var', 'home']) await mkdir(path.join(place.dir, folder), { recursive: true });
    await writeFile(tokenFileOf(place), `${TOKEN}\n`);
    return new Container(name, service, place);
  }

  /**
   * As Compose starts it, and again when it ends by itself, as the file's restart policy says; does not wait for
   * anything. `env` is added.
   */
  start(env: NodeJS.ProcessEnv = {}): void {
    this.#ended = false;
    this.#spawn(env);
    this.#child?.once('exit', () => {
      if (!this.#ended && this.#service.restart === 'unless-stopped') this.start(env);
    });
  }

  /** Runs it to its end and returns its exit code, or the signal that ended it. */
  async runOnce(env: NodeJS.ProcessEnv): Promise<number | NodeJS.Signals | null> {
    this.#spawn(env);
    return this.#exited();
  }

  /** Signals it, if it runs, and waits for its end. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    this.#ended = true;
    this.#child?.kill(signal);
    await this.#exited();
  }

  get running(): boolean {
    return !this.#ended;
  }

  log(): Promise<string> {
    return readFile(this.#logFile, 'utf8');
  }

  /** What `docker compose ps` would say. */
  async healthy(): Promise<boolean> {
    const [kind, program = '', ...args] = (this.#service.healthcheck?.test ?? []).map((word) => this.#here(word));
    if (kind !== 'CMD') throw new Error(`expected a health check of kind CMD, found ${kind}`);
    return new Promise((resolve) => {
      execFile(program, args, { env: this.environment(), timeout: 5_000 }, (error) => resolve(error === null));
    });
  }

  /** Of the container, as it is here. */
  environment(): NodeJS.ProcessEnv {
    const entries = Object.entries(this.#service.environment).flatMap(([name, value]) =>
      value === null ? [] : [[name, this.#here(value)]],
    );
    const image = { PATH: process.env['PATH'], HOME: path.join(this.#place.dir, 'home') };
    return { ...image, LONGHAUL_CACHE: this.#place.cacheDir, ...Object.fromEntries(entries) };
  }

  #spawn(env: NodeJS.ProcessEnv): void {
    const [program = '', ...args] = this.#command();
    const log = openSync(this.#logFile, 'a');
    const environment = { ...this.environment(), ...env };
    this.#child = spawn(program, args, { cwd: ROOT, env: environment, stdio: ['ignore', log, log] });
    closeSync(log);
  }

  async #exited(): Promise<number | NodeJS.Signals | null> {
    const child = this.#child;
    if (child && child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    return child?.exitCode ?? child?.signalCode ?? null;
  }

  #command(): string[] {
    return (this.#service.command ?? []).flatMap((word) => {
      const built = /^dist\/(\S+)\.js$/.exec(word)?.[1];
      return built === undefined ? [this.#here(word)] : [builtModule(built)];
    });
  }

  #here(word: string): string {
    const { dir, postgresPort, temporalPort, backendPort } = this.#place;
    return word
      .replaceAll(/\bnode dist\/(\S+)\.js/g, (_, name: string) => `'${process.execPath}' ${builtModule(name)}`)
      .replaceAll('/var/lib/longhaul', path.join(dir, 'var'))
      .replaceAll('/run/secrets/longhaul-token', tokenFileOf(this.#place))
      .replaceAll('/home/agent', path.join(dir, 'home'))
      .replaceAll('@postgres:5432/', `@127.0.0.1:${postgresPort}/`)
      .replaceAll(/^temporal:7233$/g, `127.0.0.1:${temporalPort}`)
      .replaceAll(/(0\.0\.0\.0|127\.0\.0\.1):4700/g, `127.0.0.1:${backendPort}`);
  }
}
