/** Services of one build, commands of another: each command that looks at the services says so, and what replaces them. */
import { execFile } from 'node:child_process';
import { cp, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import type { Status } from '../../services/status.ts';
import { type LabHome, startHome } from '../lab/home.ts';

const run = promisify(execFile);
const OURS = ['supervisor', 'worker', 'backend'];
const NOTE = /note: these parts run another version than this command/;

let lab: LabHome;
let otherCommand: string;
beforeAll(async () => {
  lab = await startHome();
  const copy = path.join(lab.home, 'other-build');
  await cp(inject('built'), copy, { recursive: true, verbatimSymlinks: true });
  await writeFile(path.join(copy, 'dist', 'sources.json'), '[["/cli/main.ts",1,1]]');
  otherCommand = path.join(copy, 'bin', 'longhaul.js');
});
afterAll(() => lab.close());

async function other(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  const env = { ...process.env, LONGHAUL_HOME: lab.home };
  return run(process.execPath, [otherCommand, ...args], { env }).catch((error: { stdout: string; stderr: string }) => error); // prettier-ignore
}

const statusOf = (text: string): Status => JSON.parse(text) as Status;

test('status, up -d and doctor name the parts of another build until down and up -d have replaced them', async () => {
  const { stdout: same } = await lab.command('status', '--json');
  const { version } = statusOf(same);
  expect(version).toMatch(/^\d+\.\d+\.\d+\+[0-9a-f]{8}$/);
  const versions = statusOf(same).parts.map((part) => [part.name, part.version]);
  expect(Object.fromEntries(versions)).toEqual({
    ...Object.fromEntries(OURS.map((name) => [name, version])),
    postgres: null,
    temporal: null,
  });
  expect((await lab.command('status')).stdout).not.toMatch(NOTE);

  const { pid } = await lab.processOf('worker');
  expect((await other('status')).stdout).toMatch(NOTE);
  const seen = statusOf((await other('status', '--json')).stdout);
  expect(seen.version).not.toBe(version);
  expect(seen.parts.find((part) => part.name === 'worker')).toMatchObject({ version });
  const { stderr } = await other('up', '-d');
  expect(stderr).toMatch(NOTE);
  expect(stderr).toContain(`worker ${version}`);
  expect((await lab.processOf('worker')).pid).toBe(pid);
  const doctor = (await other('doctor')).stdout;
  expect(doctor).toContain(
    `this command is version ${seen.version}, but these parts run another version: supervisor ${version}`,
  );
  expect(doctor).not.toContain('No problems found');

  await other('down');
  expect((await other('up', '-d')).stderr).not.toMatch(NOTE);
  expect((await other('status')).stdout).not.toMatch(NOTE);
  expect((await lab.command('status')).stdout).toMatch(NOTE);
});
