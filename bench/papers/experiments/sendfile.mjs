// @ts-check
/** "Cryptography as an Operating System Service", Figure 13: read, /dev/crypto, write against sendfile with SO_CRYPT. */
import { median } from '../../https/report.mjs';
import { absence, lines } from '../native.mjs';
import { OCF } from '../papers.mjs';
import { barPlot } from '../plot.mjs';

const SIZES = [1, 10, 100];
const WAYS = /** @type {const} */ ([
  ['read, cryptod, write', 'device'],
  ['read, CryptoDevice in this process, write', 'in-process'],
  ['the data plane (sendfile, SO_CRYPT)', 'sendfile'],
  ['the same in the engine, asked for by HTTP', 'engine'],
]);

/** @type {import('../papers.mjs').Experiment} */
export const figure13 = {
  id: 'ocf-figure-13',
  paper: OCF,
  title: 'Figure 13: read + /dev/crypto + write against sendfile with SO_CRYPT',
  differs:
    'loopback instead of Gigabit Ethernet, so nothing hides behind the wire; AES-128-GCM in software instead of 3DES on a vpn1201. /dev/crypto is the daemon, which has a thread of its own on the same processor, with copies into its memory and out of it, or, beside it, the same interface in the process. ' +
    "sendfile is the data plane's way: the file is read to where its record is made, sixteen records are sealed there and sent with one call. First as a loop of its own, like the others; then by an engine as it serves: event loop, request, response, the end of the connection, with fixed keys in place of a handshake.",
  cannot: () => absence('bench_papers', 'it needs libssl-dev to build bench/papers/native/ocf'),
  async run(options) {
    const runs = WAYS.map(([name, way]) => {
      options.progress(name);
      const rounds = options.quick ? 3 : 15;
      /** @type {{ megabytes: number, seconds: number, cpu: number }[]} */
      const all =
        way === 'engine'
          ? lines('bench_papers_engine', ['sendfile', SIZES.join(), rounds])
          : lines('bench_papers', ['sendfile', way, SIZES.join(), rounds]);
      const of = (/** @type {'seconds' | 'cpu'} */ key) =>
        SIZES.map((size) => median(all.filter((one) => one.megabytes === size).map((one) => one[key])));
      return { name, seconds: of('seconds'), cpu: of('cpu') };
    });
    const gain = (/** @type {number} */ way, /** @type {'seconds' | 'cpu'} */ key, sendfile = 2) =>
      SIZES.map((_, i) => 1 - Number(runs[sendfile]?.[key][i]) / Number(runs[way]?.[key][i]));
    const percent = (/** @type {number} */ share) => `${Math.round(share * 100)} %`;
    return {
      tables: [
        {
          caption: 'Gb/s',
          head: ['', ...SIZES.map((size) => `${size} MB`)],
          rows: runs.map(({ name, seconds }) => [
            name,
            ...seconds.map((s, i) => (Number(SIZES[i]) * 8e6) / s / 1e9),
          ]),
        },
        {
          caption: 'Gain of sendfile',
          head: ['', ...SIZES.map((size) => `${size} MB`)],
          rows: [
            ['paper, elapsed time ("approach 27 % for all size file transfers")', ...SIZES.map(() => '27 %')],
            ['here, elapsed time, against cryptod', ...gain(0, 'seconds').map(percent)],
            ['here, elapsed time, against the call in this process', ...gain(1, 'seconds').map(percent)],
            ["here, the sender's CPU time, against cryptod", ...gain(0, 'cpu').map(percent)],
            ["here, the sender's CPU time, against the call in this process", ...gain(1, 'cpu').map(percent)],
            ['here, elapsed time, the engine against cryptod', ...gain(0, 'seconds', 3).map(percent)],
            ["here, the sender's CPU time, the engine against cryptod", ...gain(0, 'cpu', 3).map(percent)],
            ["here, the sender's CPU time, the engine against the loop", ...gain(2, 'cpu', 3).map(percent)],
          ],
        },
      ],
      plots: [
        {
          file: 'ocf-figure-13.svg',
          svg: barPlot({
            title: 'A file over a connection that encrypts',
            y: 'Gb/s',
            groups: SIZES.map((size) => `${size} MB`),
            bars: runs.map(({ name, seconds }) => ({
              name: name
                .replace(' in this process', '')
                .replace('the data plane (sendfile, SO_CRYPT)', 'sendfile, SO_CRYPT')
                .replace('the same in the engine, asked for by HTTP', 'sendfile, the engine'),
              values: seconds.map((s, i) => (Number(SIZES[i]) * 8e6) / s / 1e9),
            })),
          }),
        },
      ],
      findings: [
        'AES-128-GCM takes a small part of the time of a record here, so that copies and crossings show more than beside the 3DES of a card.',
      ],
    };
  },
};
