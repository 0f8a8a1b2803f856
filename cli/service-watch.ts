/**
 * Reports once when a service that a followed task depends on becomes unavailable, and once when it is available again.
 */
import { readStatus } from '../services/status.ts';
import type { Settings } from '../services/settings.ts';

const LOOK_MS = 2_000;

/**
 * The parts that are checked. The database is not among them, because each read of the log already shows whether the
 * database responds.
 */
const PARTS: Readonly<Record<string, string>> = {
  temporal: 'the Temporal server',
  worker: 'the worker',
};

export interface ServiceWatch {
  /** The follower must call this function after each read of the log, with whether the database responded. */
  readonly reportDatabase: (reached: boolean) => void;
  stop(): void;
}

/** Checks the parts every LOOK_MS until `stop` is called, and passes each change of availability to `say`. */
export function watchServices(settings: Settings, say: (text: string) => void): ServiceWatch {
  const notify = makeChangeNotifier(say);
  // The absence of a part is reported only if the part was ready before, because a part that never ran here may run on
  // another machine.
  const ran = new Set<string>();
  const look = async (): Promise<void> => {
    const { parts } = await readStatus(settings);
    for (const { name, state } of parts.filter((part) => part.name in PARTS)) {
      if (state === 'ready') ran.add(name);
      if (ran.has(name)) notify(PARTS[name] ?? name, state === 'ready');
    }
  };
  // A check may fail while another process writes the state file. The failure is ignored, because the next check reads
  // the file again.
  const quietly = (): void => void look().catch(() => undefined);
  quietly();
  const timer = setInterval(quietly, LOOK_MS);
  return { reportDatabase: (reached) => notify('the database', reached), stop: () => clearInterval(timer) };
}

/** Returns a function that reports each change of a service's availability once, however often it is called. */
export function makeChangeNotifier(say: (text: string) => void): (what: string, reached: boolean) => void {
  const unavailable = new Set<string>();
  return (what, reached) => {
    if (reached === !unavailable.has(what)) return;
    if (reached) unavailable.delete(what);
    else unavailable.add(what);
    say(reached ? `${what} is back` : `waiting for ${what} …`);
  };
}
