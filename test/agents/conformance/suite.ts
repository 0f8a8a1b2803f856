/**
 * What holds for every program that speaks ACP to Longhaul, through the real driver and with real processes. The programs
 * differ in their acts (agent.ts) and in the abilities that they declare; a test of a declared lack replaces the tests of the
 * ability and names them.
 */
import { describe, test } from 'vitest';
import { LACKS, OF_ABILITY } from './abilities.ts';
import { type Abilities, ABILITIES, type MakeAgent } from './agent.ts';
import { ALWAYS } from './always.ts';
import { subjects } from './subject.ts';

export function describeAgent(name: string, make: MakeAgent, abilities: Abilities): void {
  describe(`${name}, as every agent`, () => {
    const subject = subjects(make);
    for (const [title, body] of Object.entries(ALWAYS)) test(title, async () => body(await subject()));
  });
  describeAbilities(name, make, abilities);
}

/** The part of the suite that depends on the declared abilities. */
export function describeAbilities(name: string, make: MakeAgent, abilities: Abilities): void {
  describe(`${name}, by its abilities`, () => {
    const subject = subjects(make);
    for (const ability of ABILITIES) {
      const tests = Object.entries(OF_ABILITY[ability]);
      if (abilities[ability]) {
        for (const [title, body] of tests) test(`${ability}: ${title}`, async () => body(await subject()));
      } else {
        const leftOut = tests.map(([title]) => `"${title}"`).join(', ');
        test(`has no ${ability}, as declared; left out: ${leftOut}`, async () => LACKS[ability](await subject()));
      }
    }
  });
}
