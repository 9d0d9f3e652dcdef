#!/usr/bin/env node
// @ts-check
/**
 * Key operations: signatures one after the other in the caller's thread against many at once through the crypto framework,
 * and how late the event loop is while a storm of handshakes comes in.
 *
 *     npm run bench:keys -- [--seconds 2] [--rounds 3] [--in-flight 64] [--cpus 0,1] [--storm-only] [--signatures-only]
 */
import { generateKeyPairSync } from 'node:crypto';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { native } from '../../dist/native.js';
import { request, startObserved } from '../handshakes/observed.mjs';
import { buildLoad, measure } from '../https/load.mjs';
import { items, number, UsageError } from '../https/options.mjs';
import { markdown, median } from '../https/report.mjs';

const text = new TextEncoder().encode('TLS 1.3, server CertificateVerify');
const KEYS = /** @type {const} */ ([
  ['RSA-2048', 0x0804, () => generateKeyPairSync('rsa', { modulusLength: 2048 })],
  ['RSA-4096', 0x0804, () => generateKeyPairSync('rsa', { modulusLength: 4096 })],
  ['ECDSA P-256', 0x0403, () => generateKeyPairSync('ec', { namedCurve: 'P-256' })],
  ['ECDSA P-384', 0x0503, () => generateKeyPairSync('ec', { namedCurve: 'P-384' })],
  ['Ed25519', 0x0807, () => generateKeyPairSync('ed25519')],
]);
// What monitorEventLoopDelay counts from one sample to the next has the interval in it.
const INTERVAL = 1;
const round = (/** @type {number} */ value) => Math.round(value).toLocaleString('en-US');

/** Signatures per second. */
function inLine(/** @type {import('../../dist/native.js').NativePrivateKey} */ key, scheme, seconds) {
  const start = performance.now();
  let count = 0;
  while (performance.now() - start < seconds * 1000) {
    key.sign(scheme, text);
    ++count;
  }
  return (count * 1000) / (performance.now() - start);
}

/** The same with `inFlight` of them begun and not done at any time, and the 99th percentile of the loop's delay. */
async function throughFramework(
  /** @type {import('../../dist/native.js').NativePrivateKey} */ key,
  scheme,
  seconds,
  inFlight,
) {
  const delay = monitorEventLoopDelay({ resolution: INTERVAL });
  const start = performance.now();
  let count = 0;
  delay.enable();
  const one = async () => {
    while (performance.now() - start < seconds * 1000) {
      const made = key.signAsync(scheme, text);
      // Timers have their turn, too, where signatures are made at once.
      if (made instanceof Promise) await made;
      else await new Promise((resolve) => setImmediate(resolve));
      ++count;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, one));
  delay.disable();
  return {
    rate: (count * 1000) / (performance.now() - start),
    late: Math.max(0, delay.percentile(99) / 1e6 - INTERVAL),
  };
}

async function signatures({ seconds, rounds, inFlight }) {
  const rows = [
    ['', 'in line, per second', `${inFlight} in flight, per second`, 'ratio', 'event loop late: p99'],
  ];
  for (const [name, scheme, make] of KEYS) {
    const key = native.crypto.importPrivateKey(make().privateKey.export({ format: 'der', type: 'pkcs8' }));
    await throughFramework(key, scheme, 0.1, inFlight);
    const samples = [];
    for (let i = 0; i < rounds; ++i) {
      const alone = inLine(key, scheme, seconds);
      const { rate, late } = await throughFramework(key, scheme, seconds, inFlight);
      samples.push({ alone, rate, ratio: rate / alone, late });
    }
    const of = (/** @type {'alone' | 'rate' | 'ratio' | 'late'} */ which) =>
      median(samples.map((one) => one[which]));
    rows.push([
      name,
      round(of('alone')),
      round(of('rate')),
      `${of('ratio').toFixed(2)}x`,
      `${of('late').toFixed(1)} ms`,
    ]);
  }
  console.log(`Signatures; ${rounds} rounds of ${seconds} s\n`);
  console.log(markdown(rows));
}

async function storm({ seconds, rounds, cpus, connections }) {
  buildLoad();
  const rows = [['full handshakes', 'per second', 'event loop late: p50', 'p99', 'max']];
  for (const key of /** @type {const} */ (['RSA-2048', 'P-256'])) {
    for (const controlWorkers of [0, 1]) {
      const samples = [];
      for (let i = 0; i < rounds; ++i) {
        const server = await startObserved({ workers: 1, controlWorkers }, key, cpus);
        const asked = { ...request, port: server.port, mode: 'connect', connections, 'cpu-of': server.pid };
        await measure({ ...asked, requests: 4000 }, cpus[cpus.length - 1]);
        await server.look();
        const result = await measure({ ...asked, seconds, warmup: 0 }, cpus[cpus.length - 1]);
        const { delays } = await server.look();
        await server.close();
        samples.push({ perSecond: result.responses / result.seconds, ...delays });
      }
      const ms = (/** @type {'p50' | 'p99' | 'max'} */ which) =>
        `${median(samples.map((one) => one[which])).toFixed(1)} ms`;
      const where = controlWorkers === 0 ? 'main thread' : 'a control worker';
      rows.push([
        `${key}, ${where}`,
        round(median(samples.map((one) => one.perSecond))),
        ms('p50'),
        ms('p99'),
        ms('max'),
      ]);
    }
  }
  console.log(
    `\nA storm of handshakes, ${connections} connections at once, server and load on cores ${cpus.join(',')}\n`,
  );
  console.log(markdown(rows));
}

try {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string' },
      rounds: { type: 'string' },
      'in-flight': { type: 'string' },
      connections: { type: 'string' },
      cpus: { type: 'string' },
      'storm-only': { type: 'boolean' },
      'signatures-only': { type: 'boolean' },
    },
  });
  const seconds = number('seconds', values.seconds, 2, 0.1);
  const rounds = number('rounds', values.rounds, 3, 1);
  const inFlight = number('in-flight', values['in-flight'], 64, 1);
  const connections = number('connections', values.connections, 32, 1);
  const cpus = items(values.cpus ?? '0,1').map(Number);
  if (values['storm-only'] !== true) await signatures({ seconds, rounds, inFlight });
  if (values['signatures-only'] !== true) await storm({ seconds, rounds, cpus, connections });
} catch (error) {
  console.error(`bench: ${/** @type {Error} */ (error).message}`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
