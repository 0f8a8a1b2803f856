import { mkdtemp, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Connection } from '@temporalio/client';
import { expect, test } from 'vitest';
import { setHistoryRetention } from '../../../services/temporal/history-retention.ts';
import { attachTemporal, startTemporal, stopTemporal } from '../../../services/temporal/temporal.ts';
import { findTemporal } from '../../../services/temporal/binary.ts';

async function retentionDays(address: string): Promise<number> {
  const connection = await Connection.connect({ address });
  try {
    const { config } = await connection.workflowService.describeNamespace({ namespace: 'default' });
    return Number(config?.workflowExecutionRetentionTtl?.seconds ?? 0) / 86_400;
  } finally {
    await connection.close();
  }
}

test('the embedded server without its Web UI, and how long it keeps histories', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'longhaul-temporal-'));
  const cacheDir =
    process.env['LONGHAUL_CACHE'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'longhaul');
  const options = {
    dir,
    logFile: join(dir, 'log'),
    ui: false,
    findProgram: () => findTemporal({ cacheDir, env: process.env, onProgress: () => {} }),
  };
  const running = await startTemporal(options);
  try {
    expect(running.uiUrl).toBeUndefined();
    await expect(fetch(`http://127.0.0.1:${running.uiPort}`)).rejects.toThrow('fetch failed');
    // A caller that attaches with another setting gets the running one.
    expect(await attachTemporal({ ...options, ui: true })).not.toHaveProperty('uiUrl');
    const { address } = running;
    expect(await retentionDays(address)).toBe(1);
    await setHistoryRetention({ address, namespace: 'default', days: 30 });
    expect(await retentionDays(address)).toBe(30);
    await setHistoryRetention({ address, namespace: 'default', days: 7 });
    expect(await retentionDays(address)).toBe(7);
  } finally {
    await stopTemporal(running.identity);
    await rm(dir, { recursive: true, force: true, maxRetries: 5 });
  }
});
