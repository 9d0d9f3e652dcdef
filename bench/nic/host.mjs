#!/usr/bin/env node
// @ts-check
/**
 * What a GB costs the host whose NIC seals: processor time of the server and of the kernel's work for it, with the
 * device's thread beside it, against plain HTTP and TLS in user space through the same ports.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { UsageError } from '../https/options.mjs';
import { median } from '../https/report.mjs';
import { measure } from './host/measure.mjs';
import { whyNot } from './host/network.mjs';
import { HELP, parseOptions } from './host/options.mjs';
import { BASE, resyncsOf, versions } from './host/peers.mjs';

/** @typedef {import('./host/measure.mjs').Sample} Sample */

/** @param {string} folder @param {number} bytes @returns {import('./host/measure.mjs').Served} */
function makeSite(folder, bytes) {
  const root = join(folder, 'site');
  mkdirSync(root);
  const content = Buffer.alloc(bytes);
  // No two records are alike.
  for (let at = 0; at + 4 <= bytes; at += 4) content.writeUInt32LE(Math.imul(at, 2654435761) >>> 0, at);
  writeFileSync(join(root, 'file.bin'), content);
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  execFileSync(
    'openssl',
    [
      ...request,
      ...['-keyout', key, '-out', cert, '-days', '2'],
      ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'],
    ],
    { stdio: 'ignore' },
  );
  const digest = createHash('sha256').update(content).digest('hex');
  return { root, file: 'file.bin', digest, bytes, cert, key };
}

/** @param {Sample} sample */
const gigabytes = (sample) => sample.bytes / 1e9;
const perGb = (/** @type {Sample} */ sample) => sample.server / gigabytes(sample);

/** @param {Sample[]} samples  of one loss and one resync @param {import('./host/options.mjs').Options} options */
function table(samples, options) {
  const rows = options.peers.flatMap((peer) => {
    const own = samples.filter((sample) => sample.peer === peer.name);
    if (own.length === 0) return [];
    const middle = (/** @type {(sample: Sample) => number} */ of) => median(own.map(of));
    // Within a round the machine is more like itself than between two.
    const ratios = own.flatMap((sample) => {
      const base = samples.find((other) => other.peer === BASE && other.round === sample.round);
      return base === undefined ? [] : [perGb(sample) / perGb(base)];
    });
    const values = own.map(perGb);
    const spread = (Math.max(...values) - Math.min(...values)) / middle(perGb);
    const lost = middle((one) => (one.wire?.dropped ?? 0) / (one.wire?.framesOut ?? 1));
    const again = middle((one) => one.counts?.sealedAgain ?? 0);
    const resync = middle((one) => one.counts?.sealedToResync ?? 0);
    return [
      [
        peer.title,
        middle(perGb).toFixed(3),
        ratios.length === 0 ? '' : `${median(ratios).toFixed(2)}x`,
        `${Math.round(spread * 100)} %`,
        middle((one) => one.device / gigabytes(one)).toFixed(3),
        middle((one) => (one.server + one.device) / gigabytes(one)).toFixed(3),
        (middle((one) => one.perSegment) / 1024).toFixed(1),
        middle((one) => gigabytes(one) / one.seconds).toFixed(2),
        ...(own[0]?.wire
          ? [`${(lost * 100).toFixed(2)} %`, again === 0 ? '' : ((again + resync) / again).toFixed(2)]
          : []),
      ],
    ];
  });
  const lossy = samples.some((sample) => sample.wire !== null);
  const head = [
    ...['', 'host CPU, s per GB', 'to plain sendfile', 'spread', 'device, s per GB', 'both, s per GB'],
    ...[
      'KiB per segment',
      'goodput, GB/s',
      ...(lossy ? ['frames lost', 'crypto bytes per byte sent again'] : []),
    ],
  ];
  const line = (/** @type {string[]} */ cells) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(line)].join('\n');
}

/** @type {() => Promise<void>} */
let close = async () => {};
let folder = '';
let interrupted = false;
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM']))
  process.once(signal, async () => {
    interrupted = true;
    await close();
  });

try {
  const options = parseOptions(process.argv.slice(2));
  if (options === 'help') {
    console.log(HELP);
    process.exit(0);
  }
  const reason = whyNot();
  if (reason !== null) throw new Error(`cannot run here: ${reason}`);
  for (const peer of options.peers) {
    const missing = peer.missing();
    if (missing !== null) console.error(`bench: ${peer.name} is left out: ${missing}`);
  }
  options.peers = options.peers.filter((peer) => peer.missing() === null);
  folder = mkdtempSync(join(tmpdir(), 'socrypt-bench-nic-'));
  const served = makeSite(folder, options.bytes);
  /** @type {Sample[]} */
  const samples = [];
  for (let round = 0; round < options.rounds; ++round)
    for (const loss of options.loss)
      for (const peer of options.peers)
        for (const resync of resyncsOf(peer, options.resync)) {
          if (interrupted) throw new Error();
          if (process.stderr.isTTY)
            process.stderr.write(`\r\x1b[K${round + 1}/${options.rounds} ${peer.name}`);
          const sample = await measure(peer, { loss, resync, round }, served, options, (how) => {
            close = how;
          });
          samples.push(sample);
        }
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  console.log(
    `${cpus().length} cores of ${cpus()[0]?.model}, Linux ${release().split('-')[0]}, Node ${process.versions.node}, ${versions()}`,
  );
  console.log(
    `${options.connections} x ${options.fetches} fetches of ${options.bytes / 1e6} MB, ${options.congestion}, median of ${options.rounds}; TLS_AES_128_GCM_SHA256`,
  );
  for (const loss of options.loss)
    for (const resync of options.resync) {
      console.log(`\nloss ${loss} %, ${resync}:\n`);
      const of = samples.filter(
        (one) => one.loss === loss && (one.resync === resync || one.sealer !== 'nic'),
      );
      console.log(table(of, options));
    }
  if (options.json !== null) writeFileSync(options.json, `${JSON.stringify(samples, null, 1)}\n`);
} catch (error) {
  // What ended with an interruption says nothing else.
  console.error(`bench: ${interrupted ? 'interrupted' : /** @type {Error} */ (error).message}`);
  if (error instanceof UsageError) console.error('--help tells them all');
  process.exitCode = error instanceof UsageError ? 2 : 1;
} finally {
  await close();
  if (folder !== '') rmSync(folder, { recursive: true, force: true });
}
