/** Agents that hang: how long they may is a setting. */
import { afterAll, beforeAll, test } from 'vitest';
import type { TaskId } from '../../contract/ids.ts';
import { text } from '../agents/scripts.ts';
import { expectEnd, expectHalf, FailingAgents, HALF, startFailingAgents, WHOLE_MS } from './lab.ts';

const BUILD = {
  sessionUpdate: 'tool_call',
  toolCallId: 'a',
  title: 'npm run build',
  kind: 'execute',
  status: 'in_progress',
};

let agents: FailingAgents;
let inInitialize: TaskId;
let inNewSession: TaskId;
let inTurn: TaskId;
let building: TaskId;

beforeAll(async () => {
  const env = {
    LONGHAUL_AGENT_START_TIMEOUT: '8',
    LONGHAUL_AGENT_STALL_TIMEOUT: '4',
    LONGHAUL_AGENT_TOOL_TIMEOUT: '60',
  };
  agents = await startFailingAgents({ env });
  inInitialize = await agents.play({ initialize: 'hang' }, HALF);
  inNewSession = await agents.play({ newSession: 'hang' }, HALF);
  inTurn = await agents.play({ ignoreTerm: true }, [
    ...HALF,
    { stderr: 'connecting to the model …\n' },
    { hang: true },
  ]);
  building = await agents.play({}, [
    { update: BUILD },
    { sleepMs: 8_000 },
    { update: { ...BUILD, sessionUpdate: 'tool_call_update', status: 'completed' } },
    { write: 'whole.txt', content: 'whole' },
    { update: text('one two three four five six seven eight') },
    { stop: 'end_turn' },
  ]);
  await agents.allEnded();
}, WHOLE_MS);
afterAll(() => agents.close());

test('an agent that never answers initialize', async () => {
  const says =
    /^3 attempts failed\. The last: agent-1 was not ready within 8 s: it did not answer initialize\. .*agent-1` starts by hand/;
  await expectEnd(agents, inInitialize, { state: 'failed', code: 'agent_start_timeout', says, attempts: 3 });
});

test('an agent that never makes a session', async () => {
  const says = /agent-2 was not ready within 8 s: it did not answer session\/new\. .*LONGHAUL_AGENT_START_TIMEOUT/;
  await expectEnd(agents, inNewSession, { state: 'failed', code: 'agent_start_timeout', says, attempts: 3 });
});

test('an agent that becomes silent in mid-turn: the edits so far are kept', async () => {
  const says = /agent-3 sent nothing for 4 s during its turn\. .*LONGHAUL_AGENT_STALL_TIMEOUT\. It said: connecting/;
  await expectEnd(agents, inTurn, { state: 'failed', code: 'agent_stalled', says, attempts: 3 });
  await expectHalf(agents.lab, inTurn);
});

test('an agent whose build is silent for twice that time completes', async () => {
  await agents.expectUndisturbed(building);
});
