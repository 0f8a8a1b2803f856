/** What holds whatever abilities a program has. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { AgentEvent } from '../../../agents/driver.ts';
import { findMarked } from '../../../agents/process/end.ts';
import { isErrorCode } from '../../../contract/errors.ts';
import { MAX_CONTENT_CHARS } from '../../../frames/fold.ts';
import { isAlive } from '../../../processes/identity.ts';
import { failure, PATIENT } from '../lab.ts';
import { type Body, edit, HANG, recorded, say, stopsInTime } from './subject.ts';

export const ALWAYS: Readonly<Record<string, Body>> = {
  'its words arrive in order, and the turn completes': async ({ lab, turn }) => {
    const words = Array.from({ length: 20 }, (_, index) => `word ${index} of the agent.`);
    expect(await turn(words.map((word) => say(word)))).toMatchObject({ kind: 'completed' });
    const said = lab.text();
    const places = words.map((word) => said.indexOf(word));
    expect(places).not.toContain(-1);
    expect(places).toEqual(places.toSorted((a, b) => a - b));
    expect(words.map((word) => said.split(word).length - 1)).toEqual(words.map(() => 1));
  },

  'it edits the files of its working directory': async ({ lab, turn }) => {
    expect(await turn([edit('made.txt')])).toMatchObject({ kind: 'completed' });
    expect(readFileSync(join(lab.cwd, 'made.txt'), 'utf8').trim()).toBe('written');
  },

  'a session takes one turn after another, and says nothing between them': async ({ lab, start }) => {
    const { perform } = await start();
    expect(await perform([say('the first turn')])).toMatchObject({ kind: 'completed' });
    const before = lab.events.length;
    expect(await perform([say('the second turn')])).toMatchObject({ kind: 'completed' });
    const said = (events: readonly AgentEvent[]) =>
      events.map((event) => (event.kind === 'text' ? event.text : '')).join('');
    expect(said(lab.events.slice(0, before))).toContain('the first turn');
    expect(said(lab.events.slice(before))).toContain('the second turn');
    expect(said(lab.events.slice(before))).not.toContain('the first turn');
  },

  'a stop ends a turn that hangs within 5 s, and nothing of it is left': async (subject) => {
    const { lab } = subject;
    await stopsInTime(subject, [say('at work'), HANG], () => lab.text().includes('at work'));
  },

  'a stop ends a command that it runs within 5 s, and nothing of it is left': async (subject) => {
    const started = join(subject.lab.cwd, 'started');
    await stopsInTime(subject, [{ kind: 'run', script: 'touch started; sleep 600' }], () => existsSync(started));
  },

  'killed in mid-turn it is agent_crashed, and nothing of it is left': async ({ lab, start }) => {
    const { agent, perform } = await start();
    const end = failure(perform([say('at work'), HANG]));
    await lab.until('the agent at work', () => lab.text().includes('at work'));
    process.kill(agent.process.pid, 'SIGKILL');
    expect(await end).toMatchObject({ code: 'agent_crashed' });
    expect(findMarked(lab.taskId)).toEqual([]);
  },

  'silent for the stall timeout it is agent_stalled, and nothing of it is left': async ({ lab, turn }) => {
    const timeouts = { ...PATIENT, stallMs: 2_000 };
    const error = await failure(turn([say('at work'), HANG], { timeouts }));
    expect(error).toMatchObject({ code: 'agent_stalled' });
    expect(isErrorCode(error.code)).toBe(true);
    expect(lab.text()).toContain('at work');
    expect(findMarked(lab.taskId)).toEqual([]);
  },

  'a flood arrives completely while the reader is slow; the message keeps its limit, and the stream continues': async ({
    lab,
    turn,
  }) => {
    const onEvent = async (event: AgentEvent): Promise<void> => {
      lab.events.push(event);
      if (lab.events.length % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 1)); // the slow reader
    };
    expect(await turn([{ kind: 'flood', megabytes: 1 }, say('after the flood')], { onEvent })).toMatchObject({
      kind: 'completed',
    });
    expect(lab.text().length).toBeGreaterThanOrEqual(1024 * 1024);
    expect(lab.text()).toContain('after the flood');
    const { view, frames } = recorded(lab.events);
    expect(view.content).toHaveLength(MAX_CONTENT_CHARS);
    expect(view.totalChars).toBeGreaterThan(1024 * 1024);
    expect(frames.filter(({ type }) => type === 'warning')).toHaveLength(1);
    const streamed = frames.map((frame) => (frame.type === 'delta' ? frame.content : '')).join('');
    expect(streamed).toContain('after the flood');
  },

  'garbage that a command prints stops nothing, and no event has a NUL or half a character': async ({ lab, turn }) => {
    const script = String.raw`printf '\377\376\000{"jsonrpc": \033[31mred\033[0m \360\237\r\n'; printf '\n\n[]\n{"jsonrpc":"2.0"}\n' >&2`;
    expect(await turn([{ kind: 'run', script }, say('still here')])).toMatchObject({ kind: 'completed' });
    expect(lab.text()).toContain('still here');
    const all = JSON.stringify(lab.events);
    expect(all.includes(String.raw`\u0000`)).toBe(false);
    expect(all).toBe(all.toWellFormed());
    expect(all).not.toMatch(/\\ud[89a-f]/i);
  },

  'of the environment it gets what the list allows, and the markers': async ({ lab, turn }) => {
    const secrets = {
      DATABASE_URL: 'secret',
      TEMPORAL_API_KEY: 'secret',
      LONGHAUL_TOKEN: 'secret',
      OF_THE_USER: 'secret',
    };
    const env = {
      PATH: process.env['PATH'],
      HOME: lab.home,
      LC_ALL: 'C',
      HTTPS_PROXY: 'http://127.0.0.1:9',
      ...secrets,
    };
    await turn([{ kind: 'run', script: 'env > environment.txt' }], { env: { ...env, NO_PROXY: '127.0.0.1' } });
    const seen = readFileSync(join(lab.cwd, 'environment.txt'), 'utf8');
    expect(seen).not.toContain('secret');
    expect(seen).toContain(`HOME=${lab.home}\n`);
    expect(seen).toContain('HTTPS_PROXY=http://127.0.0.1:9\n');
    expect(seen).toContain(`LONGHAUL_TASK=${lab.taskId}\n`);
  },

  'a model that it does not offer is refused before the turn, as option_not_available': async ({ open }) => {
    const agent = await open();
    expect(await failure(agent.newSession({ model: 'no such model' }))).toMatchObject({ code: 'option_not_available' });
    expect(isAlive(agent.process)).toBe(false);
  },
};
