/** Lists every bench in the order in which they run. Benches that need the same stage are adjacent. */
import type { Bench } from '../bench.ts';
import { agentStart } from './agent-start.ts';
import { opencode, trivial } from './bare.ts';
import { commands } from './commands.ts';
import { compaction } from './compaction.ts';
import { follower } from './follower.ts';
import { history } from './history.ts';
import { memory } from './memory.ts';
import { mirror } from './mirror.ts';
import { recovery } from './recovery.ts';
import { soak } from './soak.ts';
import { spawn } from './spawn.ts';
import { steps } from './steps.ts';
import { engine, throughput } from './throughput.ts';
import { atOnce, atOnceWide } from './together.ts';
import { websocket } from './websocket.ts';
import { worktree } from './worktree.ts';

export const BENCHES: readonly Bench[] = [
  worktree,
  commands,
  agentStart,
  compaction,
  spawn,
  steps,
  trivial,
  throughput,
  atOnce,
  history,
  recovery,
  engine,
  soak,
  memory,
  follower,
  mirror,
  websocket,
  atOnceWide,
  opencode,
];
