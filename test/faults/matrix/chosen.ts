/** The parts that `LONGHAUL_FAULTS_VICTIMS` names, separated by commas; without the variable all. */
const CHOSEN = process.env['LONGHAUL_FAULTS_VICTIMS']?.split(',');

export const chosenOf = <Part extends string>(parts: readonly Part[]): Part[] =>
  parts.filter((part) => CHOSEN?.includes(part) ?? true);
