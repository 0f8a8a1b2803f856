/**
 * `longhaul replay`: shows the recording of an agent's terminal. On a terminal it plays the recording. Anywhere else it
 * prints the asciicast, with `--json` as one object.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { getRecording } from '../client/recordings.ts';
import { resolveTaskId } from '../client/task-ids.ts';
import { EXIT, runCommand } from './exit.ts';
import { HarmlessOutput } from './harmless-output.ts';
import { withLonghaul } from './longhaul.ts';
import { ReplayScreen } from './replay-screen.ts';

/**
 * The maximum pause of a replay, in seconds. Longer pauses are shortened to this maximum, so that a viewer does not
 * wait as long as the agent waited for its model.
 */
const MAX_PAUSE_S = 2;

interface ReplayOptions {
  readonly number?: number;
  readonly speed: number;
  readonly json?: boolean;
}

export const replayAction = (text: string, { number, speed, json }: ReplayOptions) =>
  runCommand({ json }, () =>
    withLonghaul(async ({ longhaul }) => {
      const taskId = await resolveTaskId(longhaul.sql, text);
      const { count, cast } = await getRecording(longhaul, taskId, number);
      if (json) {
        const [header = null, ...events] = cast
          .split('\n')
          .slice(0, -1)
          .map((line) => JSON.parse(line) as unknown);
        const recording = { task_id: taskId, number: number ?? count, recordings: count, header, events };
        process.stdout.write(`${JSON.stringify(recording)}\n`);
      } else if (!process.stdout.isTTY) process.stdout.write(cast);
      else return playUntilInterrupted(cast, speed);
    }),
  );

async function playUntilInterrupted(cast: string, speed: number): Promise<number> {
  const stop = new AbortController();
  const onSignal = (): void => stop.abort();
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.once(signal, onSignal);
  try {
    await play(cast, speed, stop.signal);
    return stop.signal.aborted ? EXIT.cancelled : EXIT.done;
  } finally {
    for (const signal of signals) process.off(signal, onSignal);
  }
}

async function play(cast: string, speed: number, stop: AbortSignal): Promise<void> {
  const output = new HarmlessOutput();
  const screen = new ReplayScreen();
  let at = 0;
  try {
    for (const line of cast.split('\n').slice(1, -1)) {
      const [seconds, code, text] = JSON.parse(line) as [number, string, string];
      if (code !== 'o') continue;
      await sleep((Math.min(seconds - at, MAX_PAUSE_S) * 1000) / speed, undefined, { signal: stop }).catch(() => {});
      if (stop.aborted) return;
      at = seconds;
      const shown = output.pass(text);
      screen.note(shown);
      process.stdout.write(shown);
    }
  } finally {
    process.stdout.write(screen.restore());
  }
}
