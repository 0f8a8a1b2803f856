import { afterAll, beforeAll, expect, test } from 'vitest';
import { BackgroundWork } from '../../client/background-work.ts';
import { connectTemporal, type TemporalLink } from '../../client/temporal.ts';
import { type LabTemporal, labTemporal } from '../lab/temporal.ts';

let server: LabTemporal;
let link: TemporalLink;
beforeAll(async () => {
  server = await labTemporal();
  link = connectTemporal(server.target);
});
afterAll(async () => {
  await link.close();
  await server.remove();
});

test('calls to Temporal leave nothing on the signal that ends them', async () => {
  const warnings: string[] = [];
  const onWarning = ({ name }: Error): void => void warnings.push(name);
  process.on('warning', onWarning);
  try {
    const { client } = link;
    const { namespace } = client.options;
    const work = new BackgroundWork(client, () => {});
    for (let i = 0; i < 15; i++) work.run(() => client.workflowService.describeNamespace({ namespace }));
    work.run(async () => {
      for (let i = 0; i < 15; i++) await client.workflowService.describeNamespace({ namespace });
    });
    await work.finish(30_000);
    // Node emits a warning in the next turn of the loop.
    await new Promise((resolve) => setImmediate(resolve));
  } finally {
    process.off('warning', onWarning);
  }
  expect(warnings).toEqual([]);
});

test('a call that gets no response is cancelled after the grace', async () => {
  const { client } = link;
  const { namespace } = client.options;
  const work = new BackgroundWork(client, () => {});
  await client.workflowService.describeNamespace({ namespace });
  await server.suspend();
  try {
    let outcome: unknown;
    work.run(() =>
      client.workflowService.describeNamespace({ namespace }).then(
        () => undefined,
        (error: unknown) => (outcome = error),
      ),
    );
    await work.finish(10);
    expect(outcome).toBeInstanceOf(Error);
  } finally {
    server.resume();
  }
});
