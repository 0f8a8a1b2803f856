import { REAL_AGENTS } from './agents.ts';
import { describeInTerminal } from './terminal-suite.ts';

for (const agent of Object.values(REAL_AGENTS)) describeInTerminal(agent);
