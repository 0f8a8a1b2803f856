/** Starts a program of the bench beside this process. The program handles one request after another. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { unlessAborted } from './stage.ts';

export interface Child {
  readonly pid: number;
  /** Sends a request and waits for the next response, whose type is not checked. */
  ask<T>(question: object): Promise<T>;
  /** Returns the result of `work`. Fails if the program exits before `work` is done. */
  during<T>(work: Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/**
 * Resolves when the program reports that it is ready. When this process exits, the program does, too, because its
 * channel closes.
 */
export async function startChild(program: string, signal: AbortSignal): Promise<Child> {
  const child = fork(fileURLToPath(new URL(program, import.meta.url)), {
    execArgv: ['--import', 'tsx'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    // Ctrl-C must reach only this process, which then ends the program.
    detached: true,
  });
  const exited = once(child, 'exit');
  const during = async <T>(work: Promise<T>): Promise<T> => {
    const died = exited.then(() => {
      throw new Error(`${program} ended`);
    });
    return Promise.race([work, died]);
  };
  const answer = async <T>(): Promise<T> => {
    const [said] = (await unlessAborted(during(once(child, 'message')), signal)) as [T & object];
    if ('error' in said) throw new Error(`${program}: ${String(said.error)}`);
    return said;
  };
  await answer();
  return {
    pid: child.pid ?? 0,
    async ask<T>(question: object) {
      const answered = answer<T>();
      child.send(question);
      return answered;
    },
    during,
    async close() {
      if (child.connected) child.disconnect();
      await exited;
    },
  };
}
