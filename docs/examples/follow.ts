// Submits a task, prints its agent's text until the task ends, and cancels it on Ctrl-C. Set DATABASE_URL and
// TEMPORAL_ADDRESS to the values of database_url and temporal_address of `longhaul status --json`; then, in a checkout:
//   node --import tsx docs/examples/follow.ts /home/me/project 'say Hello' demo
import { cancel, describe, followTask, openLonghaul, submit } from 'longhaul/client';

const [projectPath = process.cwd(), input = 'say Hello', agent = 'demo'] = process.argv.slice(2);
const { DATABASE_URL: databaseUrl = '', TEMPORAL_ADDRESS: address = '' } = process.env;
const longhaul = openLonghaul({
  databaseUrl,
  temporal: { namespace: 'default', connection: { address } },
  applicationName: 'follow.ts',
});

const { taskId } = await submit(longhaul, { projectPath, input, agent });
process.once('SIGINT', () => void cancel(longhaul, taskId, 'Ctrl-C'));

// The loop ends with the task. To continue after a restart, store the `seq` of the last frame and pass it as `after`.
for await (const frames of followTask(longhaul, { taskId })) {
  for (const frame of frames) {
    // A delta of the role user has the whole text of a user's message: a reader that shows messages replaces it.
    if (frame.type === 'delta' && frame.role !== 'user') process.stdout.write(frame.content);
    if (frame.type === 'tool_call') console.error(`\n[${frame.call.status}] ${frame.call.title}`);
    if (frame.type === 'task_state') console.error(`\n[${frame.state === 'running' ? frame.phase : frame.state}]`);
    if (frame.type === 'warning') console.error(`\n! ${frame.message}`);
  }
}

const task = await describe(longhaul, taskId);
console.error(`${task.state}: ${task.output_summary ?? ''}`);
process.exitCode = task.state === 'completed' ? 0 : 1;
await longhaul.close();
