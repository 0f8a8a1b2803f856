// agents/select-driver.ts without a process, for the agent `trivial`: it answers at once. Other agents are real.
import { readFileSync } from 'node:fs';

const real = await import(new URL(import.meta.url).searchParams.get('real'));
const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
// Above the highest pid that the kernel assigns, so that no process is ended by mistake.
const NOBODY = { pid: 2 ** 22, startTime: '0', bootId };

export function driverFor(path) {
  return {
    async open(options) {
      if (options.profile.name !== 'trivial') return real.driverFor(path).open(options);
      const { onSpawn, onEvent } = options;
      await onSpawn(NOBODY);
      const session = {
        id: 'stand-in',
        async prompt() {
          await onEvent({ kind: 'text', text: 'I wrote written.txt.' });
          return { kind: 'completed' };
        },
      };
      return { process: NOBODY, newSession: async () => session, close: async () => {} };
    },
  };
}
