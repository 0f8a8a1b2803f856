import { testCells } from './cells.ts';
import { MID_STREAM } from './moments.ts';

testCells(MID_STREAM);
