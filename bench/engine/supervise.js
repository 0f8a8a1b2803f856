// Runs `longhaul up` of the build in BENCH_DIST with the worker of this folder, which uses neither git nor agents.
// LONGHAUL_HOME names the home.
import { fileURLToPath } from 'node:url';
import { fromBuild } from './from-build.js';

const { readSettings } = await fromBuild('services/settings.js');
const { prepareHome } = await fromBuild('services/home/home.js');
const { registerHome } = await fromBuild('services/home/identity.js');
const { makeParts } = await fromBuild('services/supervisor/parts.js');
const { superviseHome } = await fromBuild('services/supervisor/supervise-home.js');
const { migrateDatabase } = await fromBuild('client/migrate-database.js');

const settings = readSettings(process.env);
const paths = await prepareHome(settings.home);
await registerHome(settings.home);
const workerEntry = fileURLToPath(new URL('./worker.js', import.meta.url));
await superviseHome({
  parts: makeParts({ settings, paths, env: process.env, migrate: migrateDatabase, workerEntry }),
  paths,
  report: (line) => process.stdout.write(`${line}\n`),
  onReady: async () => {},
});
