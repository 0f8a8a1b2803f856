/** For slots.test.ts: `node slot-taker.ts FOLDER LOCKS_DIR COUNT WANTED` takes what it can get, says how many, and keeps them. */
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { AgentSlots } from '../../agents/slots.ts';
import type { TaskId } from '../../contract/ids.ts';
import { withLock } from '../../worktrees/repository-lock.ts';

const [folder = '', locksDir = '', count = '', wanted = ''] = process.argv.slice(2);
const slots = new AgentSlots({
  home: path.dirname(folder),
  folder,
  count: Number(count),
  exclusively: (work) => withLock({ locksDir, subject: 'agent slots' }, work),
});
let got = 0;
for (let number = 0; number < Number(wanted); number += 1) {
  if (await slots.tryTake({ taskId: randomUUID() as TaskId, attempt: 1 })) got += 1;
}
process.stdout.write(String(got));
setInterval(() => {}, 60_000);
