/**
 * One cell: two tasks are brought to a moment and held there; a part is killed; everything is brought back. One task must
 * then complete as if nothing had been, the other, cancelled meanwhile, must be cancelled, and nothing of them is left.
 */
import { expect } from 'vitest';
import { isConnectionLoss } from '../../../store/sql.ts';
import type { TaskId } from '../../../contract/ids.ts';
import { isWaiting } from '../../lab/observer.ts';
import type { Held } from '../../lab/holds.ts';
import type { PartName } from '../../lab/home.ts';
import { type Whole, wrongWith } from '../../lab/whole.ts';
import type { Moment, Variant } from './moments.ts';
import { type CellResult, record } from './results.ts';
import { type Chance, chanceFor, SEED } from './seed.ts';
import { SLOTS, type World } from './world.ts';

export const VICTIMS = ['worker', 'backend', 'agent', 'temporal', 'postgres', 'supervisor', 'all'] as const;
export type Victim = (typeof VICTIMS)[number];

export const ALL: readonly PartName[] = ['supervisor', 'worker', 'backend', 'temporal', 'postgres'];
/** The moment within the moment: what was held is killed at once, or a little later. */
const LATER_MS = 60;

const WORDS = Array.from({ length: 60 }, (_, number) => `word${number}`).join(' ');
const WRITTEN: Whole['files'] = {
  'first.txt': 'the first file',
  'README.md': '# Sample\n\nA small project.\none more line',
  'deep/second.txt': 'the second file',
};
const SAID_FIRST = 'part one';
const SAID_LAST = 'part two';

function inputOf(moment: Moment, gate: string | undefined): string {
  const middle = moment.name === 'mid-stream' ? `slowly over 3 seconds. say ${WORDS}. run cat ${gate}. ` : '';
  return `write first.txt with the first file. append one more line to README.md. say part one. ${middle}say part two. write deep/second.txt with the second file`;
}

/** When the cancel request and the end of the hold come, relative to the kill. */
const ORDERS = ['cancel, up, release', 'up, cancel, release', 'release, up, cancel'] as const;
type Order = (typeof ORDERS)[number];

export async function runCell(world: World, moment: Moment, victim: Victim): Promise<void> {
  const chance = chanceFor(`${moment.name} × ${victim}`);
  const variant = variantFor(moment, victim, chance);
  const order = orderFor(victim, variant, chance);
  const before = { checkout: await world.repository.fingerprint(), home: await world.homeFiles() };
  const cell = new Cell(world, { moment, victim, variant, order, chance });
  const title = `${moment.name} (${variant.name}) × ${victim}; ${order}; LONGHAUL_FAULTS_SEED=${SEED}`;
  let wrong: string[];
  try {
    wrong = await cell.run();
  } catch (error) {
    throw new Error(`${title}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  expect(wrong, title).toEqual([]);
  expect(await world.homeFiles(), `${title}: files in the home`).toEqual(before.home);
  expect(await world.repository.fingerprint(), `${title}: the user's checkout`).toEqual(before.checkout);
  await record(cell.result());
}

/** The agent can only be killed while there is one. */
function variantFor(moment: Moment, victim: Victim, chance: Chance): Variant {
  const withAgent = moment.variants.filter((variant) => variant.agent);
  return chance.inTurn(victim === 'agent' && withAgent.length > 0 ? withAgent : moment.variants);
}

/** While Postgres is away nothing of it is held, and nothing can be said to be released. */
function orderFor(victim: Victim, variant: Variant, chance: Chance): Order {
  if (variant.releaseFirst) return 'release, up, cancel';
  const orders = victim === 'postgres' || victim === 'all' ? ORDERS.slice(0, 2) : ORDERS;
  // A cancel waits for the row that the hold has locked.
  return chance.inTurn(variant.locksRow ? orders.filter((order) => order !== 'up, cancel, release') : orders);
}

interface CellPlan {
  readonly moment: Moment;
  readonly victim: Victim;
  readonly variant: Variant;
  readonly order: Order;
  readonly chance: Chance;
}

class Cell {
  readonly #world: World;
  readonly #plan: CellPlan;
  readonly #gates: { readonly path: string; open(): Promise<void> }[] = [];
  #startedAt = 0;
  #killedAt = 0;
  #killed = 0;
  #workingMs: number | null = null;
  #tookMs = 0;

  constructor(world: World, plan: CellPlan) {
    this.#world = world;
    this.#plan = plan;
  }

  /** What is wrong afterwards. */
  async run(): Promise<string[]> {
    const { moment, variant } = this.#plan;
    this.#startedAt = performance.now();
    const blockers = moment.slotsTaken ? await this.#takeSlots() : [];
    const armed = await variant.arm(this.#world);
    const kept = await this.#submit();
    const cancelled = await this.#submit();
    const hold = await variant.reached(this.#world, armed, [kept, cancelled]);
    await this.#kill([kept, cancelled, ...blockers]);
    const strict = await this.#bringBack(hold, cancelled);
    if (moment.name === 'mid-stream') this.#workingMs = await this.#working(kept);
    for (const gate of this.#gates) await gate.open();
    const wrong = await this.#check({ kept, cancelled, blockers, strict });
    this.#tookMs = performance.now() - this.#startedAt;
    return wrong;
  }

  async #check(tasks: {
    readonly kept: TaskId;
    readonly cancelled: TaskId;
    readonly blockers: readonly TaskId[];
    readonly strict: boolean;
  }): Promise<string[]> {
    const { unwrittenWords } = this.#plan.variant;
    const said = [...(unwrittenWords ? [] : [SAID_FIRST]), ...(unwrittenWords === 'all' ? [] : [SAID_LAST])];
    const whole: Whole = { files: WRITTEN, said };
    const state: Whole['state'] = tasks.strict ? 'cancelled' : ['cancelled', 'completed'];
    const stopped: Whole = { ...whole, state, stoppedAnywhere: true };
    const blocker: Whole = { files: { 'blocker.txt': 'in the way' } };
    // All have ended before the first is looked at: a lock of one that runs is no leftover of another.
    for (const task of [tasks.kept, tasks.cancelled, ...tasks.blockers]) await this.#world.ended(task);
    const wrong = [...(await wrongWith(this.#world, tasks.kept, whole))];
    wrong.push(...(await wrongWith(this.#world, tasks.cancelled, stopped)));
    for (const task of tasks.blockers) wrong.push(...(await wrongWith(this.#world, task, blocker)));
    return wrong;
  }

  #submit(): Promise<TaskId> {
    const { moment } = this.#plan;
    let gate: string | undefined;
    if (moment.name === 'mid-stream') {
      const made = this.#world.gate();
      // Only the task that completes is let through.
      if (this.#gates.length === 0) this.#gates.push(made);
      gate = made.path;
    }
    return this.#world.submit({ input: inputOf(moment, gate) });
  }

  async #takeSlots(): Promise<TaskId[]> {
    const tasks: TaskId[] = [];
    for (let slot = 0; slot < SLOTS; slot += 1) {
      const gate = this.#world.gate();
      this.#gates.push(gate);
      tasks.push(await this.#world.submit({ input: `write blocker.txt with in the way. run cat ${gate.path}` }));
    }
    for (const task of tasks) await this.#world.untilFrame(task, 'the slot to be taken', isWaiting);
    return tasks;
  }

  async #kill(tasks: readonly TaskId[]): Promise<void> {
    const { victim, variant, chance } = this.#plan;
    await new Promise((resolve) => setTimeout(resolve, chance.below(LATER_MS))); // a random moment, from the seed
    this.#killedAt = Date.now();
    if (victim === 'agent') {
      for (const task of tasks) this.#killed += this.#world.killAgent(task);
      if (variant.agent && this.#killed === 0) throw new Error('an agent was to be killed, and none was alive');
    } else await this.#world.parts.kill(victim === 'all' ? ALL : [victim]);
  }

  /** True: the cancel request was delivered while the task was still held, so it must take effect. */
  async #bringBack(hold: Held, task: TaskId): Promise<boolean> {
    const { order, moment, variant, victim } = this.#plan;
    const heldOn = !variant.locksRow && victim !== 'postgres' && victim !== 'all';
    if (order === 'release, up, cancel') {
      await Promise.all([hold.release(), this.#world.parts.revive()]);
      await this.#cancel(task);
      return moment.name === 'mid-stream';
    }
    // Not waited for: it may have to wait for the row that the hold has locked, or for Postgres.
    const early = order === 'cancel, up, release' ? this.#cancel(task) : undefined;
    await this.#world.parts.revive();
    const cancelling = early ?? this.#cancel(task);
    if (heldOn) await this.#untilDelivered(task);
    await hold.release();
    await cancelling;
    return heldOn || moment.name === 'mid-stream';
  }

  async #untilDelivered(task: TaskId): Promise<void> {
    await this.#world.until(`the cancel of ${task} to arrive`, async () => {
      const row = await this.#world.task(task);
      return row.ended_at !== null || (await this.#world.statusIfRuns(task))?.cancelRequested === true;
    });
  }

  /** As a person does: again after a refusal, and then once more. */
  async #cancel(task: TaskId): Promise<void> {
    for (let accepted = 0; accepted < 2;) {
      try {
        await this.#world.cancel(task);
        accepted += 1;
      } catch (error) {
        if (!isConnectionLoss(error)) throw error;
      }
    }
  }

  /** From the kill to the next word in the log, of the next agent if the old one is gone. */
  async #working(task: TaskId): Promise<number> {
    const { victim } = this.#plan;
    const anew = victim === 'agent' || victim === 'worker' || victim === 'all';
    const at = await this.#world.until('the agent to continue', async () => {
      const [row] = await this.#world.sql<{ at: Date }[]>`
        SELECT f.at FROM frames f
         WHERE f.task_id = ${task} AND f.type = 'delta'
           AND f.at > ${new Date(this.#killedAt)}
           AND (NOT ${anew} OR f.at > (SELECT max(spawned_at) FROM attempts
                                        WHERE task_id = ${task} AND spawned_at > ${new Date(this.#killedAt)}))
         ORDER BY f.seq LIMIT 1`;
      return row?.at;
    });
    return at.getTime() - this.#killedAt;
  }

  result(): CellResult {
    const { moment, victim, variant, order } = this.#plan;
    const noAgent = victim === 'agent' && this.#killed === 0;
    return {
      seed: SEED,
      moment: moment.name,
      victim,
      variant: variant.name,
      order,
      seconds: Math.round(this.#tookMs / 100) / 10,
      workingMs: this.#workingMs,
      noAgent,
    };
  }
}
