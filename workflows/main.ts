/** The workflows that the worker registers: the exported names are the workflow types. */
export { settle } from './settle.ts';
export { task } from './task.ts';
