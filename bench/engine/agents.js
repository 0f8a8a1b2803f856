// A driver without a process, for the agent `trivial`: it responds at once. Other agents run with the real driver.
import { readFileSync } from 'node:fs';

const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
// A pid above the highest that the kernel assigns, so that no process is ended by mistake.
const NO_PROCESS = { pid: 2 ** 22, startTime: '0', bootId };

export const makeEngineAgents = (driver) => ({
  async open(options) {
    if (options.launch.name !== 'trivial') return driver.open(options);
    const { onSpawn, onEvent } = options;
    await onSpawn(NO_PROCESS);
    const session = {
      id: 'engine',
      offers: () => ({}),
      async prompt() {
        await onEvent({ kind: 'text', text: 'I wrote written.txt.' });
        return { kind: 'completed' };
      },
    };
    return { process: NO_PROCESS, about: { version: '' }, newSession: async () => session, close: async () => {} };
  },
});
