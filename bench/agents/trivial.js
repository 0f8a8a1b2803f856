#!/usr/bin/env node
// An agent that does almost nothing: it writes one file and a few words and ends its turn. So the time of a task with
// this agent is the time that the dispatcher needs. The agent uses no SDK, because loading one takes longer than the
// turn.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const send = (message) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
let cwd = '.';

createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method, params } = JSON.parse(line);
  if (method === 'initialize') send({ id, result: { protocolVersion: 1, agentCapabilities: {} } });
  if (method === 'session/new') {
    cwd = params.cwd;
    send({ id, result: { sessionId: 'trivial' } });
  }
  if (method !== 'session/prompt') return;
  writeFileSync(join(cwd, 'written.txt'), `${params.prompt[0].text}\n`);
  const update = { sessionUpdate: 'agent_message_chunk', content: { type: 'text', text: 'I wrote written.txt.' } };
  send({ method: 'session/update', params: { sessionId: params.sessionId, update } });
  send({ id, result: { stopReason: 'end_turn' } });
});
