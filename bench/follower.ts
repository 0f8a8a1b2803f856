/**
 * A follower in a process of its own, like a backend or a command. It follows tasks through `client/` and records the
 * age of each token at its arrival. `agents/token-stream.js` writes the time of emission into each token.
 */
import { openLonghaul } from '../client/connection.ts';
import { followTask } from '../client/follow-task.ts';
import type { TaskId } from '../contract/ids.ts';

export interface FollowRequest {
  readonly databaseUrl: string;
  readonly temporalAddress: string;
  readonly taskIds: readonly TaskId[];
}

export interface FollowResult {
  readonly latenciesMs: readonly number[];
}

const now = (): number => performance.timeOrigin + performance.now();

async function follow({ databaseUrl, temporalAddress, taskIds }: FollowRequest): Promise<FollowResult> {
  const longhaul = openLonghaul({
    databaseUrl,
    temporal: { namespace: 'default', connection: { address: temporalAddress } },
    applicationName: 'longhaul bench follower',
    connections: 10,
  });
  const latenciesMs: number[] = [];
  const one = async (taskId: TaskId): Promise<void> => {
    for await (const frames of followTask(longhaul, { taskId })) {
      const at = now();
      for (const frame of frames) {
        if (frame.type !== 'delta') continue;
        for (const [, emitted] of frame.content.matchAll(/\d+-(\d+\.\d+) /g)) latenciesMs.push(at - Number(emitted));
      }
    }
  };
  await Promise.all(taskIds.map(one));
  await longhaul.close();
  return { latenciesMs };
}

process.on('message', (request: FollowRequest) => {
  follow(request).then(
    (result) => process.send?.(result),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit());
process.send?.({ ready: true });
