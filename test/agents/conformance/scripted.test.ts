/** The scripted agent conforms; one without any ability is known as such. */
import { scriptedLaunch } from '../lab.ts';
import type { ScriptedStart, Step } from '../scripted-agent.ts';
import { text } from '../scripts.ts';
import type { Act, AgentUnderTest } from './agent.ts';
import { describeAbilities, describeAgent } from './suite.ts';

const CHUNK = 8 * 1024;
const OPTIONS = {
  configOptions: [
    {
      id: 'model',
      name: 'Model',
      category: 'model',
      type: 'select',
      currentValue: 'plain',
      options: [
        { value: 'plain', name: 'Plain' },
        { value: 'better', name: 'Better' },
      ],
    },
  ],
};

const thought = (words: string): Step => ({
  update: { sessionUpdate: 'agent_thought_chunk', content: { type: 'text', text: words } },
});

function stepOf(act: Act): Step {
  switch (act.kind) {
    case 'say':
      return { update: text(act.text) };
    case 'think':
      return thought(act.text);
    case 'edit':
      return { edit: act.file, content: act.content, asks: act.asks };
    case 'run':
      return { run: act.script };
    case 'flood':
      return { flood: (act.megabytes * 1024 * 1024) / CHUNK, characters: CHUNK };
    case 'hang':
      return { hang: true };
  }
}

const scripted = (start: ScriptedStart, end: Step, plain: (act: Act) => readonly Step[]) => (): AgentUnderTest => ({
  launch: scriptedLaunch(start),
  prompt: (acts) => JSON.stringify([...acts.flatMap(plain), end]),
  choices: {
    set: { model: 'better' },
    prompt: JSON.stringify([{ echo: 'received' }, end]),
    shown: (lab) => lab.text().includes('"configId":"model","value":"better"'),
  },
});

const able: ScriptedStart = {
  newSession: { result: OPTIONS },
  load: { result: OPTIONS, replay: [text('words of the first turn')] },
};
const usage = { inputTokens: 3, outputTokens: 4, totalTokens: 7 };

describeAgent(
  'the scripted agent',
  scripted(able, { stop: 'end_turn', usage }, (act) => [stepOf(act)]),
  { tools: true, permissions: true, reasoning: true, resume: true, choices: true, usage: true },
);

/** It writes and runs without a tool call, never asks, and keeps its thoughts to itself. */
const silently = (act: Act): readonly Step[] => {
  if (act.kind === 'think') return [];
  if (act.kind === 'edit') return [{ write: act.file, content: act.content }];
  return [act.kind === 'run' ? { run: act.script, silent: true } : stepOf(act)];
};

describeAbilities('a scripted agent that has no ability', scripted({}, { stop: 'end_turn' }, silently), {
  tools: false,
  permissions: false,
  reasoning: false,
  resume: false,
  choices: false,
  usage: false,
});
