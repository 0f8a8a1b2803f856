/** The NOTIFY channels. A notification only wakes its reader: it may be lost, and it carries no data. */

/** New frames; payload `<session id> <last seq>`. */
export const FRAMES_CHANNEL = 'longhaul_frames';
/** Task rows that intake should check; payload the task's id. */
export const TASKS_CHANNEL = 'longhaul_tasks';
