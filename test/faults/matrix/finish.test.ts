import { testCells } from './cells.ts';
import { FINISH } from './moments.ts';

testCells(FINISH);
