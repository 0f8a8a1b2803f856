/**
 * Keeps the parts of a home running: starts each part when the parts that it needs are ready, restarts a part that has
 * exited, and records what runs. The parts keep running after the supervisor exits, and a later supervisor attaches to
 * them.
 *
 * Must never happen: two supervisors in a home (the caller holds the home's lock). Not covered: a part whose process is
 * alive but does not respond, because only parts that have exited are restarted.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { identifySelf } from '../../processes/identity.ts';
import { LonghaulError, messageOf } from '../../contract/errors.ts';
import type { ServiceAddresses, HomePaths, HomeState, PartRecord } from '../home/home.ts';
import type { Part, StartedPart } from './part.ts';
import { StateRecord } from './state-record.ts';

const FIRST_PAUSE_MS = 200;
const LAST_PAUSE_MS = 5_000;
/** A part that ran at least this long counts as healthy: its next restart has the shortest pause again. */
const STEADY_MS = 10_000;

export interface SupervisorOptions {
  readonly parts: readonly Part[];
  readonly paths: HomePaths;
  readonly report: (line: string) => void;
  /** Fingerprint of the settings. A later command with other settings uses it to report the difference. */
  readonly settings?: string;
  /** The version of the supervisor's program. */
  readonly version?: string;
}

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #records: Map<string, PartRecord>;
  readonly #facts = new Map<string, ServiceAddresses>();
  #repairs = 0;
  /** Aborted by `repair`, so that each part that pauses before its next start is started at once. */
  #wake = new AbortController();
  /** Called at every change of a record. */
  readonly #watchers = new Set<() => void>();
  readonly #record: StateRecord;
  #isAbandoned = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    const { paths, report } = options;
    this.#record = new StateRecord({ paths, report, state: () => this.#state() });
    this.#records = new Map(
      options.parts.map(({ name, logFile }) => [
        name,
        { name, state: 'waiting', process: null, detail: null, failures: 0, hopeless: false, logFile },
      ]),
    );
  }

  /**
   * Runs the parts until `stop` is aborted, then stops them in the opposite order. An aborted `forceShutdown` shortens
   * the stop.
   */
  async run(stop: AbortSignal, forceShutdown?: AbortSignal): Promise<void> {
    const { parts, report } = this.#options;
    this.#record.write();
    this.#record.keep();
    await Promise.all(parts.map((part) => this.#keep(part, stop)));
    if (this.#isAbandoned) return;
    for (const part of parts.toReversed()) {
      try {
        await part.stop(forceShutdown);
        this.#set(part, { state: 'stopped', process: null, detail: null });
        report(`${part.name}: stopped`);
      } catch (error) {
        // The error is recorded and not thrown, because the remaining parts must still be stopped.
        this.#set(part, { state: 'failed', detail: messageOf(error) });
        report(`${part.name}: ${messageOf(error)}`);
      }
    }
    // After the lock is released, the record may belong to another supervisor, so no more writes may follow.
    await this.#record.close();
  }

  /**
   * Makes this supervisor leave the parts and the record unchanged, because they belong to another supervisor from now
   * on.
   */
  abandon(): void {
    this.#isAbandoned = true;
    this.#record.abandon();
  }

  /** Starts at once the parts that wait for their next start. */
  repair(): void {
    this.#repairs += 1;
    for (const part of this.#options.parts) this.#set(part, { failures: 0, hopeless: false });
    const waking = this.#wake;
    this.#wake = new AbortController();
    waking.abort();
  }

  #state(): HomeState {
    const { settings, version } = this.#options;
    return {
      supervisor: identifySelf(),
      repairs: this.#repairs,
      ...(settings === undefined ? {} : { settings }),
      ...(version === undefined ? {} : { version }),
      facts: this.facts(),
      parts: [...this.#records.values()],
    };
  }

  /** Returns the facts of all ready parts. */
  facts(): ServiceAddresses {
    return Object.assign({}, ...this.#facts.values());
  }

  /** Resolves when all parts are ready and the record says so. */
  async ready(stop: AbortSignal): Promise<void> {
    const names = this.#options.parts.map((part) => part.name);
    await this.#until(() => this.#allReady(names), stop);
    await this.#record.written();
  }

  async #keep(part: Part, stop: AbortSignal): Promise<void> {
    let pauseMs = FIRST_PAUSE_MS;
    while (!stop.aborted) {
      await this.#until(() => this.#allReady(part.needs), stop);
      if (stop.aborted) return;
      const needed = this.#factsOf(part.needs);
      const started = await this.#start(part, needed, stop);
      if (started) {
        const since = Date.now();
        const how = await this.#untilOver(part, started, needed, stop);
        if (this.#isAbandoned) started.release();
        if (stop.aborted) return;
        if (Date.now() - since > STEADY_MS) pauseMs = FIRST_PAUSE_MS;
        this.#set(part, { state: 'waiting', process: null, detail: how });
        this.#options.report(`${part.name}: ${how}, is started again`);
      }
      await this.#pause(pauseMs, stop);
      pauseMs = Math.min(2 * pauseMs, LAST_PAUSE_MS);
    }
  }

  async #start(part: Part, facts: ServiceAddresses, stop: AbortSignal): Promise<StartedPart | undefined> {
    const record = this.#records.get(part.name);
    this.#set(part, { state: 'starting', process: null, detail: record?.detail ?? null });
    const report = (line: string): void => {
      this.#set(part, { detail: line });
      this.#options.report(line);
    };
    try {
      const started = await part.start({ facts, report, signal: stop });
      this.#facts.set(part.name, started.facts);
      const { process, detail } = started;
      this.#set(part, { state: 'ready', process, detail, failures: 0, hopeless: false });
      const pid = process ? ` (pid ${process.pid})` : '';
      this.#options.report(`${part.name}: ${started.attached ? 'attached' : 'started'}, ${detail}${pid}`);
      return started;
    } catch (error) {
      if (stop.aborted) return undefined;
      this.#fail(part, error);
      return undefined;
    }
  }

  #fail(part: Part, error: unknown): void {
    const detail = messageOf(error);
    const hopeless = error instanceof LonghaulError && error.code === 'invalid_input';
    const failures = (this.#records.get(part.name)?.failures ?? 0) + 1;
    this.#set(part, { state: 'failed', detail, failures, hopeless });
    this.#options.report(`${part.name}: ${detail}`);
  }

  /**
   * Resolves when the part has exited, or was stopped because a fact that it was started with has changed (a service
   * has another port).
   */
  async #untilOver(part: Part, started: StartedPart, usedFacts: ServiceAddresses, stop: AbortSignal): Promise<string> {
    const over = new AbortController();
    const ended = AbortSignal.any([stop, over.signal]);
    const outdated = () => JSON.stringify(this.#factsOf(part.needs)) !== JSON.stringify(usedFacts);
    const how = await Promise.race([started.exited, this.#until(outdated, ended).then(() => undefined)]);
    over.abort();
    if (how !== undefined || stop.aborted) return how ?? 'stopped';
    await part.stop();
    return 'a service that it needs has another address';
  }

  #allReady(names: readonly string[]): boolean {
    return names.every((name) => this.#records.get(name)?.state === 'ready');
  }

  #factsOf(names: readonly string[]): ServiceAddresses {
    return Object.assign({}, ...names.map((name) => this.#facts.get(name)));
  }

  /** Resolves when the condition is true, or at once when the signal is aborted. */
  async #until(condition: () => boolean, signal: AbortSignal): Promise<void> {
    if (signal.aborted || condition()) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#watchers.delete(look);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const look = (): void => {
        if (condition()) done();
      };
      this.#watchers.add(look);
      signal.addEventListener('abort', done, { once: true });
    });
  }

  async #pause(ms: number, stop: AbortSignal): Promise<void> {
    const signal = AbortSignal.any([stop, this.#wake.signal]);
    // The sleep rejects only if its signal is aborted.
    await sleep(ms, undefined, { signal }).catch(() => undefined);
  }

  #set(part: Part, change: Partial<PartRecord>): void {
    const record = this.#records.get(part.name);
    if (!record) throw new TypeError(`unknown part ${part.name}`);
    this.#records.set(part.name, { ...record, ...change });
    this.#record.write();
    for (const look of this.#watchers) look();
  }
}
