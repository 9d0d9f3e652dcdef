#!/usr/bin/env node
// @ts-check
/**
 * Handshakes in memory, without sockets: the server's side alone is timed, ours (TypeScript, compiled to dist/) and
 * OpenSSL's (pair.cpp) on the same core, one after the other in every round.
 *
 *     npm run bench:handshakes:memory -- [--seconds 2] [--rounds 3] [--batch 32] [--cpu 0]
 *
 * `--batch N`: N clients say their hello before the server's N answers are timed together, as an event loop under
 * load sees them; 1 times every flight by itself.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { parseArgs } from 'node:util';
import { makeCertificate } from '../https/corpus.mjs';
import { items, number, UsageError } from '../https/options.mjs';
import { repository } from '../https/peers.mjs';
import { markdown, median } from '../https/report.mjs';

/** Per second of the server alone, one thread of a Xeon E-2386G; the rustls project's report of 2026-03-07. */
const REPORT = 'rustls report of 2026-03-07, Xeon E-2386G';
const REPORTED = {
  '1.3 P-256 full': { 'OpenSSL 3.6.1': 3177, BoringSSL: 4981, 'rustls 0.23.37': 6786 },
  '1.3 RSA-2048 full': { 'OpenSSL 3.6.1': 1713, BoringSSL: 1302, 'rustls 0.23.37': 2357 },
  '1.3 P-256 resumed': { 'OpenSSL 3.6.1': 3780, BoringSSL: 5687, 'rustls 0.23.37': 7249 },
  '1.2 P-256 full': { 'OpenSSL 3.6.1': 5227, BoringSSL: 9058, 'rustls 0.23.37': 13525 },
  '1.2 P-256 resumed': { 'OpenSSL 3.6.1': 22647, BoringSSL: 44429, 'rustls 0.23.37': 72481 },
};
const LIBRARIES = /** @type {const} */ (['OpenSSL 3.6.1', 'BoringSSL', 'rustls 0.23.37']);
const GROUP = 'X25519';
const WARM_HANDSHAKES = 300;
const PATIENCE_MS = 200;

/** @typedef {{ name: string, tls: '1.3' | '1.2', key: 'P-256' | 'RSA-2048', kind: 'full' | 'resumed' }} Case */
/** @typedef {{ perSecond: number, resumed: number, handshakes: number, what: string }} Figure */

function buildPair() {
  const source = join(repository, 'bench/handshakes/pair.cpp');
  const program = join(repository, 'build/bench/pair');
  mkdirSync(join(repository, 'build/bench'), { recursive: true });
  const built = statSync(program, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (statSync(source).mtimeMs > built) {
    const flags = ['-std=c++20', '-O2', '-Wall', '-Wextra', '-o', program, source, '-lssl', '-lcrypto'];
    execFileSync(process.env.CXX ?? 'g++', flags, { stdio: 'inherit' });
  }
  return program;
}

/** CPU time and not the clock's: other programs on the core are then no part of it. */
function cpuMicroseconds() {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** The transport of a client: what it sends is kept, what it gets is given to it. */
class Wire extends Duplex {
  /** @type {Buffer[]} */
  #sent = [];
  /** @type {(() => void) | undefined} */
  #waiting;
  /** @param {Buffer} bytes @param {string} _ @param {() => void} done */
  _write(bytes, _, done) {
    this.#sent.push(bytes);
    this.#waiting?.();
    done();
  }
  _read() {}
  /** All that was sent, as soon as there is something. */
  async take() {
    if (this.#sent.length === 0) {
      await new Promise((resolve) => {
        this.#waiting = () => resolve(undefined);
      });
    }
    return Buffer.concat(this.#sent.splice(0));
  }
}

/** @param {{ cert: string, key: string }} files @param {Case} what @param {number} batch */
async function makeOurs(files, what, batch) {
  const at = (/** @type {string} */ path) => join(repository, 'dist', path);
  if (!existsSync(at('tls/index.js'))) throw new Error('dist/ is not there; npm run setup');
  const { native } = await import(at('native.js'));
  const { nativeCryptoProvider } = await import(at('control/native-crypto-provider.js'));
  const { loadCredential } = await import(at('control/credentials.js'));
  const { ServerHandshake } = await import(at('tls/index.js'));
  const { Sessions } = await import(at('control/tickets/sessions.js'));
  const credential = loadCredential({ certFile: files.cert, keyFile: files.key }, { crypto: native.crypto });
  const provider = nativeCryptoProvider(native.crypto);
  const secrets = { current: randomBytes(32), next: [], previous: [] };
  // One ticket per connection, as in pair.cpp.
  const sessions = { tickets: what.kind === 'resumed' ? 1 : 0, lifetime: 7200, secrets, singleUse: null };
  const config = {
    versions: [what.tls === '1.3' ? 0x0304 : 0x0303],
    suites: what.tls === '1.3' ? [0x1301] : [0xc02b, 0xc02f],
    groups: [0x001d],
    alpn: [],
    maxHandshakeBytes: 65_536,
    tickets: new Sessions(provider, sessions).tickets,
    selectCredential: () => credential,
  };
  let microseconds = 0;
  let handshakes = 0;
  let resumed = 0;
  /** The newest that a client was given. @type {Buffer | undefined} */
  let session;

  /** @param {any} handshake @param {any[]} events @returns {{ flight: Buffer, done: boolean }} */
  const answer = (handshake, events) => {
    /** @type {Buffer[]} */
    const flight = [];
    let done = false;
    for (let i = 0; i < events.length; ++i) {
      const event = events[i];
      if (event.type === 'send') flight.push(event.bytes);
      else if (event.type === 'sign') {
        events = handshake.provideSignature(credential.sign(event.scheme, event.data));
        i = -1;
      } else if (event.type === 'established') done = true;
      else throw new Error(`our handshake said ${event.type}: ${event.reason}`);
    }
    return { flight: Buffer.concat(flight), done };
  };

  const round = async () => {
    const wires = Array.from({ length: batch }, () => new Wire());
    const clients = wires.map((socket) =>
      connect({
        socket,
        servername: 'localhost',
        rejectUnauthorized: false,
        minVersion: `TLSv${what.tls}`,
        maxVersion: `TLSv${what.tls}`,
        ciphers: 'TLS_AES_128_GCM_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256',
        // In TLS 1.2 the list also says which curves a certificate may be on.
        ecdhCurve: what.tls === '1.3' ? GROUP : `${GROUP}:P-256`,
        ...(session === undefined ? {} : { session }),
      }),
    );
    const given = clients.map(
      (client) =>
        new Promise((resolve) => {
          client.once('error', resolve);
          client.once('session', (/** @type {Buffer} */ newest) => {
            session = newest;
            resolve(undefined);
          });
        }),
    );
    const servers = /** @type {any[]} */ ([]);
    let waiting = wires.map((_, index) => index);
    for (let begun = false; waiting.length > 0; begun = true) {
      const inputs = await Promise.all(waiting.map((index) => wires[index]?.take()));
      const begin = cpuMicroseconds();
      if (!begun) for (const index of waiting) servers[index] = new ServerHandshake(config, provider);
      const answers = waiting.map((index, i) => answer(servers[index], servers[index].receive(inputs[i])));
      microseconds += cpuMicroseconds() - begin;
      const indices = waiting;
      waiting = indices.filter((_, i) => !answers[i]?.done);
      for (const [i, index] of indices.entries()) {
        const bytes = answers[i]?.flight;
        if (bytes !== undefined && bytes.length > 0) wires[index]?.push(bytes);
      }
    }
    // A server that gives no session is found out by the number of those that were resumed.
    if (what.kind === 'resumed') await Promise.race([Promise.all(given), sleep(PATIENCE_MS)]);
    handshakes += batch;
    resumed += clients.filter((client) => client.isSessionReused()).length;
    for (const client of clients) client.destroy();
  };
  return {
    /** @param {number} seconds @returns {Promise<Figure>} */
    async measure(seconds) {
      while (handshakes < WARM_HANDSHAKES) await round();
      microseconds = 0;
      handshakes = resumed = 0;
      const end = performance.now() + seconds * 1000;
      while (performance.now() < end) await round();
      const perSecond = handshakes / (microseconds / 1e6);
      return { perSecond, resumed, handshakes, what: 'socrypt' };
    },
  };
}

/** @param {{ cert: string, key: string }} files @param {Case} what @param {number} seconds @param {number} batch @returns {Figure} */
function measurePair(files, what, seconds, batch) {
  const given = [files.cert, files.key, GROUP, what.tls, what.kind, String(seconds), String(batch)];
  const result = JSON.parse(execFileSync(buildPair(), given, { encoding: 'utf8' }));
  const perSecond = result.handshakes / result.serverSeconds;
  return { perSecond, resumed: result.resumed, handshakes: result.handshakes, what: result.library };
}

/** Why there is no figure of ours; null when there is one. @param {Figure} figure @param {Case} what */
function wrong({ resumed, handshakes }, what) {
  const expected = what.kind === 'resumed' ? handshakes : 0;
  return resumed === expected ? null : `resumed ${resumed} of ${handshakes}`;
}

const round = (/** @type {number} */ value) => Math.round(value).toLocaleString('en-US');

try {
  const flags = Object.fromEntries(
    ['seconds', 'rounds', 'batch', 'cpu', 'keys'].map((name) => [
      name,
      { type: /** @type {const} */ ('string') },
    ]),
  );
  const { values } = parseArgs({ options: flags });
  const seconds = number('seconds', values.seconds, 2, 0.2);
  const rounds = number('rounds', values.rounds, 3, 1);
  const batch = number('batch', values.batch, 32, 1);
  const keys = /** @type {Case['key'][]} */ (items(values.keys ?? 'P-256,RSA-2048'));
  // Both run here: children keep to the core that this process keeps to.
  execFileSync('taskset', ['-cp', String(number('cpu', values.cpu, 0, 0)), String(process.pid)], {
    stdio: 'ignore',
  });

  /** @type {Case[]} */
  const cases = [];
  for (const tls of /** @type {const} */ (['1.3', '1.2']))
    for (const key of keys)
      for (const kind of /** @type {const} */ (['full', 'resumed']))
        cases.push({ name: `${tls} ${key} ${kind}`, tls, key, kind });

  const rows = [
    ['server alone, handshakes per CPU-second', 'socrypt', 'OpenSSL here', 'ratio', ...LIBRARIES],
  ];
  let library = '';
  for (const what of cases) {
    const files = makeCertificate(join(repository, 'build/bench'), what.key);
    const ours = await makeOurs(files, what, batch);
    /** @type {number[]} */
    const own = [];
    /** @type {number[]} */
    const theirs = [];
    for (let i = 0; i < rounds; ++i) {
      const pair = measurePair(files, what, seconds, batch);
      if (what.kind === 'resumed' && pair.resumed !== pair.handshakes)
        throw new Error(`OpenSSL resumed ${pair.resumed} of ${pair.handshakes} (${what.name})`);
      library = pair.what;
      theirs.push(pair.perSecond);
      const figure = await ours.measure(seconds).catch((/** @type {Error} */ error) => error.message);
      const reason = typeof figure === 'string' ? figure : wrong(figure, what);
      if (typeof figure === 'object' && reason === null) own.push(figure.perSecond);
      else if (i === 0) console.error(`bench: no figure of ours for TLS ${what.name}: ${reason}`);
    }
    const ratio =
      own.length > 0 ? `${median(own.map((value, i) => value / (theirs[i] ?? NaN))).toFixed(2)}x` : '-';
    const reported = /** @type {Record<string, Record<string, number>>} */ (REPORTED)[what.name];
    rows.push([
      `TLS ${what.name}`,
      own.length > 0 ? round(median(own)) : '-',
      round(median(theirs)),
      ratio,
      ...LIBRARIES.map((name) => (reported?.[name] === undefined ? '' : round(reported[name]))),
    ]);
  }
  console.log(
    `${GROUP}, AES-128-GCM; ${rounds} rounds of ${seconds} s, ${batch} at a time; node ${process.version}`,
  );
  console.log(`OpenSSL here: ${library}. The last three columns: ${REPORT} (another machine).\n`);
  console.log(markdown(rows));
} catch (error) {
  console.error(`bench: ${/** @type {Error} */ (error).message}`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
