// @ts-check
/** "Cryptography as an Operating System Service", Figure 7: what crypto load does to a program that only computes. */
import { absence, cardFile, lines } from '../native.mjs';
import { OCF } from '../papers.mjs';
import { linePlot } from '../plot.mjs';

const THREADS = [0, 1, 4, 12, 24];
const LOADS = /** @type {const} */ ([
  ['3DES in software', '3des-software', null],
  ['3DES on a simulated Hifn 7751', '3des-card', 'hifn-7751'],
  ['3DES on a processor set aside', '3des-processor', null],
  ['DSA-1024 in software', 'dsa-software', null],
  ['DSA-1024 on a processor set aside', 'dsa-processor', null],
]);

/** @type {import('../papers.mjs').Experiment} */
export const figure7 = {
  id: 'ocf-figure-7',
  paper: OCF,
  title: 'Figure 7: the time of a CPU hog beside threads that encrypt or sign',
  differs:
    'the hog makes 3·10⁸ calls, not 2³², and its time is a multiple of what it takes alone. It shares one processor with all threads; requests are of 8 KB. ' +
    "The card is simulated in real time: it takes as long as one 7751 shared by all threads, and answers without computing; the other accelerator is the second processor (the paper's AMP proposal).",
  cannot: () => absence('bench_papers', 'it needs libssl-dev to build bench/papers/native/ocf'),
  async run(options) {
    const calls = options.quick ? 3e7 : 3e8;
    const runs = LOADS.map(([name, load, card]) => {
      options.progress(name);
      /** @type {{ threads: number, seconds: number, requests: number }[]} */
      const all = lines('bench_papers', [
        'hog',
        load,
        ...(card === null ? [] : [cardFile(card)]),
        THREADS.join(),
        calls,
      ]);
      const alone = Number(all[0]?.seconds);
      return { name, times: all.map((one) => one.seconds / alone), requests: Number(all.at(-1)?.requests) };
    });
    const last = (/** @type {number} */ i) => Number(runs[i]?.times.at(-1));
    return {
      tables: [
        {
          caption:
            'Time of the hog, alone = 1; the text says of accelerators "remains constant, regardless of the number of threads"',
          head: ['load', 'paper', ...THREADS.map((n) => `${n} threads`), 'requests a second with 24'],
          rows: runs.map(({ name, times, requests }, i) => [
            name,
            LOADS[i]?.[1].endsWith('-software') ? null : 'constant',
            ...times,
            requests,
          ]),
        },
      ],
      plots: [
        {
          file: 'ocf-figure-7.svg',
          svg: linePlot({
            title: 'Time of a CPU hog beside crypto threads',
            x: 'threads',
            y: 'times as long as alone',
            lines: runs.map(({ name, times }) => ({
              name,
              points: times.map((time, i) => /** @type {const} */ ([Number(THREADS[i]), time])),
            })),
          }),
        },
      ],
      findings: [
        `With 24 threads in software the hog takes ${last(0).toFixed(1)} (3DES) and ${last(3).toFixed(1)} (DSA) times as long: it has its share of the processor and no more. With the card it takes ${last(1).toFixed(2)} times, with another processor ${last(2).toFixed(2)} and ${last(4).toFixed(2)} times.`,
      ],
    };
  },
};
