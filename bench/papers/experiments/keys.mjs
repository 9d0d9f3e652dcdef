// @ts-check
/** "Cryptography as an Operating System Service", Figures 3 to 6: RSA and DSA, signatures and verifications. */
import { absence, lines } from '../native.mjs';
import { OCF } from '../papers.mjs';
import { barPlot } from '../plot.mjs';

const RSA = [512, 1024, 2048, 4096];
const DSA = [512, 1024];
const NAMES = /** @type {const} */ ({
  'rsa-sign': 'Figure 3: RSA signature (CRT)',
  'rsa-sign-without-crt': 'Figure 3: RSA signature without CRT, as in the paper',
  'dsa-sign': 'Figure 4: DSA signature',
  'dsa-verify': 'Figure 5: DSA verification',
  'rsa-verify': 'Figure 6: RSA verification',
});

/** @typedef {{ operation: keyof typeof NAMES, bits: number, inline: number, blocked: number, many: number }} Rate */

/** @type {import('../papers.mjs').Experiment} */
export const figures3to6 = {
  id: 'ocf-figures-3-6',
  paper: OCF,
  title: 'Figures 3 to 6: RSA and DSA',
  differs:
    "software alone: the text gives one figure of a card, and nothing to simulate its public-key engine from. In line is the calling thread itself; one blocked waits for a pool of threads with one operation at a time, as the paper's programs did for a card; many are 64 in flight. " +
    'RSA is the bare exponentiation, DSA over 20 bytes; the DSA key of 512 bits is the example of FIPS 186.',
  cannot: () => absence('bench_papers', 'it needs libssl-dev to build bench/papers/native/ocf'),
  async run(options) {
    options.progress('RSA and DSA');
    /** @type {Rate[]} */
    const rates = lines('bench_papers', ['keys', RSA.join(), DSA.join(), options.quick ? 50 : 250]);
    const of = (/** @type {string} */ operation, /** @type {number} */ bits) =>
      rates.find((rate) => rate.operation === operation && rate.bits === bits);
    const sign = of('rsa-sign', 1024);
    const plain = of('rsa-sign-without-crt', 1024);
    const crt = Number(sign?.inline) / Number(plain?.inline);
    const together = Number(sign?.many) / Number(sign?.blocked);
    const sizes = [...new Set([...RSA, ...DSA])].sort((a, b) => a - b);
    return {
      tables: [
        {
          caption: 'Operations per second, here',
          head: ['', 'bits', 'in line', 'one blocked', 'many'],
          rows: Object.entries(NAMES).flatMap(([operation, name]) =>
            sizes
              .map((bits) => of(operation, bits))
              .filter((rate) => rate !== undefined)
              .map((rate) => [name, String(rate.bits), rate.inline, rate.blocked, rate.many]),
          ),
        },
        {
          caption:
            'RSA-1024 signatures of a 5820 in the paper: slightly over 100 a second; 800 claimed by its maker. The two causes that the text names, here',
          head: ['', 'paper', 'here'],
          rows: [
            ['claimed over measured', 8, null],
            ['with CRT over without it, in line', null, crt],
            ['many over one blocked, with CRT', null, together],
            ['both together', null, Number(sign?.many) / Number(plain?.blocked)],
            [
              'verifications over signatures, RSA-1024 without CRT',
              'much larger than 1',
              Number(of('rsa-verify', 1024)?.inline) / Number(plain?.inline),
            ],
          ],
        },
      ],
      plots: [
        {
          file: 'ocf-figures-3-6.svg',
          svg: barPlot({
            title: 'RSA by modulus, in line',
            y: 'operations per second',
            groups: RSA.map((bits) => `${bits} bits`),
            bars: /** @type {const} */ (['rsa-sign-without-crt', 'rsa-sign', 'rsa-verify']).map(
              (operation) => ({
                name: NAMES[operation].replace(/.*: (RSA )?/, '').replace(', as in the paper', ''),
                values: RSA.map((bits) => of(operation, bits)?.inline),
              }),
            ),
          }),
        },
        {
          file: 'ocf-figures-3-6-dsa.svg',
          svg: barPlot({
            title: 'DSA by modulus, in line',
            y: 'operations per second',
            groups: DSA.map((bits) => `${bits} bits`),
            bars: /** @type {const} */ (['dsa-sign', 'dsa-verify']).map((operation) => ({
              name: NAMES[operation].replace(/.*: DSA /, ''),
              values: DSA.map((bits) => of(operation, bits)?.inline),
            })),
          }),
        },
      ],
      findings: [
        `The remainder theorem alone is a factor of ${crt.toFixed(1)} with 1024 bits, not being blocked one of ${together.toFixed(1)} with this machine's processors.`,
      ],
    };
  },
};
