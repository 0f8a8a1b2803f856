import { REAL_AGENTS } from './agents.ts';
import { sceneOf } from './scene.ts';
import { describeRealAgent } from './suite.ts';

describeRealAgent(sceneOf(REAL_AGENTS.codex));
