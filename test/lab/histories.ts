/**
 * Kept histories: what runs of earlier versions looked like. New code must replay them, because such runs
 * are open when it is deployed. A kept file is never recorded again: a change of the workflow that no longer
 * replays it needs a new version (workflows/commands.ts), and a new file beside it (`LONGHAUL_RECORD=NAME npx vitest run
 * test/workflows/replay.test.ts` writes those that are missing under that name).
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Client } from '@temporalio/client';
import { historyFromJSON, historyToJSON } from '@temporalio/common/lib/proto-utils.js';

const FOLDER = fileURLToPath(new URL('../histories/', import.meta.url));
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
type History = ReturnType<typeof historyFromJSON>;

export async function keptHistories(): Promise<string[]> {
  return (await readdir(FOLDER)).filter((name) => name.endsWith('.json')).sort();
}

export async function readHistory(name: string): Promise<History> {
  return historyFromJSON(JSON.parse(await readFile(path.join(FOLDER, name), 'utf8')));
}

/** Fails if the file is there. */
export async function keepHistory(client: Client, workflowId: string, name: string): Promise<void> {
  const history = await client.workflow.getHandle(workflowId).fetchHistory();
  const raw = historyToJSON(history).replaceAll(ROOT, '/longhaul/').replaceAll(`@${hostname()}`, '@lab');
  const json = JSON.stringify(JSON.parse(raw), null, 1);
  await writeFile(path.join(FOLDER, `${name}.json`), `${json}\n`, { flag: 'wx' });
}
