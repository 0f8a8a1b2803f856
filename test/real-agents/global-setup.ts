/** The servers of every test run, and the agents. */
import type { TestProject } from 'vitest/node';
import startServers from '../global-setup.ts';
import { installAgents } from './install.ts';

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await installAgents((line) => process.stderr.write(`${line}\n`));
  return startServers(project);
}
