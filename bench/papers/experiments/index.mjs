// @ts-check
/** Every experiment, in the order of the page. */
import { tableI, tableII } from './balance.mjs';
import { figure7 } from './hog.mjs';
import { figures3to6 } from './keys.mjs';
import { table1, table2 } from './nic.mjs';
import { figure13 } from './sendfile.mjs';
import { short } from './short.mjs';
import { figure2 } from './throughput.mjs';
import { figure8 } from './tls.mjs';

/** @type {readonly import('../papers.mjs').Experiment[]} */
export const experiments = [
  figure2,
  figures3to6,
  figure7,
  tableI,
  tableII,
  figure8,
  figure13,
  short,
  table1,
  table2,
];
