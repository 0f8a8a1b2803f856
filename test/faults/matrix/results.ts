/** What the cells have shown, for the table: a line each, where `LONGHAUL_FAULTS_RESULTS` says. */
import { appendFile } from 'node:fs/promises';

export interface CellResult {
  readonly seed: number;
  readonly moment: string;
  readonly victim: string;
  readonly variant: string;
  readonly order: string;
  /** From the first task's row to the last check. */
  readonly seconds: number;
  /** Mid-stream: from the kill to the agent's next word in the log. */
  readonly workingMs: number | null;
  /** There was no agent to kill. */
  readonly noAgent: boolean;
}

export async function record(result: CellResult): Promise<void> {
  const file = process.env['LONGHAUL_FAULTS_RESULTS'];
  if (file) await appendFile(file, `${JSON.stringify(result)}\n`);
}
