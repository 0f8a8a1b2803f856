import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { TurnEnd } from '../../../agents/driver.ts';
import { decideByPolicy } from '../../../agents/permission-policy.ts';
import { makeLab, PATIENT, type Lab } from '../lab.ts';
import { inTerminal, recordingsOf } from './programs.ts';

interface Ran {
  readonly end: TurnEnd;
  readonly text: string;
}

async function ran(lab: Lab, code: string, prompt = 'do it'): Promise<Ran> {
  const agent = await lab.open(inTerminal(lab, code));
  const session = await agent.newSession({});
  const end = await session.prompt(prompt);
  await agent.close();
  return { end, text: lab.text() };
}

/** Reads one line from the terminal. */
const READ_LINE = `
  const { openSync, readSync, writeSync } = require('node:fs');
  const tty = openSync('/dev/tty', 'r+');
  const ask = (question) => {
    writeSync(tty, question);
    const bytes = Buffer.alloc(100);
    return bytes.toString('utf8', 0, readSync(tty, bytes, 0, 100, null)).trim();
  };`;

describe('the output of a program becomes the message', () => {
  test.each([
    [
      'its arguments are the prompt',
      `console.log(JSON.stringify(process.argv.slice(2)))`,
      'say "a b"',
      '["say \\"a b\\""]',
    ],
    [
      'a prompt with a dash is no option',
      `console.log(JSON.stringify(process.argv.slice(2)))`,
      '--help',
      '[" --help"]',
    ],
    ['standard output', `console.log('out')`, 'x', 'out'],
    ['standard error', `console.error('err')`, 'x', 'err'],
    ['nothing', ``, 'x', '(no output)'],
    [
      'it has a terminal',
      `console.log(process.stdin.isTTY, process.stdout.isTTY, process.stdout.columns)`,
      'x',
      'true true 120',
    ],
    ['redraws once', `for (let at = 0; at <= 100; at += 1) process.stdout.write('\\r' + at + ' %')`, 'x', '100 %'],
  ])('%s', async (_title, code, prompt, text) => {
    expect(await ran(makeLab(), code, prompt)).toEqual({ end: { kind: 'completed' }, text });
  });

  test('a character that arrives in pieces is joined', async () => {
    const code = `
      (async () => {
        for (const byte of Buffer.from('漢字 👩‍👧')) {
          process.stdout.write(Buffer.from([byte]));
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      })();`;
    expect((await ran(makeLab(), code)).text).toBe('漢字 👩‍👧');
  });

  test('lines arrive while the program runs', async () => {
    const lab = makeLab();
    const gate = path.join(lab.home, 'gate');
    const code = `
      console.log('first'); console.log('second');
      setInterval(() => require('node:fs').existsSync(${JSON.stringify(gate)}) && process.exit(0), 20);`;
    const running = ran(lab, code);
    await lab.until('the first lines', () => lab.text() === 'first\nsecond');
    writeFileSync(gate, '');
    expect(await running).toEqual({ end: { kind: 'completed' }, text: 'first\nsecond' });
  });

  test('5 MB of output are cut, and the end is marked as cut', async () => {
    const code = `
      let line = 0;
      const more = () => { while (line < 100000) if (!process.stdout.write('line ' + (line += 1) + ' of a long build log, again and again\\n')) return process.stdout.once('drain', more); };
      more();`;
    const { end, text } = await ran(makeLab(), code);
    expect(end).toEqual({ kind: 'completed' });
    expect(text.length).toBeLessThan(2_001_000);
    expect(text).toMatch(/^line 1 of .*\nline 2 of /);
    expect(text).toMatch(/\n\[\d+ more characters of output are left out; the recording has them\]$/);
  });
});

describe('the end of a program', () => {
  test('an exit code fails the turn, with the last output', async () => {
    const { end } = await ran(
      makeLab(),
      `console.log('work'); console.log('cannot read the model file'); process.exit(3)`,
    );
    const message = 'mine exited with code 3. Its last output: work cannot read the model file';
    expect(end).toEqual({ kind: 'failed', code: 'agent_failed', message });
  });

  test('a signal is a crash', async () => {
    const { end } = await ran(makeLab(), `process.kill(process.pid, 'SIGKILL')`);
    expect(end).toEqual({
      kind: 'failed',
      code: 'agent_crashed',
      message: 'mine was ended by SIGKILL. It printed nothing.',
    });
  });

  test.each([
    ['Error: 503 Service Unavailable', 'llm_unavailable'],
    ['You have hit your usage limit. Try again in 2 hours.', 'usage_limit'],
    ['Invalid API key. Please log in first.', 'agent_needs_login'],
  ])('%s is understood', async (line, code) => {
    expect((await ran(makeLab(), `console.log(${JSON.stringify(line)}); process.exit(1)`)).end).toMatchObject({
      kind: 'failed',
      code,
    });
  });

  test('the message above a stack trace is understood, and is in the output', async () => {
    const frames = Array.from(
      { length: 12 },
      (_, at) => `    at async Turn.run (file:///opt/agent/bundle/chunk.js:33${at}:24)`,
    );
    const trace = (message: string): string => {
      const printed = [
        `Error: ${message}`,
        ...frames.slice(1),
        `${frames[0]} {`,
        '  status: 400',
        '}',
        'It was critical.',
      ];
      return `console.error(${JSON.stringify(printed.join('\n'))}); process.exit(1)`;
    };
    expect((await ran(makeLab(), trace('API key not valid.'))).end).toMatchObject({ code: 'agent_needs_login' });
    const message = 'mine exited with code 1. Its last output: Error: No images.   status: 400 It was critical.';
    expect((await ran(makeLab(), trace('No images.'))).end).toEqual({ kind: 'failed', code: 'agent_failed', message });
  });

  test('a prompt that is too long for an argument is refused with a message', async () => {
    const { end } = await ran(makeLab(), `console.log('never')`, 'x'.repeat(200_000));
    expect(end).toMatchObject({
      kind: 'failed',
      message: expect.stringContaining('found 200000') as string,
    });
  });
});

describe('the stall clock', () => {
  const stalled = async (code: string, stallMs: number): Promise<unknown> => {
    const lab = makeLab();
    const agent = await lab.open(inTerminal(lab, code), { timeouts: { ...PATIENT, stallMs, toolMs: stallMs } });
    return (await agent.newSession({})).prompt('x').catch((error: unknown) => error);
  };

  test('a spinner is no sign of life', async () => {
    const code = `let at = 0; setInterval(() => process.stdout.write('\\rThinking ' + '|/-+'[(at += 1) % 4]), 50)`;
    expect(await stalled(code, 4_000)).toMatchObject({ code: 'agent_stalled' });
  });

  test('a line that is redrawn with other words is one', async () => {
    const code = `
      let at = 0;
      setInterval(() => {
        process.stdout.write('\\rstep ' + String.fromCharCode(97 + at));
        if ((at += 1) === 16) process.exit(0);
      }, 1000);`;
    expect(await stalled(code, 12_000)).toEqual({ kind: 'completed' });
  });
});

describe('questions', () => {
  const code = `${READ_LINE}
    console.log('I would run: rm -r build');
    console.log(ask('Continue? [y/N] ') === 'y' ? 'removed' : 'kept');
    console.log(ask('Again (yes/no)? ') === 'yes' ? 'twice' : 'once');`;

  test('are permission requests, and the answers are typed', async () => {
    const lab = makeLab();
    const { end, text } = await ran(lab, code);
    expect(end).toEqual({ kind: 'completed' });
    expect(text).toBe('I would run: rm -r build\nContinue? [y/N] y\nremoved\nAgain (yes/no)? yes\ntwice');
    expect(lab.asks.map(({ toolCall }) => toolCall.title)).toEqual(['Continue? [y/N]', 'Again (yes/no)?']);
    expect(lab.asks[0]?.toolCall.content).toEqual([
      { type: 'text', text: 'I would run: rm -r build\nContinue? [y/N]' },
    ]);
  });

  test('a refusal is typed, too', async () => {
    const lab = makeLab();
    const agent = await lab.open(inTerminal(lab, code), {
      onPermission: (ask) => Promise.resolve(decideByPolicy('deny', ask)),
    });
    const session = await agent.newSession({});
    expect(await session.prompt('x')).toEqual({ kind: 'completed' });
    expect(lab.text()).toContain('kept');
    expect(lab.text()).toContain('once');
    const calls = lab.events.flatMap((event) => (event.kind === 'tool_call' ? [event.call] : []));
    expect(calls.at(-1)?.status).toBe('failed');
  });

  test('the text of a question in the middle of the output is no request', async () => {
    const lab = makeLab();
    const { text } = await ran(lab, `console.log('It asks [y/n]'); console.log('and prints on')`);
    expect(text).toBe('It asks [y/n]\nand prints on');
    expect(lab.asks).toEqual([]);
  });
});

test('a shell can stop and continue its jobs (job control)', async () => {
  const script = '#!/bin/sh\nset -m\nsleep 0.2 &\nfg %1 >/dev/null\necho "ended with $?"\n';
  expect((await ran(makeLab(), script)).text).toBe('ended with 0');
});

test('the program gets the environment of every agent, and none of our credentials', async () => {
  const lab = makeLab();
  const launch = inTerminal(lab, `console.log(Object.keys(process.env).toSorted().join(' '))`);
  const env = {
    PATH: process.env['PATH'],
    HOME: lab.home,
    DATABASE_URL: 'secret',
    OPENAI_API_KEY: 'x',
    LONGHAUL_HOME: lab.home,
  };
  const agent = await lab.open(launch, { env });
  await (await agent.newSession({})).prompt('x');
  const names = lab.text().replaceAll('\n', ' ').split(' ');
  expect(names).toContain('LONGHAUL_TASK');
  expect(names).not.toContain('DATABASE_URL');
  expect(names).not.toContain('OPENAI_API_KEY');
});

describe('a cancel', () => {
  test('interrupts the program, which has time to clean up', async () => {
    const lab = makeLab();
    const code = `
      process.on('SIGINT', () => { console.log('saved'); process.exit(130); });
      console.log('at work'); setInterval(() => {}, 1000);`;
    const running = ran(lab, code);
    await lab.until('its words', () => lab.text().includes('at work'));
    lab.stop.abort();
    expect(await running).toMatchObject({ end: { kind: 'stopped' }, text: expect.stringContaining('saved') as string });
  });

  test('ends a program that ignores it, and its child processes', async () => {
    const lab = makeLab();
    const code = `
      for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => {});
      require('node:child_process').spawn('sleep', ['1000'], { detached: true, stdio: 'ignore' });
      console.log('at work'); setInterval(() => {}, 1000);`;
    const running = ran(lab, code);
    await lab.until('its words', () => lab.text().includes('at work'));
    lab.stop.abort();
    expect((await running).end).toEqual({ kind: 'stopped' });
    // The lab's afterEach fails if a process is left.
  });
});

describe('the recording', () => {
  test('has output and input, as an asciicast', async () => {
    const lab = makeLab();
    await ran(lab, `${READ_LINE} ask('Continue? [y/N] ')`);
    const [lines = []] = recordingsOf(lab);
    const [header, ...events] = lines.map((line) => JSON.parse(line) as unknown);
    expect(header).toMatchObject({ version: 2, width: 120, height: 30, title: 'mine' });
    expect(events).toEqual([
      [expect.any(Number), 'o', 'Continue? [y/N] '],
      [expect.any(Number), 'i', 'y\r'],
      [expect.any(Number), 'o', 'y\r\n'],
    ]);
  });

  test('of a killed adapter can be read', async () => {
    const lab = makeLab();
    const agent = await lab.open(inTerminal(lab, `console.log('at work'); setInterval(() => {}, 1000)`));
    const session = await agent.newSession({});
    const turn = session.prompt('x').catch((error: unknown) => error);
    await lab.until('its words', () => lab.text().includes('at work'));
    await lab.until('the recording', () => recordingsOf(lab)[0]?.[1]?.includes('at work') === true);
    process.kill(agent.process.pid, 'SIGKILL');
    expect(await turn).toMatchObject({ code: 'agent_crashed' });
    expect(recordingsOf(lab)[0]?.[1]).toContain('at work');
  });
});

describe('a conversation', () => {
  const CODEX = `
    const args = process.argv.slice(2);
    const { existsSync } = require('node:fs');
    if (args.includes('resume') && existsSync('lost')) { console.log('no rollout found for id'); process.exit(1); }
    console.log('session id: 01a2b3c4-0000-7000-8000-0123456789ab');
    console.log(JSON.stringify(args));`;

  async function twice(lab: Lab): Promise<string[]> {
    const first = await lab.open(inTerminal(lab, CODEX, 'codex'));
    const session = await first.newSession({ model: 'gpt-x', thinkingOptionId: 'high' });
    await session.prompt('one');
    await first.close();
    const second = await lab.open(inTerminal(lab, CODEX, 'codex'));
    const resumed = await second.resume?.load(session.id, { modeId: 'read-only' });
    await resumed?.prompt('two');
    await second.close();
    return lab
      .text()
      .split('session id: 01a2b3c4-0000-7000-8000-0123456789ab')
      .map((part) => part.trim());
  }

  test('is continued by its id, in a new process, with the choices of the first', async () => {
    const [, first, second] = await twice(makeLab());
    const choices = ['--model', 'gpt-x', '--config', 'model_reasoning_effort="high"'];
    expect(JSON.parse(first ?? '')).toEqual(['exec', '--sandbox', 'workspace-write', ...choices, '--', 'one']);
    const id = '01a2b3c4-0000-7000-8000-0123456789ab';
    expect(JSON.parse(second ?? '')).toEqual(['exec', '--sandbox', 'read-only', ...choices, 'resume', id, '--', 'two']);
  });

  test('that the agent has lost is started anew', async () => {
    const lab = makeLab();
    writeFileSync(path.join(lab.cwd, 'lost'), '');
    const parts = await twice(lab);
    expect(parts.at(-1)).toContain('"--","two"');
    expect(parts.at(-1)).not.toContain('resume');
  });

  test('cannot be loaded for an agent whose profile declares none', async () => {
    const lab = makeLab();
    const agent = await lab.open(inTerminal(lab, ``));
    expect(agent.resume).toBeUndefined();
  });
});

test('a mode that the profile does not have is refused; the message lists the known ones', async () => {
  const lab = makeLab();
  const agent = await lab.open(inTerminal(lab, ``, 'codex'));
  const failed = await agent.newSession({ modeId: 'best' }).catch((error: unknown) => error);
  expect(failed).toMatchObject({
    code: 'option_not_available',
    message: expect.stringContaining('workspace-write') as string,
  });
});

test('what aider makes for itself in the working directory is removed, and its failure with exit code 0 is one', async () => {
  const lab = makeLab();
  const code = `
    const { mkdirSync, writeFileSync } = require('node:fs');
    mkdirSync('.aider.tags.cache.v4'); writeFileSync('.aider.tags.cache.v4/cache.db', ''); writeFileSync('kept.txt', '');
    console.log('litellm.AuthenticationError: the key is invalid');
    console.log('The API provider is not able to authenticate you.');`;
  const agent = await lab.open(inTerminal(lab, code, 'aider'));
  expect(await (await agent.newSession({})).prompt('x')).toMatchObject({ kind: 'failed', code: 'agent_needs_login' });
  expect(readdirSync(lab.cwd)).toEqual(['kept.txt']);
});

test('a prompt file contains the complete prompt and is removed', async () => {
  const lab = makeLab();
  const agent = await lab.open(
    inTerminal(
      lab,
      `const file = process.argv.at(-1); console.log(file); console.log(require('node:fs').readFileSync(file, 'utf8').length)`,
      'aider',
    ),
  );
  expect(await (await agent.newSession({})).prompt(`-${'x'.repeat(200_000)}`)).toEqual({ kind: 'completed' });
  const [file = '', length] = lab.text().split('\n');
  expect(length).toBe('200001');
  expect(() => readFileSync(file)).toThrow('ENOENT');
});
