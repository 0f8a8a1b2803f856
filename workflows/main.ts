/** The workflows that the worker registers. The exported names are the workflow types. */
export { apply } from './apply.ts';
export { probeAgent } from './probe-agent.ts';
export { settle } from './settle.ts';
export { task } from './task.ts';
export { verifyResume } from './verify-resume.ts';
