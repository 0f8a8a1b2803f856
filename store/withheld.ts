/** Text that Temporal must not get, on its way from one step to the last. */
import type { TaskId } from '../contract/ids.ts';
import type { Db } from './sql.ts';
import { wellFormedText } from './well-formed.ts';

export async function withhold(db: Db, left: { taskId: TaskId; step: string; text: string }): Promise<void> {
  await db`
    UPDATE tasks SET withheld = coalesce(withheld, '{}'::jsonb) || jsonb_build_object(${left.step}::text, ${wellFormedText(left.text)}::text)
     WHERE id = ${left.taskId}`;
}
