/**
 * The NOTIFY channels. A notification only wakes its reader. It may be lost, so the reader uses the notification's
 * payload only as a hint and reads the rows.
 */

/** Announces new frames. The payload is `<session id> <last seq>`. */
export const FRAMES_CHANNEL = 'longhaul_frames';
/** Announces task rows that intake should check. The payload is the task's id. */
export const TASKS_CHANNEL = 'longhaul_tasks';
