/** The demo agent conforms. */
import { demoLaunch } from '../lab.ts';
import type { Act, AgentUnderTest } from './agent.ts';
import { describeAgent } from './suite.ts';

const quoted = (text: string): string =>
  `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;

/** One instruction a line (agents/demo/instructions.ts). */
function instruction(act: Act): string {
  switch (act.kind) {
    case 'say':
      return `say ${quoted(act.text)}`;
    case 'think':
      return `think about ${quoted(act.text)}`;
    case 'edit':
      return `${act.asks ? `ask before ${act.file}\n` : ''}write ${act.file} with ${quoted(act.content)}`;
    case 'run':
      return `run sh -c ${quoted(act.script)}`;
    case 'flood':
      return `flood ${act.megabytes} MB`;
    case 'hang':
      return 'hang';
  }
}

const demo = (): AgentUnderTest => ({
  launch: demoLaunch(),
  prompt: (acts) => acts.map(instruction).join('\n'),
  choices: {
    set: { model: 'loud', modeId: 'look', thinkingOptionId: 'on' },
    prompt: 'write never.txt with x\nsay quiet please',
    shown: (lab) =>
      lab.text().includes('QUIET PLEASE') &&
      lab.events.some(({ kind }) => kind === 'reasoning') &&
      JSON.stringify(lab.events).includes('in mode look nothing is changed'),
  },
});

describeAgent('the demo agent', demo, {
  tools: true,
  permissions: true,
  reasoning: true,
  resume: true,
  choices: true,
  usage: true,
});
