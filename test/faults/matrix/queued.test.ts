import { testCells } from './cells.ts';
import { QUEUED } from './moments.ts';

testCells(QUEUED);
