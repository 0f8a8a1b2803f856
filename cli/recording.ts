/**
 * `longhaul replay`: shows the recording of an agent's terminal. On a terminal it plays the recording; otherwise it
 * prints the asciicast.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { getRecording } from '../client/recordings.ts';
import { resolveTaskId } from '../client/task-ids.ts';
import { runCommand } from './exit.ts';
import { HarmlessOutput } from './harmless-output.ts';
import { withLonghaul } from './longhaul.ts';

/** A person does not wait for an agent that waited for its model. */
const MAX_PAUSE_S = 2;
/** Back to the normal screen, with a cursor and without colours, whatever the recording ends with. */
const RESTORE = '\u001b[?1049l\u001b[?1000l\u001b[?1002l\u001b[?1003l\u001b[?2004l\u001b[r\u001b[0m\u001b[?25h\n';

interface ReplayOptions {
  readonly number?: number;
  readonly speed: number;
}

export const replayAction = (text: string, { number, speed }: ReplayOptions) =>
  runCommand({}, () =>
    withLonghaul(async ({ longhaul }) => {
      const { cast } = await getRecording(longhaul, await resolveTaskId(longhaul.sql, text), number);
      if (!process.stdout.isTTY) process.stdout.write(cast);
      else await play(cast, Math.max(1, speed));
    }),
  );

async function play(cast: string, speed: number): Promise<void> {
  const output = new HarmlessOutput();
  let at = 0;
  try {
    for (const line of cast.split('\n').slice(1, -1)) {
      const [seconds, code, text] = JSON.parse(line) as [number, string, string];
      if (code !== 'o') continue;
      await sleep((Math.min(seconds - at, MAX_PAUSE_S) * 1000) / speed);
      at = seconds;
      process.stdout.write(output.pass(text));
    }
  } finally {
    process.stdout.write(RESTORE);
  }
}
