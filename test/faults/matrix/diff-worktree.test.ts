import { testCells } from './cells.ts';
import { DIFF } from './moments.ts';

testCells(DIFF);
