/**
 * Properties of a whole connection, both roles, over real traces: ours against ours, and with openssl. However the bytes
 * come in, the same happens; whatever is done to them, nothing throws, hangs or piles up, it ends with one
 * right alert, and nothing that was changed is taken for what the peer has said.
 *
 * fast-check prints seed and path of a failure; SOCRYPT_TEST_SEED replays a run, SOCRYPT_TEST_CASES=10 makes it ten
 * times as long.
 */
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { ByteQueue } from '../../src/tls/byte-queue.ts';
import { AlertDescription } from '../../src/tls/codepoints.ts';
import { alertFor, type ConnectionEvent, REASONS } from '../../src/tls/index.ts';
import { cases, mutate, mutations, records } from '../support/mutations.ts';
import { P256, P384, X25519 } from '../support/node-crypto-provider.ts';
import { opensslClientTrace, opensslServerTrace } from '../support/openssl-traces.ts';
import { testSeed } from '../support/random.ts';
import { testCredential } from '../support/test-credentials.ts';
import {
  answer,
  clientMaker,
  MAX_HANDSHAKE_BYTES,
  normalised,
  perform,
  play,
  recordPair,
  serverMaker,
  type Trace,
} from '../support/trace.ts';

const seed = testSeed();
const NO_TICKETS = { tickets: undefined };
const RSA = { selectCredential: () => testCredential('rsa') };
const SCHEMES = [0x0403, 0x0503, 0x0807, 0x0804];
const ASKS = { clientAuthentication: { required: true, schemes: SCHEMES, authorities: [] } };
const ANSWERS = { selectCredential: () => testCredential('ecdsa-p384') };
const GROUPS = { groups: [X25519, P256, P384] };
const TLS12 = {
  versions: [0x0304, 0x0303],
  suites: [0x1301, 0xc02b, 0xc02c, 0xcca9, 0xc02f],
  ...GROUPS,
};

const PAIRS = [
  ...[0x1301, 0x1302, 0x1303].map((suite) =>
    recordPair(
      `suite ${suite.toString(16)}`,
      clientMaker(suite, { suites: [suite] }),
      serverMaker(suite, NO_TICKETS),
    ),
  ),
  recordPair(
    'RSA, P-384',
    clientMaker(1, { keyShareGroups: [P384] }),
    serverMaker(2, { ...RSA, ...GROUPS, ...NO_TICKETS }),
  ),
  recordPair('HelloRetryRequest', clientMaker(3, { keyShareGroups: [] }), serverMaker(4, NO_TICKETS)),
  recordPair('client authentication', clientMaker(5, ANSWERS), serverMaker(6, { ...ASKS, ...NO_TICKETS })),
  recordPair(
    'HelloRetryRequest, client authentication, no compatibility mode',
    clientMaker(7, { ...ANSWERS, keyShareGroups: [], compatibilityMode: false }),
    serverMaker(8, { ...ASKS, ...RSA, ...NO_TICKETS }),
  ),
  ...[0xc02b, 0xc02c, 0xcca9].map((suite) =>
    recordPair(
      `TLS 1.2, suite ${suite.toString(16)}`,
      clientMaker(suite, { ...TLS12, suites: [suite], versions: [0x0303] }),
      serverMaker(suite, { ...TLS12, ...NO_TICKETS }),
    ),
  ),
  recordPair(
    'TLS 1.2, RSA, client authentication',
    clientMaker(9, { ...TLS12, ...ANSWERS, versions: [0x0303] }),
    serverMaker(10, { ...TLS12, ...ASKS, ...RSA, ...NO_TICKETS }),
  ),
].flat();

const traces: Trace[] = [
  ...PAIRS,
  ...(await Promise.all([
    opensslClientTrace('TLS 1.3', serverMaker(20)),
    opensslClientTrace('TLS 1.3, resumed', serverMaker(21), [], true),
    opensslClientTrace('TLS 1.3, HelloRetryRequest', serverMaker(22, GROUPS), ['-groups', 'P-521:P-384']),
    opensslClientTrace('TLS 1.2', serverMaker(23, TLS12), ['-tls1_2']),
    opensslClientTrace('TLS 1.2, resumed', serverMaker(24, TLS12), ['-tls1_2'], true),
    opensslClientTrace('TLS 1.2, ChaCha20', serverMaker(25, TLS12), ['-tls1_2', '-cipher', 'CHACHA20']),
    opensslServerTrace('TLS 1.3', clientMaker(30), ['-num_tickets', '0']),
    opensslServerTrace('TLS 1.3, HelloRetryRequest', clientMaker(31), [
      '-groups',
      'P-384',
      '-num_tickets',
      '0',
    ]),
  ])),
];

/** The bytes of the peer, a flight each. */
const flights = ({ steps }: Trace): Buffer[] =>
  steps.flatMap((step) => (step.type === 'receive' ? [step.bytes] : []));

/** What is held and done by the queues of a connection, which is where a peer's bytes wait. */
const queues = { held: 0, takes: 0 };
const { settle, take } = ByteQueue.prototype;
vi.spyOn(ByteQueue.prototype, 'settle').mockImplementation(function (this: ByteQueue) {
  settle.call(this);
  queues.held = Math.max(queues.held, this.length);
});
vi.spyOn(ByteQueue.prototype, 'take').mockImplementation(function (this: ByteQueue, length) {
  queues.takes++;
  return take.call(this, length);
});

/** A record that is not whole, or a handshake message that is not. */
const MAX_HELD = Math.max(5 + 16_384 + 2048, MAX_HANDSHAKE_BYTES);
const ALERTS: readonly number[] = Object.values(AlertDescription);

/**
 * What of a peer's bytes a handshake rests on: all but ChangeCipherSpecs, alerts and the headers of plaintext records.
 */
function essence(bytes: Buffer): Buffer {
  return Buffer.concat(
    records(bytes).map((record) =>
      record[0] === 22 ? record.subarray(5) : record[0] === 23 ? record : Buffer.alloc(0),
    ),
  );
}

const dataOf = (events: readonly ConnectionEvent[]) =>
  Buffer.concat(events.flatMap((event) => (event.type === 'data' ? [event.bytes] : [])));

/** A trace as it was: its events, and the essence of the bytes that it takes to be established. */
interface Reference {
  readonly events: string[];
  readonly data: Buffer;
  /** Flights before the first that this rests on. */
  readonly from: number;
  readonly essence: Buffer;
}

function reference(trace: Trace): Reference {
  const events = play(trace);
  const connection = trace.make();
  /**
   * A server keeps nothing of a first hello that it answers with HelloRetryRequest: the cookie of the second one, which
   * comes from the recorded connection, says what it was.
   */
  const isRetried = events.some((event) => event.type === 'established' && event.info.helloRetry);
  const from = trace.role === 'server' && isRetried ? 1 : 0;
  let flight = 0;
  const until: number[] = [];
  const answerAll = (batch: readonly ConnectionEvent[]): void => {
    for (const event of batch) answerAll(answer(connection, event)?.() ?? []);
  };
  for (const step of trace.steps) {
    if (step.type !== 'receive') answerAll(perform(connection, step));
    else {
      for (const byte of step.bytes) {
        if (connection.state === 'Established') break;
        if (flight >= from) until.push(byte);
        answerAll(connection.receive(Uint8Array.of(byte)));
      }
      flight++;
    }
  }
  return { events: normalised(events), data: dataOf(events), from, essence: essence(Buffer.from(until)) };
}

describe.each(traces)('$name', (trace) => {
  const expected = reference(trace);

  test('runs to its end', () => {
    expect(expected.events.some((line) => line.startsWith('established'))).toBe(true);
    expect(expected.events.some((line) => line.startsWith('fail'))).toBe(false);
    expect(expected.data.length).toBeGreaterThan(0);
  });

  test('Fragmented hello (CVE-2024-11738): byte by byte', () => {
    const single = (bytes: Buffer) => Array.from(bytes, (byte) => Buffer.of(byte));
    expect(normalised(play(trace, single))).toEqual(expected.events);
  });

  test('however it is cut, and however late questions are answered, the same happens', () => {
    const property = fc.property(
      fc.array(fc.nat({ max: 3000 }), { minLength: 1, maxLength: 30 }),
      fc.array(fc.nat({ max: 5 }), { minLength: 1, maxLength: 4 }),
      (sizes, delays) => {
        let next = 0;
        const cut = (bytes: Buffer) => {
          const pieces: Buffer[] = [];
          for (let at = 0; at < bytes.length; ) {
            // Also an empty piece.
            const size = sizes[next++ % sizes.length]! || next % 2;
            pieces.push(bytes.subarray(at, at + size));
            at += size;
          }
          return pieces;
        };
        const late = () => delays[next % delays.length]!;
        expect(normalised(play(trace, cut, late))).toEqual(expected.events);
      },
    );
    fc.assert(property, { seed, numRuns: cases(12) });
  });

  test('whatever is changed, it fails with one alert, and takes nothing for what was not said', () => {
    const others = traces.filter((other) => other !== trace && other.role === trace.role).flatMap(flights);
    const property = fc.property(mutations, fc.integer({ min: 1, max: 5000 }), (list, portion) => {
      checkMutated(trace, expected, mutate(flights(trace), list, others), portion);
    });
    fc.assert(property, { seed, numRuns: cases(50) });
  });
});

function checkMutated(trace: Trace, expected: Reference, mutated: readonly Buffer[], portion: number): void {
  queues.held = 0;
  queues.takes = 0;
  const connection = trace.make();
  const events: ConnectionEvent[] = [];
  const fed: Buffer[] = [];
  const isLast = ({ type }: ConnectionEvent) => type === 'fail';
  const put = (batch: readonly ConnectionEvent[]): void => {
    for (const event of batch) {
      expect(events.some(isLast), 'an event after the last one').toBe(false);
      events.push(event);
      if (event.type === 'established') {
        // Nothing but what the peer has said, and all of it.
        const taken = essence(Buffer.concat(fed)).subarray(0, expected.essence.length);
        expect(taken.equals(expected.essence), 'established on changed bytes').toBe(true);
      }
      put(answer(connection, event)?.() ?? []);
    }
  };
  let flight = 0;
  let bytesFed = 0;
  for (const step of trace.steps) {
    if (step.type !== 'receive') {
      put(perform(connection, step));
      continue;
    }
    const bytes = mutated[flight]!;
    for (let at = 0; at < bytes.length; at += portion) {
      const piece = bytes.subarray(at, at + portion);
      bytesFed += piece.length;
      if (flight >= expected.from) fed.push(piece);
      put(connection.receive(Uint8Array.from(piece)));
    }
    flight++;
  }
  const isOver = events.some(({ type }) => type === 'fail' || type === 'closed');
  const ending = connection.end();
  expect(ending.map(({ type }) => type)).toEqual(isOver ? [] : ['fail']);
  put(ending);
  expect(connection.receive(Uint8Array.from(mutated[0]!))).toEqual([]);

  const data = dataOf(events);
  expect(data.equals(expected.data.subarray(0, data.length)), 'data that was not sent').toBe(true);
  if (events.some(({ type }) => type === 'closed')) expect(data.equals(expected.data), 'cut off').toBe(true);
  expect(queues.held).toBeLessThanOrEqual(MAX_HELD);
  expect(queues.takes).toBeLessThanOrEqual(bytesFed + 10);
  const failed = events.find(isLast);
  if (failed?.type === 'fail') checkFailure(failed);
}

function checkFailure({ reason, alert, bytes }: Extract<ConnectionEvent, { type: 'fail' }>): void {
  expect(REASONS).toContain(reason);
  // A peer's bytes are never our fault.
  expect(reason).not.toBe('internal_error');
  expect(alert).toBe(alertFor(reason));
  if (alert !== undefined) expect(ALERTS).toContain(alert);
  if (bytes.length === 0) return;
  const last = records(Buffer.from(bytes)).at(-1)!;
  expect([21, 23]).toContain(last[0]);
  if (last.length === 7) expect([...last]).toEqual([21, 3, 3, 0, 2, alert === 0 ? 1 : 2, alert]);
}
