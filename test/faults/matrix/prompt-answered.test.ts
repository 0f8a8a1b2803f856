import { testPromptCells } from './prompt-cells.ts';

testPromptCells('answered');
