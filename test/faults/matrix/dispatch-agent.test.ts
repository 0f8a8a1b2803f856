import { testCells } from './cells.ts';
import { DISPATCH } from './moments.ts';

testCells(DISPATCH);
