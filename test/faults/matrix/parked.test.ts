/**
 * A session's second task begins in the worktree that was parked after the first one, and a part is killed on the way.
 * Both tasks end as without a fault, the second change is on top of the first, and the second task has all ignored files
 * of the first one or, in a new worktree, none.
 */
import { lstatSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { actOnChange } from '../../../client/change-actions.ts';
import type { ChangeId, TaskId } from '../../../contract/ids.ts';
import { isConnectionLoss } from '../../../store/sql.ts';
import { listRecords } from '../../../worktrees/records.ts';
import { gitIn } from '../../lab/repositories.ts';
import { wrongWith } from '../../lab/whole.ts';
import { ALL, type Victim } from './cell.ts';
import { CELL_TIMEOUT_MS, CHOSEN_VICTIMS, keepWorld } from './cells.ts';
import { hasAgent, PARKED_MOMENTS, type ParkedMoment } from './parked-moments.ts';
import { recordPathCell } from './paths.ts';
import { chanceFor, SEED } from './seed.ts';
import { startWorld, type World } from './world.ts';

/** The worktree of the cell before is beyond the limit once this cell's worktree is parked. */
const ONE_PARKED = { LONGHAUL_PARKED_WORKTREES: '1', LONGHAUL_PARKED_FREE_PERCENT: '0' };
const CELLS = PARKED_MOMENTS.flatMap((moment) =>
  CHOSEN_VICTIMS.filter((victim) => victim !== 'agent' || hasAgent(moment)).map(
    (victim) => [moment.name, victim, moment] as const,
  ),
);

const world = keepWorld(() => startWorld(ONE_PARKED));
let cells = 0;

test.each(CELLS)(
  '%s × %s: both tasks end, the second one on top of the first, with all ignored files or none',
  (_, victim, moment) => new Cell(world(), moment, victim).run(),
  CELL_TIMEOUT_MS,
);

class Cell {
  readonly #world: World;
  readonly #moment: ParkedMoment;
  readonly #victim: Victim;
  readonly #chance;
  readonly #variant;
  /** Each cell has files of its own, because the user commits some of them. */
  readonly #file = `cell-${(cells += 1)}.txt`;
  readonly #gate;

  constructor(at: World, moment: ParkedMoment, victim: Victim) {
    [this.#world, this.#moment, this.#victim] = [at, moment, victim];
    this.#chance = chanceFor(`${moment.name} × ${victim}`);
    this.#variant = this.#chance.inTurn(moment.variants);
    this.#gate = moment.working ? at.gate() : undefined;
  }

  async run(): Promise<void> {
    const startedAt = performance.now();
    const { repository } = this.#world;
    const title = `${this.#variant.name}; LONGHAUL_FAULTS_SEED=${SEED}`;
    const filesBefore = await this.#otherFiles();
    await repository.write({ '.gitignore': 'node_modules/\n*.log\n', [`${this.#file}.before`]: 'before\n' });
    await repository.commit();
    let checkout = await repository.fingerprint();
    const first = await this.#during('first', () => this.#world.submit({ input: this.#firstInput() }));
    const { session_id: sessionId, worktree_path: worktree } = await this.#world.ended(first);
    const inode = lstatSync(worktree ?? '', { bigint: true }).ino;
    expect(await repository.fingerprint(), title).toEqual(checkout);
    if (this.#moment.otherBase) checkout = await this.#applyAndCommit(first);
    await this.#during('between', async () => first);
    const input = this.#secondInput();
    const second = await this.#during('second', () =>
      this.#world.submit({ input, ...(sessionId !== null && { sessionId }) }),
    );
    await this.#gate?.open();
    await this.#world.ended(second);
    const kind = lstatSync(worktree ?? '', { bigint: true }).ino === inode ? 'parked' : 'new';
    await this.#expectWhole({ first, second, kind, title });
    await this.#expectOneParked(second, title);
    expect(await repository.fingerprint(), title).toEqual(checkout);
    expect(await this.#otherFiles(), title).toEqual(filesBefore);
    await recordPathCell({ row: this.#moment.name, victim: this.#victim, variant: this.#variant.name, startedAt });
  }

  #firstInput(): string {
    const ignored = ['node_modules/tool/a.js', 'node_modules/tool/b.js', `${this.#file}.log`];
    return `write ${this.#file} with one. ${ignored.map((name) => `write ${name} with installed. `).join('')}say part one`;
  }

  #secondInput(): string {
    const waits = this.#gate ? `run cat ${this.#gate.path}. ` : '';
    const sees = `run sh -c "ls -A node_modules/tool > ${this.#file}.seen 2>/dev/null; true". `;
    return `append two to ${this.#file}. ${waits}${sees}say part two`;
  }

  /** The user has the first change, ignores fewer files now, and has one more. */
  async #applyAndCommit(first: TaskId): Promise<Record<string, string>> {
    const { repository, sql, client } = this.#world;
    const [change] = await this.#world.changes(first);
    await actOnChange({ sql, temporal: client }, { changeId: change?.id as ChangeId, kind: 'apply', by: 'test' });
    await repository.write({ '.gitignore': 'node_modules/\n', [`${this.#file}.more`]: 'more\n' });
    await repository.commit('The change, and more');
    return repository.fingerprint();
  }

  /** Hands the task in. If it is the moment's, it is held there, the part is killed, and everything is brought back. */
  async #during(which: ParkedMoment['during'], submit: () => Promise<TaskId>): Promise<TaskId> {
    if (which !== this.#moment.during) return submit();
    const world = this.#world;
    const armed = await this.#variant.arm(world);
    const task = await submit();
    const hold = await this.#variant.reached(world, armed, [task]);
    if (this.#victim === 'agent') expect(world.killAgent(task)).toBeGreaterThan(0);
    else await world.parts.kill(this.#victim === 'all' ? ALL : [this.#victim]);
    if (this.#variant.releaseFirst || this.#chance.below(2) === 0) {
      await Promise.all([hold.release(), world.parts.revive()]);
    } else {
      await world.parts.revive();
      await hold.release();
    }
    // The connections of the test are cut, too.
    const lost = (error: unknown): false => {
      if (isConnectionLoss(error)) return false;
      throw error;
    };
    await world.until('Postgres to answer', () => world.sql`SELECT 1`.then(() => true, lost)); // prettier-ignore
    return task;
  }

  async #expectWhole(ends: {
    readonly first: TaskId;
    readonly second: TaskId;
    readonly kind: 'parked' | 'new';
    readonly title: string;
  }): Promise<void> {
    const { first, second, kind, title } = ends;
    const world = this.#world;
    const seen = await world.inChange(second, `${this.#file}.seen`);
    // A worker that is killed while files of another commit are written leaves a folder with a mixture of files, so the next task gets a new worktree.
    const mayBeNew = this.#moment.otherBase && ['worker', 'all'].includes(this.#victim);
    expect(mayBeNew ? ['parked', 'new'] : ['parked'], title).toContain(kind);
    expect(seen, title).toBe(kind === 'parked' ? 'a.js\nb.js' : '');
    const files = { [this.#file]: 'one\ntwo', [`${this.#file}.seen`]: seen };
    const wrong = [
      ...(await wrongWith(world, first, { files: { [this.#file]: 'one' }, said: ['part one'], parked: true })),
      ...(await wrongWith(world, second, { files, said: ['part two'], parked: true })),
    ];
    expect(wrong, title).toEqual([]);
    const [[before], [after]] = [await world.changes(first), await world.changes(second)];
    const head = await world.repository.git('rev-parse', 'HEAD');
    expect(after?.base_commit, title).toBe(this.#moment.otherBase ? head : before?.result_commit);
  }

  /** The worktree is parked again with the second result, and it is the only one. */
  async #expectOneParked(second: TaskId, title: string): Promise<void> {
    const world = this.#world;
    const { session_id: sessionId, worktree_path: worktree } = await world.task(second);
    const names = (): Promise<string[]> => readdir(path.join(world.home, 'worktrees'));
    await world.until('the worktree of the cell before to be removed', async () => (await names()).length === 1);
    expect(await names(), title).toEqual([sessionId]);
    const [change] = await world.changes(second);
    const parked = { worktreePath: worktree, state: 'parked', owner: second, base: change?.result_commit };
    const records = () => listRecords(path.join(world.home, 'locks'));
    await world.until('the record of the cell before to be removed', async () => (await records()).length === 1);
    expect(await records(), title).toMatchObject([parked]);
    expect(await gitIn(worktree ?? '', 'rev-parse', 'HEAD'), title).toBe(change?.result_commit);
    expect(await gitIn(worktree ?? '', 'status', '--porcelain'), title).toBe('');
    // What git itself wrote halfway counts as no edit by hand.
    expect(await world.results('for-each-ref', 'refs/longhaul/left'), title).toBe('');
  }

  /** The files of the home apart from the parked worktree, its record, and the folder of an apply, which is empty. */
  async #otherFiles(): Promise<string[]> {
    return (await this.#world.homeFiles()).filter((name) => !/^worktrees\/|\.worktree\.json$|^changes$/.test(name));
  }
}
