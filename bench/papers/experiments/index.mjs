// @ts-check
/** Every experiment, in the order of the page. */
import { table1, table2 } from './nic.mjs';

/** @type {readonly import('../papers.mjs').Experiment[]} */
export const experiments = [table1, table2];
