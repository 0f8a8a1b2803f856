/** Stores the text that a step must not pass to Temporal. The step `finishTask` reads this text from the row. */
import type { TaskId } from '../contract/ids.ts';
import type { Db } from './sql.ts';
import { wellFormedText } from './well-formed.ts';

export async function withhold(db: Db, left: { taskId: TaskId; step: string; text: string }): Promise<void> {
  await db`
    UPDATE tasks SET withheld = coalesce(withheld, '{}'::jsonb) || jsonb_build_object(${left.step}::text, ${wellFormedText(left.text)}::text)
     WHERE id = ${left.taskId}`;
}
