// @ts-check
/** The papers whose experiments are run again here, and what an experiment is. */

export const OCF = {
  name: 'Keromytis, Wright, de Raadt, Burnside: Cryptography as an Operating System Service: A Case Study (ACM TOCS, 2006)',
  short: 'OCF',
};
export const SHORT = {
  name: 'Lindemann, Smith: Improving DES Coprocessor Throughput for Short Operations (USENIX Security 2001)',
  short: 'short DES',
};
export const NIC = {
  name: 'Pismenny, Lesokhin, Liss, Eran: TLS Offload to Network Devices (netdev 1.2, 2016)',
  short: 'NIC',
};

/**
 * `undefined` and null are blanks: what the paper's text does not give, or what could not be measured here.
 * @typedef {{ caption: string, head: readonly string[], rows: readonly (readonly (string | number | null | undefined)[])[] }} Table
 * @typedef {{ file: string, svg: string }} Plot
 * @typedef {{ tables: readonly Table[], plots: readonly Plot[], findings: readonly string[] }} Outcome
 * @typedef {object} Options
 * @property {boolean} quick  a tenth of the time: to see that it runs, not to be quoted
 * @property {(text: string) => void} progress
 * @typedef {object} Experiment
 * @property {string} id
 * @property {{ name: string, short: string }} paper
 * @property {string} title
 * @property {string} differs  what is not as in the paper
 * @property {(options: Options) => string | null} [cannot]  why it cannot run on this machine
 * @property {(options: Options) => Promise<Outcome>} run
 */
