/** The native agent conforms: the acts are what its model says. */
import { makeNativeLauncher } from '../../../agents/launch/native.ts';
import { inOrder, ModelServer } from '../../lab/model-server/model-server.ts';
import type { Said } from '../../lab/model-server/replies.ts';
import type { Lab } from '../lab.ts';
import type { Act, AgentUnderTest } from './agent.ts';
import { describeAgent } from './suite.ts';

const NEVER = new Promise<void>(() => {});

/** A reply ends with its tool call; the last one has none. */
function repliesOf(acts: readonly Act[]): Said[] {
  const replies: Said[] = [];
  let reply: Said = {};
  const end = (last: Said): void => {
    replies.push({ ...reply, ...last, whole: true });
    reply = {};
  };
  for (const act of acts) {
    switch (act.kind) {
      case 'say':
        reply = { ...reply, say: (reply.say ?? '') + act.text };
        break;
      case 'think':
        reply = { ...reply, think: (reply.think ?? '') + act.text };
        break;
      case 'flood':
        reply = { ...reply, say: `${'x'.repeat(1_023)}\n`.repeat(act.megabytes * 1_024) };
        break;
      case 'edit':
        end({ calls: [{ tool: 'write', input: { path: act.file, content: act.content } }] });
        break;
      case 'run':
        end({ calls: [{ tool: 'run', input: { command: act.script } }] });
        break;
      case 'hang':
        end({ hold: NEVER });
        break;
    }
  }
  end({ say: reply.say ?? 'Done.' });
  return replies;
}

async function native(lab: Lab): Promise<AgentUnderTest> {
  const model = await ModelServer.start();
  model.answer = (request) => ({ say: `I am the model ${request.model}.` });
  const launcher = makeNativeLauncher({ sessionsFolder: `${lab.home}/native` });
  const env = model.env('chat');
  const launch = launcher({ path: 'native', env });
  return {
    launch: { ...launch, env: { ...launch.env, DEFAULT_MODEL: env['DEFAULT_MODEL'] ?? '' } },
    prompt(acts) {
      model.answer = inOrder(...repliesOf(acts));
      return 'Do what the model says.';
    },
    choices: {
      set: { model: 'local/n' },
      prompt: 'Which model are you?',
      shown: (of) => of.text().includes('I am the model n.'),
    },
    close: () => model.stop(),
  };
}

describeAgent('the native agent', native, {
  tools: true,
  permissions: true,
  reasoning: true,
  resume: true,
  choices: true,
  usage: true,
});
