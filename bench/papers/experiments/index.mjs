// @ts-check
/** Every experiment, in the order of the page. */
import { tableI, tableII } from './balance.mjs';
import { table1, table2 } from './nic.mjs';
import { short } from './short.mjs';
import { figure2 } from './throughput.mjs';

/** @type {readonly import('../papers.mjs').Experiment[]} */
export const experiments = [figure2, tableI, tableII, short, table1, table2];
