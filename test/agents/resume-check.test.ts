/** What a check finds that kills an agent in its turn and loads its session. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { launchAcp } from '../../agents/launch/acp.ts';
import { type AgentRegistry, makeAgentRegistry } from '../../agents/launch/registry.ts';
import type { ProbeRequest } from '../../agents/probe.ts';
import { checkResume } from '../../agents/resume-check.ts';
import { findByMark } from '../../processes/sweep.ts';
import { scriptedLaunch } from './lab.ts';
import type { ScriptedStart, Step } from './scripted-agent.ts';
import { text } from './scripts.ts';

/** In the environment of all processes of the tests. */
const mark = ['RESUME_TEST', randomUUID()] as const;
const marked = { env: { [mark[0]]: mark[1] } };
let cwd: string;
beforeEach(() => {
  cwd = realpathSync(mkdtempSync(join(tmpdir(), 'longhaul-check-')));
});
afterEach(() => {
  expect(findByMark([mark.join('=')]), 'processes left by the check').toEqual([]);
  rmSync(cwd, { recursive: true, force: true });
});

function check(start: ScriptedStart | AgentRegistry, rest: Partial<ProbeRequest> = {}) {
  const registry = 'open' in start ? start : makeAgentRegistry({ acp: () => scriptedLaunch(start, marked) });
  const env = { ...process.env, XDG_STATE_HOME: cwd };
  const signal = new AbortController().signal;
  return checkResume(registry, { name: 'scripted', path: 'acp', agent: { name: 'demo' }, cwd, env, timeoutMs: 60_000, signal, ...rest }); // prettier-ignore
}

/** It is killed here, because it never ends its turn. */
const WORKING: readonly Step[] = [{ update: text('OK') }, { hang: true }];
const journal = (): string => join(cwd, 'journal');
const received = (): string[] => readFileSync(journal(), 'utf8').trim().split('\n');

test('an agent that loads its session after a kill: yes; it was prompted once, and its session is deleted', async () => {
  expect(await check({ load: {}, words: WORKING, journal: journal() })).toEqual({ result: 'yes', reason: '' });
  expect(received()).toEqual(['initialize', 'session/new', 'session/prompt', 'initialize', 'session/load', 'session/delete']); // prettier-ignore
});

test('the demo agent: yes', async () => {
  const demo = makeAgentRegistry({ acp: (of) => ({ ...launchAcp(of), ...marked }) });
  expect(await check(demo, { name: 'demo' })).toEqual({ result: 'yes', reason: '' });
});

test.each<[string, ScriptedStart]>([
  ['refuses to load', { load: { error: { code: -32603, message: 'No previous sessions found' } } }],
  ['dies while it loads', { load: { exit: 3 } }],
])('an agent that advertises load and %s: no', async (_how, start) => {
  const found = await check({ ...start, words: WORKING });
  expect(found).toMatchObject({ result: 'no', reason: expect.stringMatching(/scripted/) as string });
});

test.each<[string, ScriptedStart, RegExp]>([
  ['needs a login', { newSession: { error: { code: -32000, message: 'Authentication required' } } }, /login/],
  ['has no provider', { words: [{ error: { code: -32603, message: '529 overloaded' } }] }, /529 overloaded/],
  ['crashes before the kill', { words: [{ exit: 3 }] }, /exited with code 3/],
])('an agent that %s: unknown, with the reason', async (_how, start, reason) => {
  const found = await check({ load: {}, ...start });
  expect(found).toMatchObject({ result: 'unknown', reason: expect.stringMatching(reason) as string });
});

test('an agent that is silent after the prompt is ended when the caller stops waiting', async () => {
  const signal = AbortSignal.timeout(2_000);
  await expect(check({ load: {}, words: [{ hang: true }] }, { signal })).rejects.toThrow(/timeout/i);
});
