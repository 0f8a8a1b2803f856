/** Says once when a service that a follower depends on goes away, and once when it is back. */
import { readStatus } from '../services/status.ts';
import type { Settings } from '../services/settings.ts';

const LOOK_MS = 2_000;

/** Besides the database, which the follower itself finds away. */
const PARTS: Readonly<Record<string, string>> = {
  temporal: 'the Temporal server',
  worker: 'the worker',
};

export interface ServiceWatch {
  /** Told by the follower at each look at the log. */
  readonly databaseLooked: (reached: boolean) => void;
  stop(): void;
}

export function watchServices(settings: Settings, say: (text: string) => void): ServiceWatch {
  const told = makeTeller(say);
  // A part that never ran here is not missed: it may be another machine's.
  const ran = new Set<string>();
  const look = async (): Promise<void> => {
    const { parts } = await readStatus(settings);
    for (const { name, state } of parts.filter((part) => part.name in PARTS)) {
      if (state === 'ready') ran.add(name);
      if (ran.has(name)) told(PARTS[name] ?? name, state === 'ready');
    }
  };
  // A record that is being written over is read again at the next look.
  const quietly = (): void => void look().catch(() => undefined);
  quietly();
  const timer = setInterval(quietly, LOOK_MS);
  return { databaseLooked: (reached) => told('the database', reached), stop: () => clearInterval(timer) };
}

/** Only changes are told. */
export function makeTeller(say: (text: string) => void): (what: string, reached: boolean) => void {
  const away = new Set<string>();
  return (what, reached) => {
    if (reached === !away.has(what)) return;
    if (reached) away.delete(what);
    else away.add(what);
    say(reached ? `${what} is back` : `waiting for ${what} …`);
  };
}
