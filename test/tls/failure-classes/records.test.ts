/** What a peer may do with records once it has keys: both roles, both versions. */
import { describe, expect, test } from 'vitest';
import { type ConnectionEvent, TlsConnection } from '../../../src/tls/index.ts';
import { RecordWriter } from '../../../src/tls/records/record-writer.ts';
import { suiteById } from '../../../src/tls/suites.ts';
import { CraftedPair, other, ROLES, type Role, VERSIONS, type Version } from '../../support/crafted-pair.ts';
import { config } from '../../support/handshake-driver.ts';
import { nodeCryptoProvider } from '../../support/node-crypto-provider.ts';

const [CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, DATA] = [20, 21, 22, 23];
const EMPTY = Buffer.alloc(0);
const BOTH = VERSIONS.flatMap((version) => ROLES.map((role) => [version, role] as const));
const title = 'version %i, %s';

function established(version: Version, options: ConstructorParameters<typeof CraftedPair>[0] = {}) {
  const pair = new CraftedPair({ version, ...options }).run();
  for (const role of ROLES) expect(pair.isEstablished(role)).toBe(true);
  return pair;
}

const kinds = (events: readonly ConnectionEvent[]) => events.map(({ type }) => type);

function permutations<T>(list: readonly T[]): T[][] {
  if (list.length === 0) return [[]];
  return list.flatMap((one, index) => permutations(list.toSpliced(index, 1)).map((rest) => [one, ...rest]));
}

describe.each(BOTH)(`Zero-length records (CVE-2025-39682): ${title}`, (version, to) => {
  const orders = permutations([CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, DATA]);

  test.each(orders)('in the order %i, %i, %i, %i, between data', (...order) => {
    for (const portion of [1, Number.POSITIVE_INFINITY]) {
      const pair = established(version, { portion });
      const from = other(to);
      const bytes = Buffer.concat([
        pair.craft(from, DATA, Buffer.from('before')),
        ...order.map((type) => pair.craft(from, type, EMPTY)),
        pair.craft(from, DATA, Buffer.from('after')),
      ]);
      for (let at = 0; at < bytes.length; at += portion) pair.feed(to, bytes.subarray(at, at + portion));
      // Only data may be empty; whichever other one comes first ends it, and is not taken for another type.
      expect(pair.data(to)).toBe('before');
      expect([10, 50, 100]).toContain(pair.failure(to)?.alert);
      expect(pair.events[to].at(-1)?.type).toBe('fail');
    }
  });

  test('data alone', () => {
    const pair = established(version);
    const from = other(to);
    const bytes = ['a', '', '', 'b', ''].map((text) => pair.craft(from, DATA, Buffer.from(text)));
    expect(kinds(pair.feed(to, Buffer.concat(bytes)))).toEqual(['data', 'data']);
    expect(pair.data(to)).toBe('ab');
  });
});

describe.each(BOTH)(`Bogus header (CVE-2025-39946): ${title}`, (version, to) => {
  const headers: [string, number[], number][] = [
    ['an unknown type', [24, 3, 3, 0, 20], 10],
    ['type 0', [0, 3, 3, 0, 20], 10],
    ['type 255', [255, 3, 3, 0, 20], 10],
    ['no version of TLS', [DATA, 2, 3, 0, 20], 70],
    ['a length beyond all limits', [DATA, 3, 3, 0xff, 0xff], 22],
  ];
  test.each(headers)('%s ends it for good, wherever the bytes are cut', (_name, header, alert) => {
    for (let cut = 0; cut <= header.length; cut++) {
      const pair = established(version);
      const from = other(to);
      const good = pair.craft(from, DATA, Buffer.from('good'));
      const later = pair.craft(from, DATA, Buffer.from('later'));
      const bytes = Buffer.concat([good, Buffer.from(header), later]);
      pair.feed(to, bytes.subarray(0, good.length + cut));
      pair.feed(to, bytes.subarray(good.length + cut));
      expect(pair.feed(to, later)).toEqual([]);
      expect(pair.data(to)).toBe('good');
      expect(pair.failure(to)?.alert).toBe(alert);
      expect(pair.events[to].filter(({ type }) => type === 'fail')).toHaveLength(1);
    }
  });
});

test.each([
  ['an unknown type', [99], 10],
  ['no version of TLS', [22, 4], 70],
  ['a length beyond the limit', [22, 3, 1, 0x40, 1], 22],
])('Bogus header: %s is refused with its first bytes, before a handshake', (_name, bytes, alert) => {
  for (const make of [
    () => TlsConnection.server(config, nodeCryptoProvider()),
    () => new CraftedPair().connections.client,
  ]) {
    const connection = make();
    connection.start();
    const events = bytes.flatMap((byte) => connection.receive(Uint8Array.of(byte)));
    expect(events).toMatchObject([{ type: 'fail', alert }]);
    expect(connection.receive(Uint8Array.of(22, 3, 1, 0, 4, 1, 0, 0, 0))).toEqual([]);
  }
});

describe.each(BOTH)(`Length arithmetic: ${title}`, (version, to) => {
  /** A protected record that says `length`, in single bytes. */
  const feed = (length: number) => {
    const pair = established(version);
    const header = Buffer.of(DATA, 3, 3, length >> 8, length & 0xff);
    let last: ConnectionEvent[] = [];
    for (const byte of Buffer.concat([header, Buffer.alloc(length, 0x5a)])) {
      last = pair.feed(to, Uint8Array.of(byte));
      if (last.length > 0) break;
    }
    return pair.failure(to)?.alert;
  };
  const overhead = version === 0x0304 ? 256 : 2048;

  test.each(Array.from({ length: 25 }, (_, length) => length))('%i bytes do not verify', (length) => {
    expect(feed(length)).toBe(20);
  });

  test.each([16_383, 16_384, 16_385, 16_384 + overhead - 1, 16_384 + overhead])('nor do %i', (length) => {
    expect(feed(length)).toBe(20);
  });

  test.each([16_384 + overhead + 1, 65_535])('%i are too many by their header alone', (length) => {
    expect(feed(length)).toBe(22);
  });

  test.each([0, 1, 15, 16, 17, 24, 16_383, 16_384])('%i bytes of content arrive', (length) => {
    const pair = established(version);
    const content = Buffer.alloc(length, 'x');
    for (const byte of pair.craft(other(to), DATA, content)) pair.feed(to, Uint8Array.of(byte));
    expect(pair.failure(to)).toBeUndefined();
    expect(pair.data(to)).toBe(content.toString());
  });

  test('16385 bytes of content are too many', () => {
    const pair = established(version);
    pair.feed(to, pair.craft(other(to), DATA, Buffer.alloc(16_385)));
    expect(pair.failure(to)?.alert).toBe(22);
  });
});

describe.each(BOTH)(`Floods: ${title}`, (version, to) => {
  /** What brings nothing, how much of it is taken, and why not more. */
  type Flood = readonly [string, number, string, (pair: CraftedPair, from: Role) => Buffer];
  const empty: Flood = ['empty records', 32, 'no_progress', (pair, from) => pair.craft(from, DATA, EMPTY)];
  const warnings: Flood = [
    'warnings',
    4,
    'too_many_warning_alerts',
    (pair, from) => pair.craft(from, ALERT, Uint8Array.of(1, 90)),
  ];
  const updates: Flood = [
    'KeyUpdates',
    32,
    'no_progress',
    (pair, from) => {
      const [event] = pair.act(from, (connection) => connection.updateKeys(false));
      return event?.type === 'send' ? Buffer.from(event.bytes) : EMPTY;
    },
  ];
  let turn = 0;
  // A peer that alternates them resets no count by it (BoringSSL e40836f3c).
  const both: Flood = [
    'empty records and KeyUpdates in turn',
    32,
    'no_progress',
    (pair, from) => [empty, updates][turn++ % 2]![3](pair, from),
  ];

  test.each(version === 0x0304 ? [empty, warnings, updates, both] : [empty, warnings])(
    '%s: %i, not one more, is %s',
    (_name, limit, reason, make) => {
      const pair = established(version);
      const from = other(to);
      for (let round = 0; round < 2; round++) {
        // Only data clears the count, that of the tickets before it, too.
        pair.feed(to, pair.craft(from, DATA, Uint8Array.of(1)));
        for (let i = 0; i < limit; i++) pair.feed(to, make(pair, from));
        expect(pair.failure(to)).toBeUndefined();
      }
      pair.feed(to, make(pair, from));
      expect(pair.failure(to)).toMatchObject({ reason, alert: 10 });
    },
  );
});

describe('Renegotiation (CVE-2009-3555, CVE-2011-1473, CVE-2021-3449)', () => {
  const hello = Buffer.concat([Buffer.of(1, 0, 0, 38, 3, 3), Buffer.alloc(32, 9), Buffer.of(0, 0, 0, 0)]);
  test.each([
    ['a ClientHello to a server', 'server', hello],
    ['a HelloRequest to a client', 'client', Buffer.of(0, 0, 0, 0)],
    ['the first byte of one', 'server', hello.subarray(0, 1)],
  ] as const)('%s of TLS 1.2 is refused, and ends it', (_name, to, message) => {
    const pair = established(0x0303);
    pair.feed(to, pair.craft(other(to), HANDSHAKE, message));
    expect(pair.failure(to)).toMatchObject({ reason: 'renegotiation', alert: 100 });
    expect(pair.feed(to, pair.craft(other(to), DATA, Buffer.from('x')))).toEqual([]);
  });

  test('a ClientHello in TLS 1.3 is unexpected', () => {
    const pair = established(0x0304);
    pair.feed('server', pair.craft('client', HANDSHAKE, hello));
    expect(pair.failure('server')).toMatchObject({ alert: 10 });
  });
});

describe('Nonce reuse', () => {
  test.each([0x1301, 0x1302, 0x1303, 0xc02b, 0xc02c, 0xcca9])(
    'suite %i: no nonce twice under one key in a whole connection, KeyUpdates included',
    (suite) => {
      const used = new Set<string>();
      let sealed = 0;
      const provider = nodeCryptoProvider();
      const counting = {
        ...provider,
        aeadSeal: (...parameters: Parameters<typeof provider.aeadSeal>) => {
          const [, key, nonce] = parameters;
          used.add(`${Buffer.from(key).toString('hex')} ${Buffer.from(nonce).toString('hex')}`);
          sealed++;
          return provider.aeadSeal(...parameters);
        },
      };
      const version = suiteById(suite)?.version as Version;
      const pair = established(version, { suite, provider: counting, connection: { recordLimit: 12 } });
      for (let i = 0; i < 30; i++) {
        for (const role of ROLES) pair.act(role, (connection) => connection.write(Buffer.of(i)));
        if (i % 7 === 0) pair.act('client', (connection) => connection.updateKeys(true));
        pair.run();
      }
      expect(sealed).toBeGreaterThan(version === 0x0304 ? 60 : 20);
      expect(used.size).toBe(sealed);
    },
  );

  test('the explicit nonce of TLS 1.2 is the number of the record, from 0', () => {
    const nonces: string[] = [];
    const pair = new CraftedPair({ version: 0x0303 });
    pair.run();
    for (const role of ROLES) {
      for (let i = 0; i < 3; i++) {
        const [event] = pair.act(role, (connection) => connection.write(Buffer.of(1)));
        if (event?.type === 'send') nonces.push(Buffer.from(event.bytes).subarray(5, 13).toString('hex'));
      }
    }
    // 0 was the Finished.
    const expected = [1, 2, 3].map((number) => number.toString(16).padStart(16, '0'));
    expect(nonces).toEqual([...expected, ...expected]);
  });

  test('a counter at its end refuses, and does not wrap', () => {
    const known = suiteById(0x1301)!;
    const writer = new RecordWriter(nodeCryptoProvider());
    writer.install({ suite: known, key: new Uint8Array(16), iv: new Uint8Array(12) }, 0xffff_ffff);
    const parts: Uint8Array[] = [];
    expect(() => {
      for (let i = 0; i < 3; i++) writer.write(DATA, Uint8Array.of(1), parts);
    }).toThrow(expect.objectContaining({ reason: 'record_sequence_exhausted' }));
  });
});

describe.each(BOTH)(`Truncation: ${title}`, (version, to) => {
  test('an end without close_notify is told from one with it, whatever was cut', () => {
    const from = other(to);
    const pair = established(version);
    const close = pair.craft(from, ALERT, Uint8Array.of(1, 0));
    for (let cut = 0; cut < close.length; cut++) {
      const one = established(version);
      const bytes = one.craft(from, ALERT, Uint8Array.of(1, 0)).subarray(0, cut);
      expect(one.feed(to, bytes)).toEqual([]);
      expect(one.act(to, (connection) => connection.end())).toMatchObject([
        { type: 'fail', reason: 'truncated' },
      ]);
    }
    expect(kinds(pair.feed(to, close))).toEqual(['closed']);
    expect(pair.act(to, (connection) => connection.end())).toEqual([]);
  });

  test('no data after close_notify', () => {
    const from = other(to);
    const pair = established(version);
    const close = pair.craft(from, ALERT, Uint8Array.of(1, 0));
    const data = pair.craft(from, DATA, Buffer.from('after'));
    expect(kinds(pair.feed(to, Buffer.concat([close, data])))).toEqual(['closed']);
    expect(pair.feed(to, data)).toEqual([]);
  });
});
