/** Reads the settings of the shell that runs a command. */
import { readSettings, type Settings } from '../services/settings.ts';

/**
 * Returns the settings from the environment of this process. Fails with `invalid_input`, whose message has a line for
 * each invalid value.
 */
export const shellSettings = (): Settings => readSettings(process.env);
