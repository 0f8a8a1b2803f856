import { testCells } from './cells.ts';
import { REMOVE } from './moments.ts';

testCells(REMOVE);
