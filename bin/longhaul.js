#!/usr/bin/env node
// Starts the command. A checkout runs its build if the build was made from the current sources. Otherwise it runs the
// sources through tsx, which compiles them first. A published package has only the build. This file uses only features
// of old Node versions, so that they can print the required version.
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The exit code on an unsupported system. It is the code of wrong usage, because the command did nothing. */
const EXIT_USAGE = 2;

const why = whyNotHere() ?? (await whyNotThisDriver());
if (why !== undefined) {
  process.stderr.write(`longhaul: ${why}\n`);
  process.exitCode = EXIT_USAGE;
} else {
  await start();
}

function whyNotHere() {
  const { engines } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  const wanted = engines.node.replace('>=', '');
  const [major, minor] = wanted.split('.').map(Number);
  const [hasMajor, hasMinor] = process.versions.node.split('.').map(Number);
  if (hasMajor < major || (hasMajor === major && hasMinor < minor)) {
    return `needs Node ${wanted} or newer, found ${process.version} (${process.execPath}). Install a newer Node.`;
  }
  if (process.platform !== 'linux') {
    return `needs Linux, found ${process.platform}: Longhaul finds the processes of agents through /proc. Use a Linux machine, or a container.`;
  }
  return undefined;
}

/** Patches the Postgres driver if that was not done at its installation. Returns why that is not possible. */
async function whyNotThisDriver() {
  try {
    await import('./patch-postgres.js');
    return undefined;
  } catch (error) {
    return `the Postgres driver could not be patched: ${error.message}`;
  }
}

async function start() {
  const root = fileURLToPath(new URL('../', import.meta.url));
  const source = new URL('../cli/main.ts', import.meta.url);
  if (!existsSync(source) || (await hasCurrentBuild(root))) {
    await import(new URL('../dist/cli/main.js', import.meta.url).href);
    return;
  }
  const { register } = await import('tsx/esm/api');
  // Without this setting, tsx uses the compiler options of the user's current folder.
  register({ tsconfig: fileURLToPath(new URL('../tsconfig.json', import.meta.url)) });
  await import(source.href);
}

async function hasCurrentBuild(root) {
  const { isBuildCurrent } = await import('./build-record.js');
  return isBuildCurrent(root, fileURLToPath(new URL('../dist', import.meta.url)));
}
