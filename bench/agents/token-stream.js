#!/usr/bin/env node
// An agent that streams tokens, for instance with the prompt `20 tokens/s for 30 s`. Each token contains the time at
// which it was written, so that a reader can compute the token's age: `A-1732400000123.456 ` is the process and the
// time in ms. The agent can load its sessions, which contain nothing, and then continues to stream.
import { createInterface } from 'node:readline';

const send = (message) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
const now = () => (performance.timeOrigin + performance.now()).toFixed(3);
let stop = () => {};

function stream({ id, params: { sessionId, prompt } }) {
  const [, perSecond, seconds] = /(\d+) tokens\/s for (\d+) s/.exec(prompt[0].text).map(Number);
  let left = perSecond * seconds;
  const say = () => {
    const content = { type: 'text', text: `${process.pid}-${now()} ` };
    send({
      method: 'session/update',
      params: { sessionId, update: { sessionUpdate: 'agent_message_chunk', content } },
    });
    left -= 1;
    if (left === 0) end('end_turn');
  };
  const timer = setInterval(say, 1_000 / perSecond);
  const end = (stopReason) => {
    clearInterval(timer);
    send({ id, result: { stopReason } });
  };
  stop = () => end('cancelled');
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const message = JSON.parse(line);
    const { id, method } = message;
    if (method === 'initialize') send({ id, result: { protocolVersion: 1, agentCapabilities: { loadSession: true } } });
    if (method === 'session/new') send({ id, result: { sessionId: `tokens-${process.pid}` } });
    if (method === 'session/load') send({ id, result: {} });
    if (method === 'session/prompt') stream(message);
    if (method === 'session/cancel') stop();
  })
  .on('close', () => process.exit(0));
