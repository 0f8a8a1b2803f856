/**
 * Checks how much space terminal recordings use: those in the home that no step has stored, and those in the database.
 */
import type { Settings } from '../../services/settings.ts';
import { recordingsSize } from '../../store/recordings.ts';
import type { Sql } from '../../store/sql.ts';
import { recordingsIn } from '../gc/recordings.ts';
import { sizeText } from '../size-text.ts';
import { type Check, ok, warning } from './check.ts';

const MB = 1024 * 1024;

export async function checkRecordings({ home, recordings }: Settings, sql: Sql | undefined): Promise<Check> {
  const inHome = await recordingsIn(home);
  const bytes = inHome.reduce((sum, one) => sum + one.bytes, 0);
  const stored = sql && (await recordingsSize(sql));
  const inDatabase = stored ? `; the database has ${stored.count}, which take ${sizeText(stored.bytes)}` : '';
  const detail = `${inHome.length} in the home, which take ${sizeText(bytes)} of ${recordings.bytes / MB} MB${inDatabase}`;
  if (bytes <= recordings.bytes) return ok('recordings', detail);
  return warning('recordings', detail, '`longhaul gc` removes the oldest of tasks that have ended.');
}
