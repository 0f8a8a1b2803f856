/** The runner: see runner.ts. It loads as little as it can, because what it has in memory is what a fork copies. */
import { type Run, run } from './run.ts';
import type { RunnerCommand, RunnerReport } from './runner.ts';

const running = new Map<number, AbortController>();

const report = (what: RunnerReport): void => {
  if (process.connected) process.send?.(what);
};

process.on('message', (command: RunnerCommand) => {
  if ('stop' in command) running.get(command.id)?.abort();
  else void start(command.id, command.run);
});

async function start(id: number, wanted: Run): Promise<void> {
  const stop = new AbortController();
  running.set(id, stop);
  const end = await run(wanted, { signal: stop.signal, onSpawn: (pid) => report({ id, pid }) });
  running.delete(id);
  report({ id, end });
  leaveIfDone();
}

/** Whoever started us is gone: nobody waits for what runs. */
process.on('disconnect', () => {
  for (const stop of running.values()) stop.abort();
  leaveIfDone();
});

function leaveIfDone(): void {
  if (!process.connected && running.size === 0) process.exit(0);
}

// Ends with its starter's pipe, not by a signal for the terminal or the group.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
report({ ready: true });
