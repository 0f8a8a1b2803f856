/** Programs of the run's build, as users have them (test/global-setup.ts makes it). */
import path from 'node:path';
import { inject } from 'vitest';

/** A module that is started as a program, named as from the repository's root without extension. */
export const builtModule = (name: string): string => path.join(inject('built'), 'dist', `${name}.js`);

/** Plain JavaScript: it starts in a tenth of the time that tsx needs. */
export const builtScriptedAgent = (): string => path.join(inject('built'), 'test', 'scripted-agent.js');

export const builtCommand = (): string => path.join(inject('built'), 'bin', 'longhaul.js');
