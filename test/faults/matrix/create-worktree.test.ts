import { testCells } from './cells.ts';
import { CREATE_WORKTREE } from './moments.ts';

testCells(CREATE_WORKTREE);
