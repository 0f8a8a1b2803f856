/** What holds of a program that declares an ability, and of one that declares to lack it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { AgentEvent, OpenAgent } from '../../../agents/driver.ts';
import { decideByPolicy } from '../../../agents/permission-policy.ts';
import { findMarked } from '../../../agents/process/end.ts';
import type { AgentSessionId } from '../../../contract/ids.ts';
import { MAX_REASONING_CHARS } from '../../../frames/fold.ts';
import { failure, PATIENT } from '../lab.ts';
import type { Ability, Act } from './agent.ts';
import { type Body, callsIn, edit, HANG, kindsIn, recorded, say, stopsInTime } from './subject.ts';

export const OF_ABILITY: Readonly<Record<Ability, Readonly<Record<string, Body>>>> = {
  tools: {
    'an edit is a tool call between the words around it, and ends': async ({ lab, turn }) => {
      await turn([say('before it.'), edit('made.txt'), say('after it.')]);
      const calls = callsIn(lab.events);
      expect(calls.at(-1)).toMatchObject({ kind: 'edit', status: 'completed' });
      expect(new Set(calls.map((call) => call.tool_call_id)).size).toBe(1);
      expect(JSON.stringify(calls.at(-1))).toContain('made.txt');
      const place = (test: (event: AgentEvent) => boolean) => lab.events.findIndex(test);
      const before = place((event) => event.kind === 'text' && event.text.includes('before it.'));
      const call = place((event) => event.kind === 'tool_call');
      const after = place((event) => event.kind === 'text' && event.text.includes('after it.'));
      expect([before, call, after].toSorted((a, b) => a - b)).toEqual([before, call, after]);
      expect(before).toBeGreaterThanOrEqual(0);
      expect(lab.events.findLastIndex(({ kind }) => kind === 'tool_call')).toBeLessThan(after);
    },
    'a tool call that a stop cuts off is closed as failed': async (subject) => {
      const { lab } = subject;
      const run: Act = { kind: 'run', script: 'touch started; sleep 600' };
      await stopsInTime(subject, [run], () => existsSync(join(lab.cwd, 'started')) && callsIn(lab.events).length > 0);
      expect(callsIn(lab.events).at(-1)).toMatchObject({ status: 'failed' });
    },
    'a command may be silent for longer than the stall timeout': async ({ turn }) => {
      const timeouts = { ...PATIENT, stallMs: 1_000 };
      const end = await turn([{ kind: 'run', script: 'sleep 3' }, say('built')], { timeouts });
      expect(end).toMatchObject({ kind: 'completed' });
    },
  },

  permissions: {
    'asked and allowed, the edit is made': async ({ lab, turn }) => {
      expect(await turn([edit('made.txt', true)])).toMatchObject({ kind: 'completed' });
      expect(lab.asks).toHaveLength(1);
      expect(lab.asks[0]?.options.map(({ kind }) => kind)).toEqual(
        expect.arrayContaining(['allow_once', 'reject_once']),
      );
      expect(JSON.stringify(lab.asks[0]?.toolCall)).toContain('made.txt');
      expect(existsSync(join(lab.cwd, 'made.txt'))).toBe(true);
    },
    'asked and denied, the edit is not made': async ({ lab, turn }) => {
      const onPermission: OpenAgent['onPermission'] = async (ask) => {
        lab.asks.push(ask);
        return decideByPolicy('deny', ask);
      };
      const end = await turn([edit('made.txt', true)], { onPermission });
      // Some programs give up the turn then.
      expect(end.kind === 'failed' ? end.code : end.kind).toMatch(/^(completed|agent_refused)$/);
      expect(lab.asks).toHaveLength(1);
      expect(existsSync(join(lab.cwd, 'made.txt'))).toBe(false);
    },
    'a prompt that is open makes no stall': async ({ lab, turn }) => {
      const onPermission: OpenAgent['onPermission'] = async (ask) => {
        // Longer than the stall timeout below: no event shows that the driver does not stall.
        await new Promise((resolve) => setTimeout(resolve, 9_000));
        return decideByPolicy('allow', ask);
      };
      const end = await turn([edit('made.txt', true)], {
        onPermission,
        timeouts: { ...PATIENT, stallMs: 4_000, toolMs: 4_000 },
      });
      expect(end).toMatchObject({ kind: 'completed' });
      expect(existsSync(join(lab.cwd, 'made.txt'))).toBe(true);
    },
    'a stop while a prompt is open ends the turn, and the edit is not made': async ({ lab, turn }) => {
      const onPermission: OpenAgent['onPermission'] = (ask) => {
        lab.asks.push(ask);
        return new Promise(() => {});
      };
      const end = turn([edit('made.txt', true)], { onPermission });
      await lab.until('the prompt', () => lab.asks.length === 1);
      lab.stop.abort();
      expect(await end).toEqual({ kind: 'stopped' });
      expect(existsSync(join(lab.cwd, 'made.txt'))).toBe(false);
      expect(findMarked(lab.taskId)).toEqual([]);
    },
  },

  reasoning: {
    'thoughts are reasoning, not words': async ({ lab, turn }) => {
      await turn([{ kind: 'think', text: 'a private thought' }, say('a public word')]);
      const thought = lab.events.map((event) => (event.kind === 'reasoning' ? event.text : '')).join('');
      expect(thought).toContain('a private thought');
      expect(lab.text()).toContain('a public word');
      expect(lab.text()).not.toContain('a private thought');
    },
    'the message keeps its limit of reasoning, and the stream continues': async ({ lab, turn }) => {
      const thought = 'thought '.repeat(MAX_REASONING_CHARS / 8 + 5_000);
      await turn([{ kind: 'think', text: thought }, say('after the thought')]);
      const { view, frames } = recorded(lab.events);
      expect(view.reasoning).toHaveLength(MAX_REASONING_CHARS);
      expect(frames.filter(({ type }) => type === 'warning')).toHaveLength(1);
      const streamed = frames.map((frame) => (frame.type === 'reasoning_delta' ? frame.content : '')).join('');
      expect(streamed.length).toBeGreaterThanOrEqual(thought.trim().length);
      expect(view.content).toContain('after the thought');
    },
  },

  resume: {
    'after a kill the session is loaded, its history is not reported again, and it takes the next turn': async ({
      lab,
      under,
      start,
      open,
    }) => {
      const { agent, id, perform } = await start();
      const cut = failure(perform([say('words of the first turn'), HANG]));
      await lab.until('the first turn', () => lab.text().includes('words of the first turn'));
      process.kill(agent.process.pid, 'SIGKILL');
      expect(await cut).toMatchObject({ code: 'agent_crashed' });
      lab.events.length = 0;
      const session = await (await open()).resume?.load(id, {});
      expect(session?.id).toBe(id);
      expect(lab.text()).toBe('');
      expect(await session?.prompt(under.prompt([say('words of the second turn')]))).toMatchObject({
        kind: 'completed',
      });
      expect(lab.text()).toContain('words of the second turn');
      expect(lab.text()).not.toContain('words of the first turn');
    },
    'a session that never was is agent_session_lost, and a new one can be had from the same process': async ({
      lab,
      under,
      open,
    }) => {
      const agent = await open();
      const lost = agent.resume?.load('6f1f36a5-0000-4000-8000-000000000000' as AgentSessionId, {});
      expect(await failure(lost ?? Promise.resolve())).toMatchObject({ code: 'agent_session_lost' });
      const session = await agent.newSession({});
      expect(await session.prompt(under.prompt([say('a new start')]))).toMatchObject({ kind: 'completed' });
      expect(lab.text()).toContain('a new start');
    },
  },

  choices: {
    'what was chosen holds for the turn, and for a turn after a resume': async ({ lab, under, open }) => {
      const { choices } = under;
      if (choices === undefined) throw new TypeError('an agent that declares choices says which');
      const first = await open();
      const session = await first.newSession(choices.set);
      expect(await session.prompt(choices.prompt)).toMatchObject({ kind: 'completed' });
      expect(choices.shown(lab)).toBe(true);
      await first.close();
      if (first.resume === undefined) return;
      lab.events.length = 0;
      const loaded = await (await open()).resume?.load(session.id, choices.set);
      expect(await loaded?.prompt(choices.prompt)).toMatchObject({ kind: 'completed' });
      expect(choices.shown(lab)).toBe(true);
    },
    'without a choice the defaults hold': async ({ lab, under, open }) => {
      const session = await (await open()).newSession({});
      await session.prompt(under.choices?.prompt ?? '');
      expect(under.choices?.shown(lab)).toBe(false);
    },
  },

  usage: {
    'the end of a turn has its tokens': async ({ turn }) => {
      const end = await turn([say('one two three')]);
      expect(end).toMatchObject({ kind: 'completed', usage: { total_tokens: expect.any(Number) as number } });
    },
  },
};

/** That the program really lacks the ability that it declares to lack. */
export const LACKS: Readonly<Record<Ability, Body>> = {
  tools: async ({ lab, turn }) => {
    await turn([edit('made.txt')]);
    expect(kindsIn(lab)).not.toContain('tool_call');
  },
  permissions: async ({ lab, turn }) => {
    await turn([edit('made.txt', true)]);
    expect(lab.asks).toEqual([]);
  },
  reasoning: async ({ lab, turn }) => {
    await turn([{ kind: 'think', text: 'a private thought' }]);
    expect(kindsIn(lab)).not.toContain('reasoning');
  },
  resume: async ({ open }) => {
    expect((await open()).resume).toBeUndefined();
  },
  choices: async ({ open }) => {
    const error = await failure((await open()).newSession({ model: 'any' }));
    expect(error.message).toContain('it offers no choice of model');
  },
  usage: async ({ turn }) => {
    expect(await turn([say('one two three')])).not.toHaveProperty('usage');
  },
};
