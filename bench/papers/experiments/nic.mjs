// @ts-check
/** "TLS Offload to Network Devices": what the symmetric half of TLS costs a sender. */
import { absence, lines, typical } from '../native.mjs';
import { NIC } from '../papers.mjs';
import { barPlot } from '../plot.mjs';

/** @typedef {{ seconds: number, user: number, system: number, bytes: number }} Stream */

/** @param {string} mode @param {number} record @param {import('../papers.mjs').Options} options @returns {Stream} */
function stream(mode, record, options) {
  options.progress(`${mode}, records of ${record} bytes`);
  const megabytes = (record < 4096 ? 500 : 2000) / (options.quick ? 10 : 1);
  return typical(
    options.quick ? 1 : 3,
    (/** @type {Stream} */ one) => one.user + one.system,
    () => lines('bench_stream', [mode, record, megabytes])[0],
  );
}

const gigabits = (/** @type {Stream} */ one) => (one.bytes * 8) / one.seconds / 1e9;
const cpu = (/** @type {Stream} */ one) => one.user + one.system;
const perCpu = (/** @type {Stream} */ one) => (one.bytes * 8) / cpu(one) / 1e9;
/** Of one GB. @param {Stream} one @param {number} seconds */
const each = (one, seconds) => (seconds / one.bytes) * 1e9;

const cannot = () => absence('bench_stream', 'it needs libssl-dev to build bench/papers/native/stream.cc');

/** @type {import('../papers.mjs').Experiment} */
export const table1 = {
  id: 'nic-table-1',
  paper: NIC,
  title: 'Table 1: a TLS socket with AES128-GCM against one with a NULL suite',
  differs:
    'one machine, sender and receiver on a core each over loopback, where the paper had two machines back to back; OpenSSL 3 with TLS 1.2 and records of 16 KB; ' +
    'the receiver does not decrypt. The NULL suites that OpenSSL 3 still has authenticate with an HMAC, which costs more today than all of AES-GCM: TCP alone stands beside them. ' +
    "The paper's CPU seconds are for a transfer whose size it does not give; ours are per GB.",
  cannot,
  async run(options) {
    const modes = /** @type {const} */ ([
      ['AES128-GCM', 'openssl-aes128-gcm', '0.54 / 0.78 / 94 %', 6.48],
      ['NULL (here: NULL-SHA)', 'openssl-null-sha1', '0.08 / 0.61 / 81 %', 10.4],
      ['NULL-SHA256', 'openssl-null-sha256', undefined, undefined],
      ['no TLS', 'tcp', undefined, undefined],
    ]);
    const runs = modes.map(([name, mode, paperCpu, paperRate]) => {
      const one = stream(mode, 16384, options);
      return { name, one, paperCpu, paperRate };
    });
    const [aes, , , plain] = runs.map((run) => run.one);
    const saved = 1 - cpu(plain) / plain.bytes / (cpu(aes) / aes.bytes);
    return {
      tables: [
        {
          caption: 'CPU time (user s / system s / usage) and bandwidth',
          head: [
            'suite',
            'paper: CPU',
            'here: CPU, per GB',
            'paper: Gb/s',
            'here: Gb/s',
            'here: Gb per CPU-second',
          ],
          rows: runs.map(({ name, one, paperCpu, paperRate }) => [
            name,
            paperCpu,
            `${each(one, one.user).toFixed(2)} / ${each(one, one.system).toFixed(2)} / ${Math.round((cpu(one) / one.seconds) * 100)} %`,
            paperRate,
            gigabits(one),
            perCpu(one),
          ]),
        },
      ],
      plots: [
        {
          file: 'nic-table-1.svg',
          svg: barPlot({
            title: 'Sender CPU per GB',
            y: 'seconds per GB',
            groups: runs.map((run) => run.name),
            stacked: true,
            bars: [
              { name: 'user', values: runs.map(({ one }) => each(one, one.user)) },
              { name: 'system', values: runs.map(({ one }) => each(one, one.system)) },
            ],
          }),
        },
      ],
      findings: [
        `Taking the cipher away altogether saves ${Math.round(saved * 100)} % of the sender's CPU per byte here; the paper's text says 85 % of what it measured as user time.`,
      ],
    };
  },
};

/** @type {import('../papers.mjs').Experiment} */
export const table2 = {
  id: 'nic-table-2',
  paper: NIC,
  title: 'Table 2: TCP, TLS in user space, the data plane, and the data plane with offload',
  differs:
    'loopback on one machine instead of two machines back to back, so TCP has no wire to fill; kTLS is our data plane in software (this kernel has none); ' +
    'GnuTLS 3.7 with TLS 1.3 and AES-128-GCM; one write per record for TCP and GnuTLS, sixteen records per write for the data plane. ' +
    "All columns of the paper are at 100 % CPU; per CPU-second is the fair figure here. kTLS + offload is the host's part alone, as in the paper, whose " +
    'card takes none of the processor: records are framed, announced to the record map and written unsealed. Who seals them here is a thread, and what that costs, ' +
    'with real ports and a real server, is in docs/benchmarks.md (`bench/nic`).',
  cannot,
  async run(options) {
    const modes = /** @type {const} */ ([
      ['TCP', 'tcp', '10-23'],
      ['GnuTLS', 'gnutls', '5.1'],
      ['kTLS (here: data plane, software)', 'software', '4.3'],
      ["kTLS + offload (here: the host's part)", 'offload', '8.8'],
    ]);
    const small = modes.map(([, mode]) => stream(mode, 1457, options));
    const large = modes.map(([, mode]) => stream(mode, 16384, options));
    const ratio = (/** @type {Stream[]} */ runs) => perCpu(runs[2]) / perCpu(runs[1]);
    const gain = (/** @type {Stream[]} */ runs) => perCpu(runs[3]) / perCpu(runs[2]);
    return {
      tables: [
        {
          caption: 'Throughput, Gb/s',
          head: [
            '',
            'paper, 1457-byte records',
            'here, 1457: Gb/s',
            'per CPU-second',
            'here, 16 KB: Gb/s',
            'per CPU-second',
          ],
          rows: modes.map(([name, , paper], i) => [
            name,
            paper,
            gigabits(small[i]),
            perCpu(small[i]),
            gigabits(large[i]),
            perCpu(large[i]),
          ]),
        },
      ],
      plots: [
        {
          file: 'nic-table-2.svg',
          svg: barPlot({
            title: 'Throughput per CPU-second of the sender',
            y: 'Gb per CPU-second',
            groups: modes.map(([name]) => name.replace(/ \(.*/, '')),
            bars: [
              { name: '1457-byte records', values: small.map(perCpu) },
              { name: '16 KB records', values: large.map(perCpu) },
            ],
          }),
        },
      ],
      findings: [
        `The data plane moves ${ratio(small).toFixed(1)} times what GnuTLS moves per CPU-second with small records and ${ratio(large).toFixed(1)} times with 16 KB records; in the paper kTLS was slower than GnuTLS (0.84).`,
        `With offload the host moves ${gain(small).toFixed(2)} times what it moves when it seals by itself with small records, and ${gain(large).toFixed(2)} times with 16 KB records; in the paper 2.05 times: sealing costs a smaller part of a byte today.`,
        `One write per 1457-byte record and sixteen records per write: TCP alone moves ${perCpu(small[0]).toFixed(1)} Gb per CPU-second, the encrypting data plane ${perCpu(small[2]).toFixed(1)}.`,
      ],
    };
  },
};
