// @ts-check
/** "Improving DES Coprocessor Throughput for Short Operations": eight experiments on an IBM 4758. */
import { absence, cardFile, lines } from '../native.mjs';
import { SHORT } from '../papers.mjs';
import { linePlot } from '../plot.mjs';

const BATCHES = [1, 10, 100, 1000, 10000];
/** Of bulk data: 20,000 KB/s. As in the card's file. */
const BYTE = 0.05;

/** Microseconds of an operation at so many KB/s. */
const at = (/** @type {number} */ speed, /** @type {number} */ bytes) => (bytes * 1000) / speed;

// What each part of an operation costs, in microseconds: the difference that taking it away made in the paper, at the
// upper end of what it measured.
const PARTS = {
  request: at(12, 44) - at(23, 44), // 1 to 2: host and card
  unpack: at(23, 44) - at(40, 44), // 2: the key cache
  layers: at(40, 44) - at(290, 44), // 2 to 4: from the application to the manager and back
  parameters: at(290, 44) - at(320, 44), // 4 to 3: a key and an IV per operation
  reset: at(320, 44) - at(360, 44), // 3: of the chip
  throughMemory: at(360, 44) - 44 * BYTE, // what is left of 3: data by the processor, through DRAM
  isaSetup: at(1400, 40) - at(2500, 40), // 5 to 6: registers over the ISA bus
  isaParameters: at(2500, 40) - at(5000, 40), // 6 to 7: parameters over the ISA bus
  isaLength: at(3000, 40) - at(5000, 40), // 7 to 8: two registers that must not be mapped into memory
  engine: at(5000, 40) - 40 * BYTE, // what is left of 7
};
/** @typedef {keyof typeof PARTS} Part */

/** @type {readonly { name: string, change: string, paper: string, top?: number, length: number, keys: number, parts: readonly Part[], twice?: readonly Part[], single?: boolean, wrong?: boolean }[]} */
const EXPERIMENTS = [
  {
    name: '1',
    change: 'a request per operation',
    paper: '9-12',
    top: 12,
    length: 0,
    keys: 4,
    single: true,
    parts: ['unpack', 'layers', 'parameters', 'reset', 'throughMemory'],
  },
  {
    name: '2',
    change: 'a request per batch',
    paper: '18-23',
    top: 23,
    length: 0,
    keys: 4,
    parts: ['unpack', 'layers', 'parameters', 'reset', 'throughMemory'],
  },
  {
    name: '2, keys cached',
    change: 'and keys unpacked once',
    paper: '40',
    top: 40,
    length: 0,
    keys: 4,
    parts: ['layers', 'parameters', 'reset', 'throughMemory'],
  },
  {
    name: '3',
    change: 'one key, one chip operation per batch',
    paper: '360',
    top: 360,
    length: 0,
    keys: 1,
    parts: ['throughMemory'],
  },
  {
    name: '3, with resets',
    change: 'the chip reset for each',
    paper: '320',
    top: 320,
    length: 0,
    keys: 1,
    parts: ['reset', 'throughMemory'],
  },
  {
    name: '4',
    change: 'several keys, the loop in the lowest layer',
    paper: '30-290',
    top: 290,
    length: 0,
    keys: 4,
    parts: ['parameters', 'reset', 'throughMemory'],
  },
  {
    name: '5',
    change: 'data past the processor, an index for a key',
    paper: '1,400',
    top: 1400,
    length: 40,
    keys: 4,
    parts: ['isaSetup', 'isaParameters', 'engine'],
  },
  {
    name: '5, ISA twice',
    change: 'every ISA access done twice',
    paper: 'half of 5',
    top: 700,
    length: 40,
    keys: 4,
    parts: ['isaSetup', 'isaParameters', 'engine'],
    twice: ['isaSetup', 'isaParameters'],
  },
  {
    name: '6',
    change: 'registers mapped into memory',
    paper: '2,500',
    top: 2500,
    length: 40,
    keys: 4,
    parts: ['isaParameters', 'engine'],
  },
  {
    name: '7',
    change: 'parameters in a block of their own',
    paper: 'near 5,000, wrong',
    top: 5000,
    length: 40,
    keys: 4,
    parts: ['engine'],
    wrong: true,
  },
  {
    name: '8',
    change: 'two registers over the ISA bus again',
    paper: 'near 3,000',
    top: 3000,
    length: 40,
    keys: 4,
    parts: ['isaLength', 'engine'],
  },
];

/** @typedef {{ batch: number, operations: number, kilobytes: number, microsecondsPerOp: number, wrong: number, knownAnswers: boolean, published: boolean }} Run */

const sum = (/** @type {readonly Part[]} */ parts) => parts.reduce((total, part) => total + PARTS[part], 0);

/** @param {(typeof EXPERIMENTS)[number]} one @param {readonly number[]} batches @returns {Run[]} */
function simulate(one, batches) {
  const op = sum(one.parts) + sum(one.twice ?? []);
  return lines('bench_papers', [
    'short',
    cardFile('ibm-4758'),
    Math.round(PARTS.request * 1000),
    Math.round(op * 1000),
    one.length,
    one.keys,
    one.wrong ? 1 : 0,
    batches.join(),
  ]);
}

const answers = (/** @type {readonly Run[]} */ runs) => {
  const wrong = runs.reduce((total, run) => total + run.wrong, 0);
  const all = runs.reduce((total, run) => total + run.operations, 0);
  if (wrong === 0 && runs.every((run) => run.knownAnswers)) return 'pass';
  return `${wrong === all ? 'all' : wrong} of ${all.toLocaleString('en-US')} answers wrong; known-answer test: ${runs.some((run) => run.knownAnswers) ? 'pass' : 'fail'}`;
};

/** @type {import('../papers.mjs').Experiment} */
export const short = {
  id: 'short-des',
  paper: SHORT,
  title: 'The eight experiments',
  differs:
    "simulated, in virtual time, 3DES for DES. The costs of an operation's parts are the differences between the paper's own results, so that the last column follows by arithmetic where nothing else is added; " +
    'what the run adds is the batches, every answer compared with another implementation, and the experiment with the ISA accesses doubled, which is predicted. Experiment 0 was other hardware and other software.',
  cannot: () => absence('bench_papers', 'it needs libssl-dev to build bench/papers/native/ocf'),
  async run(options) {
    const batches = options.quick ? BATCHES.slice(0, 4) : BATCHES;
    const runs = EXPERIMENTS.map((one) => {
      options.progress(`experiment ${one.name}`);
      return { one, runs: simulate(one, one.single ? [1] : batches) };
    });
    const bulk = /** @type {Run} */ (
      lines('bench_papers', [
        'short',
        cardFile('ibm-4758'),
        Math.round(PARTS.request * 1000),
        0,
        262136,
        1,
        0,
        '16',
      ])[0]
    );
    const last = (/** @type {string} */ name) =>
      Number(runs.find((run) => run.one.name === name)?.runs.at(-1)?.kilobytes);
    const seventh = runs.find((run) => run.one.name === '7')?.runs ?? [];
    const op8 = sum(['isaLength', 'engine']) + 40 * BYTE;
    return {
      tables: [
        {
          caption: 'KB/s by operations per batch',
          head: [
            'experiment',
            'change',
            'paper',
            ...batches.map((n) => n.toLocaleString('en-US')),
            'answers',
          ],
          rows: [
            ['bulk', 'megabytes with one request', 'about 20,000', ...batches.map(() => null), null],
            ['0', 'a colleague: Model 1, CCA', '1.5', ...batches.map(() => null), null],
            ...runs.map(({ one, runs: all }) => [
              one.name,
              one.change,
              one.paper,
              ...batches.map((n) => all.find((run) => run.batch === n)?.kilobytes),
              answers(all),
            ]),
          ],
        },
      ],
      plots: [
        {
          file: 'short-des.svg',
          svg: linePlot({
            title: 'Short operations on the IBM 4758',
            x: 'operations per batch',
            y: 'KB/s',
            logX: true,
            logY: true,
            lines: ['2', '2, keys cached', '3', '4', '5', '6', '7', '8'].map((name) => ({
              name: `experiment ${name}${name === '7' ? ' (wrong)' : ''}`,
              points: (runs.find((run) => run.one.name === name)?.runs ?? []).map(
                (run) => /** @type {const} */ ([run.batch, run.kilobytes]),
              ),
              dashed: name === '7',
            })),
          }),
        },
      ],
      findings: [
        `Bulk data by the same model: ${Math.round(bulk.kilobytes).toLocaleString('en-US')} KB/s in a request of 4 MB.`,
        `From experiment 1 to 8 the speed grows ${Math.round(last('8') / last('1'))} times; in the paper some 250 times, and three orders of magnitude from experiment 0.`,
        `Experiment 7 is the fastest, and ${seventh.every((run) => run.wrong === run.operations) ? 'every answer' : 'part'} of it is wrong. The known-answer test says ${seventh.some((run) => run.knownAnswers) ? 'nothing' : 'so'}; attached with this fault, the card is ${seventh.some((run) => run.published) ? 'published all the same' : "refused before a single operation is sent to it, which is what the framework has that the paper's authors had not"}.`,
        `With every ISA access done twice experiment 5 keeps ${(last('5, ISA twice') / last('5')).toFixed(2)} of its speed; the paper saw it halved.`,
        `The paper says that fewer than 1000 operations per batch are dominated by the cost of the batch. With the cost of a request that experiments 1 and 2 differ by (${(PARTS.request / 1000).toFixed(1)} ms) that is so below ${Math.round(PARTS.request / op8)}: not reproduced; a batch must have cost more than a request with one operation.`,
        "Caching keys saved nothing in the paper's experiment 1 and almost half in its experiment 2; no sum of parts has both, and this one follows experiment 2.",
      ],
    };
  },
};

/** Speed of each experiment here in large batches, beside the paper's. @returns {{ name: string, paper: number, here: number, runs: Run[] }[]} */
export function tops() {
  return EXPERIMENTS.map((one) => {
    const runs = simulate(one, [one.single ? 1 : 4000]);
    return { name: one.name, paper: Number(one.top), here: Number(runs[0]?.kilobytes), runs };
  });
}
