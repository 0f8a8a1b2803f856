import { testCells } from './cells.ts';
import { QUEUE_CHANGE } from './moments.ts';

testCells(QUEUE_CHANGE);
