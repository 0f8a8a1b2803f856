/** For runner.test.ts: a process that runs one program from its runner, which goes on while a file is there. */
import { runProgram, startRunner } from '../../processes/runner.ts';

const [, , folder = '/'] = process.argv;
startRunner();
const shell = (script: string) =>
  runProgram({ file: 'sh', args: ['-c', script], cwd: folder, env: { PATH: process.env['PATH'] }, timeoutMs: 60_000 });
const own = String(process.pid);
for (;;) {
  const end = await shell('echo $PPID');
  if (end.kind === 'ended' && end.stdout.toString().trim() !== own) break; // it is the runner that runs it
}
await shell('echo $$ > pid; while test -e pid; do sleep 0.02; done');
