// @ts-check
/** "Cryptography as an Operating System Service", Figure 2: throughput by size and driver. */
import { absence, cardFile, lines } from '../native.mjs';
import { OCF } from '../papers.mjs';
import { linePlot } from '../plot.mjs';

const SIZES = [64, 256, 1024, 4096, 8192, 16384];

/** Read from the text; the figure's bars are a picture. @type {Record<string, Record<number, number>>} */
const PAPER = { null: { 1024: 420, 8192: 600 } };

const ROWS = /** @type {const} */ ([
  ['null, cryptod', 'cryptod-null'],
  ['null, in this process', 'inline-null'],
  ['3DES software, cryptod', 'cryptod-des-ede3-cbc'],
  ['3DES software, in this process', 'inline-des-ede3-cbc'],
  ['3DES software, a processor set aside', 'thread-des-ede3-cbc'],
  ['AES-128-GCM software, cryptod', 'cryptod-aes-128-gcm'],
  ['AES-128-GCM software, in this process', 'inline-aes-128-gcm'],
]);

const CARDS = /** @type {const} */ ([
  ['Hifn 7751, simulated', 'hifn-7751'],
  ['Broadcom 5820, simulated', 'broadcom-5820'],
]);

/** @type {import('../papers.mjs').Experiment} */
export const figure2 = {
  id: 'ocf-figure-2',
  paper: OCF,
  title: 'Figure 2: throughput of one process by size and driver',
  differs:
    '`cryptod` stands for the system call and the crypto thread: a request goes over a Unix socket to another thread, on the same processor, its data lies in shared memory and is copied in and out as in the paper. ' +
    'Null, 3DES and AES are measured in real time on the machine named; the cards are simulated in virtual time from two numbers each (see Tables I and II), and of the six of the paper only the two for which its text has figures. ' +
    'No single DES: OpenSSL 3 has it in its legacy provider alone.',
  cannot: () => absence('bench_papers', 'it needs libssl-dev to build bench/papers/native/ocf'),
  async run(options) {
    const milliseconds = options.quick ? 20 : 250;
    /** @type {[string, number[]][]} */
    const measured = ROWS.map(([name, driver]) => {
      options.progress(name);
      return [
        name,
        lines('bench_papers', ['throughput', driver, SIZES.join(), milliseconds]).map((one) => one.megabits),
      ];
    });
    /** @type {[string, number[]][]} */
    const simulated = CARDS.map(([name, card]) => [
      name,
      lines('bench_papers', ['balance', cardFile(card), 1, 0, 0, 1, SIZES.join(), 200]).map(
        (one) => one.megabits,
      ),
    ]);
    const all = [...measured, ...simulated];
    const at = (/** @type {string} */ name, /** @type {number} */ size) =>
      /** @type {number} */ (all.find(([row]) => row === name)?.[1][SIZES.indexOf(size)]);
    const hardware = 'Hifn 7751, simulated';
    return {
      tables: [
        {
          caption: 'Mb/s, encrypting and decrypting in turn, one request after the other',
          head: ['', ...SIZES.map((size) => `${size} B`)],
          rows: [
            ['paper: KERNEL-NULL', ...SIZES.map((size) => PAPER.null?.[size])],
            ...all.map(([name, values]) => [name, ...values]),
          ],
        },
        {
          caption: 'What the text says of the figure, as ratios',
          head: ['', 'paper', 'here'],
          rows: [
            ['null, 8192 B over 1024 B', 600 / 420, at('null, cryptod', 8192) / at('null, cryptod', 1024)],
            [
              '3DES in software over null, 64 B',
              0.5,
              at('3DES software, cryptod', 64) / at('null, cryptod', 64),
            ],
            [
              'a card over 3DES in software, 64 B',
              'below 1',
              at(hardware, 64) / at('3DES software, cryptod', 64),
            ],
            [
              'a card over 3DES in software, 8192 B',
              'above 1',
              at(hardware, 8192) / at('3DES software, cryptod', 8192),
            ],
          ],
        },
      ],
      plots: [
        {
          file: 'ocf-figure-2.svg',
          svg: linePlot({
            title: 'Throughput of one process',
            x: 'bytes per request',
            y: 'Mb/s',
            logX: true,
            logY: true,
            lines: all
              // A copy and nothing else would push all others to the bottom.
              .filter(([name]) => name !== 'null, in this process')
              .map(([name, values]) => ({
                name: name.replace(', a processor set aside', ', thread').replace(', in this process', ''),
                points: values.map((value, i) => /** @type {const} */ ([Number(SIZES[i]), value])),
                dashed: name.endsWith('simulated'),
              })),
          }),
        },
      ],
      findings: [
        `Small requests are the crossing's here, too: with 64 B null reaches ${(at('null, cryptod', 64) / at('null, cryptod', 16384)).toFixed(4)} of what it reaches with 16 KB.`,
        at(hardware, 8192) < at('3DES software, cryptod', 8192)
          ? 'What the paper found of large requests does not hold for its cards beside a processor of today: 3DES in software is faster than they were at every size.'
          : 'As in the paper, the cards are slower than software for small requests and faster for large ones.',
      ],
    };
  },
};
