// agents/select-driver.ts without a process: an agent that answers at once.
import { readFileSync } from 'node:fs';

const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
// Above the highest that the kernel gives: nobody is ended by mistake.
const NOBODY = { pid: 2 ** 22, startTime: '0', bootId };

export function driverFor() {
  return {
    async open({ onSpawn, onEvent }) {
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
