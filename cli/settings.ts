/** The settings of the shell that runs a command. */
import { readSettings, type Settings } from '../services/settings.ts';

/** Fails with `invalid_input`, one line for each wrong value. */
export const shellSettings = (): Settings => readSettings(process.env);
