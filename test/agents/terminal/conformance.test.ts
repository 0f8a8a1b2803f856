/** A command-line agent in a terminal conforms: one without a profile, and one whose profile has choices and a resume. */
import type { AgentUnderTest } from '../conformance/agent.ts';
import { describeAbilities, describeAgent } from '../conformance/suite.ts';
import type { Lab } from '../lab.ts';
import { ACTING, promptOf } from './acts.ts';
import { inTerminal } from './programs.ts';

const unknown = (lab: Lab): AgentUnderTest => ({ launch: inTerminal(lab, ACTING()), prompt: promptOf });

describeAgent('an agent in a terminal', unknown, {
  tools: false,
  permissions: true,
  reasoning: false,
  resume: false,
  choices: false,
  usage: false,
});

const CODEX_HEAD = `
  console.log('session id: 01a2b3c4-0000-7000-8000-0123456789ab');
  console.log('arguments: ' + process.argv.slice(2, -1).join(' '));`;

const codex = (lab: Lab): AgentUnderTest => ({
  launch: inTerminal(lab, ACTING(CODEX_HEAD), 'codex'),
  prompt: promptOf,
  choices: {
    set: { model: 'gpt-x', modeId: 'read-only', thinkingOptionId: 'high' },
    prompt: promptOf([]),
    shown: (lab) =>
      /--sandbox read-only --model gpt-x --config model_reasoning_effort="high"/.test(lab.text().replaceAll('\n', ' ')),
  },
});

describeAbilities('codex in a terminal', codex, {
  tools: false,
  // codex exec asks nothing; the question of this program is one that every profile knows.
  permissions: true,
  reasoning: false,
  resume: true,
  choices: true,
  usage: false,
});
