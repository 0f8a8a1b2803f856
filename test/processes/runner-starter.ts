/** For runner.test.ts: a process that has two programs of its runner, which run while a file exists. */
import { runProgram, startProgram, startRunner } from '../../processes/runner.ts';

const [, , folder = '/'] = process.argv;
startRunner();
const shell = (script: string) =>
  runProgram({ file: 'sh', args: ['-c', script], cwd: folder, env: { PATH: process.env['PATH'] }, timeoutMs: 60_000 });
const own = String(process.pid);
for (;;) {
  const end = await shell('echo $PPID');
  if (end.kind === 'ended' && end.stdout.toString().trim() !== own) break; // it is the runner that runs it
}
const talked = 'echo $$ > talked; while test -e talked; do sleep 0.02; done';
await startProgram({ file: 'sh', args: ['-c', talked], cwd: folder, env: { PATH: process.env['PATH'] } });
await shell('echo $$ > pid; while test -e pid; do sleep 0.02; done; rm -f talked');
