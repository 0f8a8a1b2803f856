// A program of somebody else's: hands over a task, follows it, and cancels it at its first words.
import { cancel, followTask, LonghaulError, openLonghaul, submit } from 'longhaul/client';

const [databaseUrl = '', address = '', projectPath = ''] = process.argv.slice(2);
const longhaul = openLonghaul({
  databaseUrl,
  temporal: { namespace: 'default', connection: { address } },
  applicationName: 'sample',
});
try {
  const { taskId } = await submit(longhaul, { projectPath, agent: 'demo', input: 'Slowly. Say "This takes a while".' });
  for await (const frames of followTask(longhaul, { taskId })) {
    for (const frame of frames) {
      if (frame.type === 'delta') await cancel(longhaul, taskId, 'enough');
      if (frame.type === 'task_state') console.log(frame.state);
    }
  }
  await submit(longhaul, { projectPath, agent: 'nobody', input: 'x' });
} catch (error) {
  console.log(error instanceof LonghaulError ? error.code : error);
} finally {
  await longhaul.close();
}
