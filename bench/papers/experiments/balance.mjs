// @ts-check
/** "Cryptography as an Operating System Service", Tables I and II: requests of several threads over several cards. */
import { absence, cardFile, lines } from '../native.mjs';
import { OCF } from '../papers.mjs';
import { linePlot } from '../plot.mjs';

export const SIZES = [16, 64, 256, 1024, 8192, 16384];

/** Mb/s by threads, as printed. @type {Record<number, number[]>} */
const TABLE_I = {
  1: [3, 11.4, 33, 59, 79, 80],
  2: [5.5, 18.4, 56, 111, 154, 160],
  3: [6.4, 23.2, 71, 152, 229, 238],
  4: [6.8, 25.7, 81, 182, 292, 299],
  32: [7.3, 27.5, 94, 249, 313, 320],
};
/** @type {Record<number, number[]>} */
const TABLE_II = {
  1: [5.4, 18.9, 62, 152, 301, 255],
  32: [9.9, 37, 120, 410, 759, 802],
};

/** @param {string} card @param {number} cards @param {readonly [number, number]} host @param {readonly number[]} threads @param {readonly number[]} sizes @param {boolean} quick */
function simulate(card, cards, host, threads, sizes, quick) {
  const args = [
    'balance',
    cardFile(card),
    cards,
    ...host,
    threads.join(),
    sizes.join(),
    quick ? 1000 : 10000,
  ];
  /** @type {{ threads: number, bytes: number, megabits: number }[]} */
  const all = lines('bench_papers', args);
  return threads.map((n) =>
    sizes.map((size) => Number(all.find((one) => one.threads === n && one.bytes === size)?.megabits)),
  );
}

const named = (/** @type {number} */ n) => `${n} thread${n === 1 ? '' : 's'}`;
const percent = (/** @type {number} */ share) => `${Math.round(share * 100)} %`;
/** Requests a second: as many interrupts, where each has its own. @param {number} megabits @param {number} bytes */
const perSecond = (megabits, bytes) => (megabits * 1e6) / 8 / bytes;
/** How far the worst cell of `here` is from the paper's. @param {readonly number[][]} here @param {readonly number[][]} paper */
export const worst = (here, paper) =>
  Math.max(...here.flatMap((row, i) => row.map((value, j) => Math.abs(value / Number(paper[i]?.[j]) - 1))));

const cannot = () => absence('bench_papers', 'it needs libssl-dev to build bench/papers/native/ocf');
const differs = (/** @type {string} */ rest) =>
  "simulated, in virtual time: a card has the two numbers of its file (`native/ocf/cards`, fitted to the table's first row), the host's processor two more, fitted to the whole table: what a request and a byte cost it, which the paper does not give. " +
  `Requests of different threads meet at the host and at the card; a session goes to the card with the fewest and stays, as in OCF. ${rest}`;

/**
 * @param {{ id: string, file: string, title: string, card: string, host: readonly [number, number], rows: Record<number, number[]>, differs: string, more: (run: (cards: number) => number, here: number[][]) => { rows: (string | number | undefined)[][], findings: string[] } }} table
 * @returns {import('../papers.mjs').Experiment}
 */
function experiment(table) {
  const threads = Object.keys(table.rows).map(Number);
  const paper = Object.values(table.rows);
  return {
    id: table.id,
    paper: OCF,
    title: table.title,
    differs: table.differs,
    cannot,
    async run(options) {
      options.progress(table.title);
      const here = simulate(table.card, 4, table.host, threads, SIZES, options.quick);
      const more = table.more(
        (cards) => Number(simulate(table.card, cards, table.host, [32], [16384], options.quick)[0]?.[0]),
        here,
      );
      return {
        tables: [
          {
            caption: 'Mb/s: paper / here',
            head: ['threads', ...SIZES.map((size) => `${size} B`)],
            rows: threads.map((n, i) => [
              String(n),
              ...SIZES.map((_, j) => `${paper[i]?.[j]} / ${Number(Number(here[i]?.[j]).toPrecision(3))}`),
            ]),
          },
          { caption: 'Beside the table', head: ['', 'paper', 'here'], rows: more.rows },
        ],
        plots: [
          {
            file: table.file,
            svg: linePlot({
              title: `${table.title.replace(/^(Table \w+).*/, '$1')}: paper dashed, simulation drawn`,
              x: 'bytes per request',
              y: 'Mb/s',
              logX: true,
              logY: true,
              lines: threads.flatMap((n, i) => {
                const points = (/** @type {number[]} */ row) =>
                  row.map((value, j) => /** @type {const} */ ([Number(SIZES[j]), value]));
                return [
                  { name: `${named(n)}, here`, points: points(here[i] ?? []), colour: i },
                  { name: `${named(n)}, paper`, points: points(paper[i] ?? []), dashed: true, colour: i },
                ];
              }),
            }),
          },
        ],
        findings: [
          ...threads.map(
            (n, i) =>
              `${named(n)}: the cell that is farthest off differs by ${percent(worst([here[i] ?? []], [paper[i] ?? []]))}.`,
          ),
          ...more.findings,
        ],
      };
    },
  };
}

export const tableI = experiment({
  id: 'ocf-table-1',
  file: 'ocf-table-1.svg',
  title: 'Table I: 3DES on four Hifn 7751, by threads and size',
  card: 'hifn-7751',
  host: [18500, 10],
  rows: TABLE_I,
  differs: differs(
    'At 32 threads and 8 KB or more the paper saw memory at its limit, which this model does not have.',
  ),
  more: (_run, here) => ({
    rows: [
      [
        'peak over four times 83 Mb/s, the data sheet',
        'over 96 %',
        percent(Number(here.at(-1)?.at(-1)) / 332),
      ],
      [
        'both directions at the peak, of the 1.056 Gb/s of the bus',
        'over 60 %',
        percent((Number(here.at(-1)?.at(-1)) * 2) / 1056),
      ],
      [
        'interrupts a second with small requests (here: requests, 32 threads, 16 B)',
        'over 62,000',
        perSecond(Number(here.at(-1)?.[0]), 16),
      ],
    ],
    findings: [
      "The peak is over the data sheet of four chips where the simulation is: of the time that one thread sees per byte, a part is the host's, and with many threads it is no longer waited for. The paper's system had lost that part to its memory.",
    ],
  }),
});

export const tableII = experiment({
  id: 'ocf-table-2',
  file: 'ocf-table-2.svg',
  title: 'Table II: 3DES on four Broadcom 5820, by threads and size',
  card: 'broadcom-5820',
  host: [13160, 8.5],
  rows: TABLE_II,
  differs: differs("The paper's fall from 8 KB to 16 KB with one thread is no cost model of two numbers'."),
  more: (run, here) => {
    const three = run(3);
    const four = Number(here.at(-1)?.at(-1));
    return {
      rows: [
        ['32 threads, 16 KB, over four times 310 Mb/s, the data sheet', '64.5 %', percent(four / 1240)],
        ['the same, both directions, of the 4.22 Gb/s of the bus', 'over 38 %', percent((four * 2) / 4220)],
        ['32 threads, 16 KB, three cards: Mb/s', '841.7', three],
        [
          'interrupts a second, 8 KB (here: requests, 32 threads)',
          '12,000',
          perSecond(Number(here.at(-1)?.[4]), 8192),
        ],
        ['interrupts a second, 16 KB (here: requests, 32 threads)', '5,600', perSecond(four, 16384)],
      ],
      findings: [
        `Four cards are no faster than three: in the paper ${802} against 841.7 Mb/s, here ${Math.round(four)} against ${Math.round(three)}; both are the host's limit. That three are even faster (the bus is granted sooner) is not in this model.`,
      ],
    };
  },
});
