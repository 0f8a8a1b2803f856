import { spawn } from 'node-pty';
import { expect, test } from 'vitest';
import { readToTheEnd } from '../../../agents/terminal/whole-output.ts';

test('output that the terminal still holds when its socket is closed is read', async () => {
  const env = { PATH: process.env['PATH'] };
  const pty = spawn('/bin/sh', ['-c', 'echo one; echo two'], { env, encoding: null });
  readToTheEnd(pty);
  const read: Buffer[] = [];
  pty.onData((data: string | Buffer) => read.push(data as Buffer));
  pty.pause();
  await new Promise((resolve) => pty.onExit(resolve));
  expect(Buffer.concat(read).toString()).toBe('one\r\ntwo\r\n');
});
