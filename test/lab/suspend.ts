/** Suspends a process and waits until it stands still: a thread of it may still answer a request after the signal was sent. */
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

const stateOf = async (stat: string): Promise<string> => {
  const text = await readFile(stat, 'utf8');
  return text.slice(text.lastIndexOf(')') + 2)[0] ?? '';
};

/** Resolves when every thread of the process is stopped. Linux tells no event for it. */
export async function suspendProcess(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  const tasks = `/proc/${pid}/task`;
  for (;;) {
    const states = await Promise.all((await readdir(tasks)).map((thread) => stateOf(`${tasks}/${thread}/stat`)));
    if (states.every((state) => state === 'T')) return;
    await sleep(1);
  }
}
