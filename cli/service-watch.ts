/** Reports once when a service that a follower depends on becomes unavailable, and once when it is available again. */
import { readStatus } from '../services/status.ts';
import type { Settings } from '../services/settings.ts';

const LOOK_MS = 2_000;

/** Without the database: the follower itself reports that one. */
const PARTS: Readonly<Record<string, string>> = {
  temporal: 'the Temporal server',
  worker: 'the worker',
};

export interface ServiceWatch {
  /** The follower calls it after each read of the log. */
  readonly databaseLooked: (reached: boolean) => void;
  stop(): void;
}

export function watchServices(settings: Settings, say: (text: string) => void): ServiceWatch {
  const notify = makeChangeNotifier(say);
  // A part that never ran here may be another machine's: its absence is not reported.
  const ran = new Set<string>();
  const look = async (): Promise<void> => {
    const { parts } = await readStatus(settings);
    for (const { name, state } of parts.filter((part) => part.name in PARTS)) {
      if (state === 'ready') ran.add(name);
      if (ran.has(name)) notify(PARTS[name] ?? name, state === 'ready');
    }
  };
  // A record that another process is writing is read again at the next look.
  const quietly = (): void => void look().catch(() => undefined);
  quietly();
  const timer = setInterval(quietly, LOOK_MS);
  return { databaseLooked: (reached) => notify('the database', reached), stop: () => clearInterval(timer) };
}

/** Reports a change of a service once, however often it is called. */
export function makeChangeNotifier(say: (text: string) => void): (what: string, reached: boolean) => void {
  const unavailable = new Set<string>();
  return (what, reached) => {
    if (reached === !unavailable.has(what)) return;
    if (reached) unavailable.delete(what);
    else unavailable.add(what);
    say(reached ? `${what} is back` : `waiting for ${what} …`);
  };
}
