import { REAL_AGENTS } from './agents.ts';
import { describeRealAgent, sceneOf } from './suite.ts';

describeRealAgent(sceneOf(REAL_AGENTS.opencode));
