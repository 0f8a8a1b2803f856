import { testCells } from './cells.ts';
import { OPEN_SESSION } from './moments.ts';

testCells(OPEN_SESSION);
