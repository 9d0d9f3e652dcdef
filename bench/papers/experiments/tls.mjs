// @ts-check
/** "Cryptography as an Operating System Service", Figure 8: a large file over TLS, and where the time goes. */
import { absence, cardFile, lines, typical } from '../native.mjs';
import { OCF } from '../papers.mjs';
import { barPlot } from '../plot.mjs';

const WAYS = /** @type {const} */ ([
  { name: 'no cipher', args: ['null', '-'], megabytes: 1000 },
  { name: '3DES, user', args: ['software', '3des'], megabytes: 32 },
  { name: '3DES, crypto thread', args: ['thread', '3des'], megabytes: 32 },
  { name: '3DES, second processor', args: ['processor', '3des'], megabytes: 32 },
  { name: 'Hifn 7751', args: ['card', '-', cardFile('hifn-7751')], megabytes: 16 },
  { name: 'Broadcom 5820', args: ['card', '-', cardFile('broadcom-5820')], megabytes: 32 },
  { name: 'AES-GCM, user', args: ['software', 'aes-128-gcm'], megabytes: 1000 },
  { name: 'AES-GCM, crypto thread', args: ['thread', 'aes-128-gcm'], megabytes: 1000 },
]);

/** @typedef {{ seconds: number, user: number, system: number, framework: number, driver: number, waited: number, otherThreads: number, bytes: number }} Run */
const PARTS = /** @type {const} */ ([
  'user',
  'cipher in line',
  'system',
  'framework',
  'crypto thread',
  'device',
  'rest',
]);

/** Seconds per GB of each part. @param {Run} run @param {string} where */
function parts(run, where) {
  const inLine = where === 'software' || where === 'null';
  const cipher = inLine ? run.driver : 0;
  // Handing over and taking back is the framework's side of an asynchronous driver.
  const framework = run.framework + (inLine ? 0 : run.driver);
  const user = Math.max(0, run.user - cipher - framework);
  const thread = where === 'thread' ? Math.min(run.otherThreads, run.waited) : 0;
  const device = where === 'card' || where === 'processor' ? run.waited : 0;
  const known = [user, cipher, run.system, framework, thread, device];
  const rest = Math.max(0, run.seconds - known.reduce((sum, part) => sum + part, 0));
  return [...known, rest].map((part) => (part / run.bytes) * 1e9);
}

/** @type {import('../papers.mjs').Experiment} */
export const figure8 = {
  id: 'ocf-figure-8',
  paper: OCF,
  title: 'Figure 8: 1 GB over TLS, and where the time goes',
  differs:
    'loopback instead of two hosts; 3DES with HMAC-SHA1 as encrypt-then-MAC (the paper offloaded the cipher alone), AES-128-GCM beside it; no DES and no RC4. Where a way is slow, 16 or 32 MB are sent and the time is scaled to 1 GB; one record of 16 KB at a time, handshake left out. ' +
    "The crypto thread is a thread on the sender's processor, as the kernel's was; the cards are simulated in real time and send their data as it is. The text gives no time of any bar.",
  cannot: () => absence('bench_papers', 'it needs libssl-dev to build bench/papers/native/ocf'),
  async run(options) {
    const runs = WAYS.map((way) => {
      options.progress(way.name);
      const megabytes = options.quick ? way.megabytes / 8 : way.megabytes;
      const run = typical(
        options.quick ? 1 : 3,
        (/** @type {Run} */ one) => one.seconds,
        () => /** @type {Run} */ (lines('bench_papers', ['tls', ...way.args, megabytes])[0]),
      );
      return { ...way, run, parts: parts(run, way.args[0]) };
    });
    const time = (/** @type {string} */ name) => {
      const run = runs.find((one) => one.name === name)?.run;
      return run === undefined ? Number.NaN : (run.seconds / run.bytes) * 1e9;
    };
    const share = (/** @type {string} */ name, /** @type {number} */ part) =>
      Math.round((Number(runs.find((one) => one.name === name)?.parts[part]) / time(name)) * 100);
    return {
      tables: [
        {
          caption: 'Seconds per GB, here',
          head: ['', 'elapsed', ...PARTS],
          rows: runs.map((run) => [run.name, time(run.name), ...run.parts]),
        },
        {
          caption: 'What the text says of the bars, as ratios of elapsed time',
          head: ['', 'paper', 'here'],
          rows: [
            ['3DES: crypto thread over user', 'below 1', time('3DES, crypto thread') / time('3DES, user')],
            [
              'a cheaper cipher: crypto thread over user (paper: DES)',
              'above 1',
              time('AES-GCM, crypto thread') / time('AES-GCM, user'),
            ],
          ],
        },
      ],
      plots: [
        {
          file: 'ocf-figure-8.svg',
          svg: barPlot({
            title: '1 GB of 3DES over TLS',
            y: 'seconds per GB',
            groups: runs.slice(1, 6).map((run) => run.name.replace('3DES, ', '').replace('second ', '2nd ')),
            stacked: true,
            bars: PARTS.map((name, part) => ({
              name,
              values: runs.slice(1, 6).map((run) => run.parts[part]),
            })),
          }),
        },
        {
          file: 'ocf-figure-8-aes.svg',
          svg: barPlot({
            title: '1 GB of AES-128-GCM over TLS',
            y: 'seconds per GB',
            groups: [runs[0], ...runs.slice(6)].map((run) => String(run?.name).replace('AES-GCM, ', '')),
            stacked: true,
            bars: PARTS.map((name, part) => ({
              name,
              values: [runs[0], ...runs.slice(6)].map((run) => run?.parts[part]),
            })),
          }),
        },
      ],
      findings: [
        // Runs of the same differ by two or three per cent.
        time('3DES, crypto thread') < 0.95 * time('3DES, user')
          ? 'As in the paper, 3DES by the crypto thread is faster than in the program.'
          : "Not reproduced: 3DES by the crypto thread is not faster than in the program by more than two runs differ. The paper's thread could not be preempted and so escaped the scheduler; a thread of a process cannot.",
        `3DES in line is ${share('3DES, user', 1)} % of its time; AES-128-GCM is ${share('AES-GCM, user', 1)} %: the network stack is what is left, and no accelerator takes that.`,
        `The simulated cards take ${(time('Hifn 7751') / time('3DES, user')).toFixed(1)} (7751) and ${(time('Broadcom 5820') / time('3DES, user')).toFixed(1)} (5820) times as long as today's software, almost all of it waiting: the sender's processor works ${(((time('Broadcom 5820') - Number(runs[5]?.parts[5])) / time('Broadcom 5820')) * 100).toFixed(0)} % of the time with the 5820.`,
      ],
    };
  },
};
