/** TLS 1.2 sessions on the server: by ticket and by id, and what they are bound to. */
import { describe, expect, test } from 'vitest';
import { MemorySessionCache } from '../../../src/control/tickets/session-cache.ts';
import type { ServerConfig } from '../../../src/tls/index.ts';
import { credential, Driver } from '../../support/handshake-driver.ts';
import { newKey, sessionTickets } from '../../support/session-tickets.ts';
import { type Hello12, TestClient12 } from '../../support/tls12-client.ts';
import { record } from '../../support/tls13-client.ts';
import { CONFIG_12, complete12 } from './support.ts';

const ASK: Hello12 = { ticket: Buffer.alloc(0), serverName: 'a.example' };

function begin(changes: Partial<ServerConfig> = {}, options: Hello12 = ASK) {
  const tickets = sessionTickets();
  const config: Partial<ServerConfig> = { ...CONFIG_12, tickets, ...changes };
  return { ...complete12(options, config), tickets, config };
}

/** The second handshake: what the hello brings is either resumed or answered in full. */
function again(
  session: TestClient12,
  config: Partial<ServerConfig>,
  more: Hello12 = {},
  by: 'ticket' | 'id' = 'ticket',
) {
  const client = new TestClient12({ serverName: 'a.example', ...more });
  const driver = new Driver(config);
  client.receive(driver.feed(client.resume(session, by, more)));
  const resumed = client.serverFinished;
  if (driver.failed === undefined) {
    client.receive(driver.feed(resumed ? client.resumedFlight() : client.secondFlight()));
  }
  return { client, driver, resumed, info: driver.established?.info };
}

describe('by ticket', () => {
  test('the full handshake gives one, the next resumes and renews it', () => {
    const { client, established, tickets, config } = begin();
    expect(established.info).toMatchObject({ resumption: 'none', tickets: 1 });
    expect(client.messages.map(({ type }) => type)).toEqual([2, 11, 12, 14, 4, 20]);
    const second = again(client, config);
    expect(second.client.messages.map(({ type }) => type)).toEqual([2, 4, 20]);
    expect(second.client.sessionId).toEqual(Buffer.alloc(32, 0x1d));
    expect(second.info).toMatchObject({
      resumption: 'resumed',
      tickets: 1,
      suite: established.info.suite,
      group: established.info.group,
      scheme: established.info.scheme,
      serverName: 'a.example',
    });
    expect(tickets.claimed).toHaveLength(1);
    // Keys of its own, with the Finished as record 0.
    expect(second.driver.established!.tx.recordSeq).toBe(1n);
    expect(Buffer.from(second.driver.established!.tx.key)).toEqual(second.client.rx!.key);
    expect(second.client.rx!.key).not.toEqual(client.rx!.key);
    expect(again(second.client, config).resumed).toBe(true);
  });

  test('fed byte by byte', () => {
    const { client: first, config } = begin();
    const client = new TestClient12({ serverName: 'a.example' });
    const driver = new Driver(config);
    for (const byte of client.resume(first, 'ticket')) client.receive(driver.feed(Uint8Array.of(byte)));
    for (const byte of client.resumedFlight()) client.receive(driver.feed(Uint8Array.of(byte)));
    expect(driver.established?.info.resumption).toBe('resumed');
  });

  test('renewal does not lengthen a session beyond seven days', () => {
    const { client, tickets, config } = begin({ tickets: sessionTickets(undefined, { lifetime: 604_800 }) });
    const own = config.tickets as typeof tickets;
    own.clock += 604_000 * 1000;
    const second = again(client, config);
    expect(second.resumed).toBe(true);
    expect(second.client.messages.find(({ type }) => type === 4)!.body.readUInt32BE(0)).toBe(800);
    own.clock += 801 * 1000;
    expect(again(second.client, config).info?.resumption).toBe('expired');
  });

  test('a promise that cannot be kept is an empty ticket (RFC 5077 3.3)', () => {
    const tickets = sessionTickets(undefined, { seal: () => undefined });
    const { client, established } = begin({ tickets });
    expect(client.messages.find(({ type }) => type === 4)!.body).toEqual(Buffer.alloc(6));
    expect(established.info.tickets).toBe(0);
  });

  test('none for a client that does not ask', () => {
    const { client } = begin({}, {});
    expect(client.messages.map(({ type }) => type)).toEqual([2, 11, 12, 14, 20]);
  });
});

describe('by session id', () => {
  const cacheOf = (maxSessions = 8) => {
    const cache = new MemorySessionCache({ maxSessions, lifetime: 7200, now: () => clock });
    let clock = 1_790_000_000_000;
    return { cache, advance: (seconds: number) => (clock += 1000 * seconds) };
  };
  const options: Hello12 = { serverName: 'a.example' };

  test('the id comes back, and the session is resumed', () => {
    const { cache } = cacheOf();
    const { client, config } = begin({ tickets: undefined, sessionCache: cache }, options);
    expect(client.sessionId).toHaveLength(32);
    const second = again(client, config, {}, 'id');
    expect(second.client.messages.map(({ type }) => type)).toEqual([2, 20]);
    expect(second.client.sessionId).toEqual(client.sessionId);
    expect(second.info?.resumption).toBe('resumed');
  });
  test('a client that takes tickets leaves nothing in the cache', () => {
    const { cache } = cacheOf();
    const { client } = begin({ sessionCache: cache });
    expect([client.sessionId.length, cache.size]).toEqual([0, 0]);
  });
  test('nothing is kept of a handshake that failed', () => {
    const { cache } = cacheOf();
    const client = new TestClient12(options);
    const driver = new Driver({ ...CONFIG_12, sessionCache: cache });
    client.receive(driver.feed(client.helloRecord()));
    driver.feed(record(22, client.keyExchange()));
    driver.feed(Buffer.concat([Buffer.from('140303000101', 'hex'), Buffer.alloc(0)]));
    const finished = client.finished();
    finished[8]! ^= 1;
    driver.feed(client.seal(22, finished));
    expect(driver.failed?.reason).toBe('bad_finished');
    expect(cache.size).toBe(0);
  });
  test('an id that is unknown, or expired, costs the session alone', () => {
    const { cache, advance } = cacheOf();
    const { client, config } = begin({ tickets: undefined, sessionCache: cache }, options);
    expect(again(client, config, { sessionId: Buffer.alloc(32, 9) }, 'id').info?.resumption).toBe('none');
    advance(7201);
    expect(again(client, config, {}, 'id').info?.resumption).toBe('none');
  });
  test('the cache is bounded, and forgets what was stored first', () => {
    const { cache } = cacheOf(2);
    const config = { tickets: undefined, sessionCache: cache };
    const clients = [1, 2, 3].map(() => begin(config, options).client);
    expect(cache.size).toBe(2);
    expect(clients.map((client) => cache.find(client.sessionId) !== undefined)).toEqual([false, true, true]);
    cache.clear();
    expect(cache.size).toBe(0);
  });
});

describe('the extended master secret (RFC 7627 5.3)', () => {
  test('without it no session is begun', () => {
    const cache = new MemorySessionCache({ maxSessions: 8, lifetime: 7200, now: () => 0 });
    const { client } = begin({ sessionCache: cache }, { ...ASK, ems: false });
    expect([client.ticket, client.sessionId.length, cache.size]).toEqual([undefined, 0, 0]);
  });
  // RFC 7627 5.3: "the server MUST abort the abbreviated handshake".
  test('a hello without it that resumes a session with it is refused', () => {
    const { client, config } = begin();
    const { driver } = again(client, config, { ems: false });
    expect(driver.failed).toMatchObject({ reason: 'resumption_without_extended_master_secret', alert: 40 });
  });
});

describe('Resumption identity: a session is of use only where it was made', () => {
  const other = { ...credential, chain: [new Uint8Array(600).fill(0x31)] };
  const cases: [string, Partial<ServerConfig>, Hello12, string][] = [
    ['under another name', {}, { serverName: 'b.example' }, 'other_server_name'],
    ['without a name', {}, { edit: (list) => list.filter(([type]) => type !== 0) }, 'other_server_name'],
    ['with another protocol', { alpn: ['h2'] }, { alpn: ['h2'] }, 'other_alpn'],
    ['with another certificate', { selectCredential: () => other }, {}, 'other_identity'],
    ['in another context', { sessionContext: new Uint8Array(32).fill(1) }, {}, 'other_context'],
    ['without its suite', {}, { suites: [0xc02c] }, 'other_suite'],
    ['where its suite is not wanted any more', { suites: [0xc02c] }, {}, 'other_suite'],
    [
      'where a client must have a certificate',
      { clientAuthentication: { required: true, schemes: [0x0403], authorities: [] } },
      {},
      'peer_refused',
    ],
  ];
  test.each(cases)('%s', (_name, changes, more, reason) => {
    const { client, config } = begin();
    const second = new TestClient12({ serverName: 'a.example', ...more });
    const driver = new Driver({ ...config, ...changes });
    second.receive(driver.feed(second.resume(client, 'ticket', more)));
    expect(second.serverFinished).toBe(false);
    expect(second.messages.map(({ type }) => type).slice(0, 3)).toEqual([2, 11, 12]);
    if (reason === 'peer_refused') return;
    second.receive(driver.feed(second.secondFlight()));
    expect(driver.established?.info.resumption).toBe(reason);
  });
  test('under other keys', () => {
    const { client, config } = begin();
    const { info } = again(client, { ...config, tickets: sessionTickets(newKey()) });
    expect(info?.resumption).toBe('unknown_ticket');
  });
  test('too late', () => {
    const { client, tickets, config } = begin();
    tickets.clock += 7200 * 1000;
    expect(again(client, config).info?.resumption).toBe('expired');
  });
  test('twice, where once is all', () => {
    const { client, config } = begin({ tickets: sessionTickets(undefined, { claim: () => false }) });
    expect(again(client, config).info?.resumption).toBe('used');
  });
  test('damaged in any byte: the handshake is a full one', () => {
    const { client, config } = begin();
    for (let at = 0; at < client.ticket!.length; at += 7) {
      const ticket = Buffer.from(client.ticket!);
      ticket[at]! ^= 0x80;
      expect(again(client, config, { ticket }).info?.resumption).toBe('unknown_ticket');
    }
  });
  test('with the wrong master secret the Finished tells', () => {
    const { client: first, config } = begin();
    const client = new TestClient12({ serverName: 'a.example' });
    const driver = new Driver(config);
    const hello = client.resume(first, 'ticket');
    client.master = Buffer.alloc(48, 1);
    expect(() => client.receive(driver.feed(hello))).toThrow();
    driver.feed(client.resumedFlight());
    expect(driver.failed?.reason).toBe('record_did_not_decrypt');
  });
});

test.each([
  ['full', false],
  ['resumed', true],
])('exporters (RFC 5705), %s', (_name, resume) => {
  const { client: first, established: full, config } = begin();
  const second = resume ? again(first, config) : undefined;
  const client = second?.client ?? first;
  const { exporter } = second?.driver.established ?? full;
  for (const context of [undefined, new Uint8Array(0), Buffer.from('context')]) {
    const ours = Buffer.from(exporter.export('EXPORTER-test', context, 40));
    expect(ours).toEqual(client.exported('EXPORTER-test', context, 40));
  }
});

test('nothing is exported without the extended master secret (RFC 7627 5.4)', () => {
  const { established } = begin({}, { ...ASK, ems: false });
  expect(() => established.exporter.export('EXPORTER-test', undefined, 40)).toThrow(
    expect.objectContaining({ code: 'ERR_SOCRYPT_TLS_EXPORT_UNBOUND' }),
  );
});

describe('record_size_limit (RFC 8449)', () => {
  const limit = (bytes: number): Hello12 => ({
    edit: (list) => [...list, [28, Buffer.of(bytes >> 8, bytes & 0xff)]],
  });
  test('is answered by ours, and reported', () => {
    const { client, established } = begin({}, limit(100));
    expect(client.extensions.get(28)).toEqual(Buffer.of(0x40, 0));
    expect(established.info.maxFragment).toBe(100);
  });
  test('below 64 is refused', () => {
    const driver = new Driver(CONFIG_12);
    driver.feed(new TestClient12(limit(63)).helloRecord());
    expect(driver.failed).toMatchObject({ reason: 'bad_record_size_limit', alert: 47 });
  });
});

test('a client that prefers ChaCha20 gets it', () => {
  const { established } = begin({}, { suites: [0xcca9, 0xc02b] });
  expect(established.info.suite).toBe(0xcca9);
  expect(begin({}, { suites: [0xc02b, 0xcca9] }).established.info.suite).toBe(0xc02b);
});

test('OCSP response and SCTs go to a client that asks, and to no other', () => {
  const stapled = {
    ...credential,
    ocspResponse: Buffer.from('ocsp'),
    sctList: Buffer.from('000400020102', 'hex'),
  };
  const changes = { selectCredential: () => stapled };
  const { client } = begin(changes, {
    edit: (list) => [...list, [5, Buffer.of(1, 0, 0, 0, 0)], [18, Buffer.alloc(0)]],
  });
  expect(client.messages.map(({ type }) => type)).toEqual([2, 11, 22, 12, 14, 20]);
  expect(client.messages[2]!.body).toEqual(Buffer.from('010000046f637370', 'hex'));
  expect(client.extensions.get(18)).toEqual(stapled.sctList);
  const without = begin(changes, {}).client;
  expect(without.messages.map(({ type }) => type)).toEqual([2, 11, 12, 14, 20]);
});
