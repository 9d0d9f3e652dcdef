/** Sessions resumed, and every reason for which one is not. */
import { describe, expect, test } from 'vitest';
import type { ServerConfig } from '../../src/tls/index.ts';
import { credential, Driver } from '../support/handshake-driver.ts';
import { nodeCryptoProvider, P256, X25519 } from '../support/node-crypto-provider.ts';
import { newKey, sessionTickets, type TestTickets } from '../support/session-tickets.ts';
import { type HelloOptions, type Session, TestClient } from '../support/tls13-client.ts';

const DHE = { pskModes: [1] };

interface Run {
  readonly client: TestClient;
  readonly driver: Driver;
}

function connect(options: HelloOptions, changes: Partial<ServerConfig>): Run {
  const client = new TestClient({ ...DHE, ...options });
  const driver = new Driver(changes);
  client.receive(driver.feed(client.helloRecord()));
  if (client.retryCookie !== undefined) client.receive(driver.feed(client.helloRecord()));
  if (driver.failed === undefined) {
    const finished = client.finished();
    client.receive(driver.feed(client.seal(22, finished)));
  }
  return { client, driver };
}

/** A full handshake, and what it leaves to the client. */
function begin(
  tickets: TestTickets,
  options: HelloOptions = {},
  changes: Partial<ServerConfig> = {},
): Session[] {
  const { client, driver } = connect(options, { tickets, ...changes });
  expect(driver.established?.info).toMatchObject({ resumption: 'none', tickets: client.sessions.length });
  return client.sessions;
}

const resumptionOf = ({ driver }: Run) => driver.established?.info.resumption;

describe.each([0x1301, 0x1302, 0x1303])('suite %i', (suite) => {
  test('resumes, with a key exchange of its own, and leaves one more ticket', () => {
    const tickets = sessionTickets();
    const [first, second, ...more] = begin(
      tickets,
      { suites: [suite], serverName: 'a.example', alpn: ['h2'] },
      { alpn: ['h2'] },
    );
    expect(more).toEqual([]);
    expect(first!.lifetime).toBe(7200);
    expect(first!.psk).not.toEqual(second!.psk);
    for (const session of [first!, second!]) {
      const run = connect(
        { suites: [suite], serverName: 'a.example', alpn: ['h2'], sessions: [session] },
        { tickets, alpn: ['h2'] },
      );
      const { client, driver } = run;
      expect(driver.established?.info).toMatchObject({
        resumption: 'resumed',
        suite,
        serverName: 'a.example',
        alpn: 'h2',
        scheme: 0x0403,
        tickets: 1,
      });
      // ServerHello, EncryptedExtensions, Finished, NewSessionTicket: nothing is signed.
      expect(client.messages.map(({ type }) => type)).toEqual([2, 8, 20, 4]);
      expect(driver.events.map(({ type }) => type)).toEqual(['send', 'send', 'established']);
      const { tx, rx } = driver.established!;
      expect(Buffer.from(tx.key)).toEqual(Buffer.from(client.keysOf(client.serverApplicationSecret).key));
      expect(Buffer.from(rx.key)).toEqual(Buffer.from(client.keysOf(client.clientApplicationSecret).key));
      // And the ticket it got resumes in turn.
      const again = connect(
        { suites: [suite], serverName: 'a.example', alpn: ['h2'], sessions: client.sessions },
        { tickets, alpn: ['h2'] },
      );
      expect(resumptionOf(again)).toBe('resumed');
    }
  });
});

test('tickets go out as records before the hand-over, which goes on where they end', () => {
  const tickets = sessionTickets();
  const { client, driver } = connect({}, { tickets });
  expect(driver.events.map(({ type }) => type)).toEqual(['sign', 'send', 'send', 'established']);
  const { tx } = driver.established!;
  expect(tx.recordSeq).toBe(1n);
  // The client has opened one record under this key: the next one it expects is the same.
  expect(client.rx!.seq).toBe(tx.recordSeq);
});

test('resumes after a HelloRetryRequest: the binder covers both hellos', () => {
  const tickets = sessionTickets();
  const [session] = begin(tickets);
  const run = connect({ groups: [0x18, P256], sessions: [session!] }, { tickets });
  expect(run.driver.established?.info).toMatchObject({
    resumption: 'resumed',
    helloRetry: true,
    group: P256,
  });
});

test('of several identities the first that can be resumed is', () => {
  const tickets = sessionTickets();
  const [session] = begin(tickets);
  const [foreign] = begin(sessionTickets());
  const run = connect({ sessions: [foreign!, session!] }, { tickets });
  expect(resumptionOf(run)).toBe('resumed');
  expect(run.client.selectedIdentity).toBe(1);
  // Not more than four are tried.
  const late = connect({ sessions: [foreign!, foreign!, foreign!, foreign!, session!] }, { tickets });
  expect(resumptionOf(late)).toBe('unknown_ticket');
});

// RFC 8446 4.6.1: "Any ticket MUST only be resumed with a cipher suite that has the same KDF hash algorithm".
test('suites with the same hash share sessions, others do not', () => {
  const tickets = sessionTickets();
  const [session] = begin(tickets, { suites: [0x1301] });
  expect(resumptionOf(connect({ suites: [0x1303], sessions: [session!] }, { tickets }))).toBe('resumed');
  const other = connect({ suites: [0x1302], sessions: [session!] }, { tickets });
  expect(resumptionOf(other)).toBe('other_suite');
});

test('a hello without signature_algorithms may resume, and do nothing else', () => {
  const tickets = sessionTickets();
  const [session] = begin(tickets);
  const edit: HelloOptions['edit'] = (list) => list.filter(([type]) => type !== 13);
  expect(resumptionOf(connect({ sessions: [session!], edit }, { tickets }))).toBe('resumed');
  tickets.clock += 7_200_000;
  const { driver } = connect({ sessions: [session!], edit }, { tickets });
  expect(driver.failed).toMatchObject({ reason: 'missing_signature_algorithms', alert: 109 });
});

// RFC 8446 4.2.11: "Prior to accepting PSK key establishment, the server MUST validate the corresponding binder
// value".
describe('binders', () => {
  const tickets = sessionTickets();
  test.each([
    [
      'one bit changed',
      (binder: Buffer) => Buffer.concat([binder.subarray(0, -1), Buffer.of(binder.at(-1)! ^ 1)]),
    ],
    ['cut short', (binder: Buffer) => binder.subarray(0, 32)],
    ['of zeros', (binder: Buffer) => Buffer.alloc(binder.length)],
    ['too long', (binder: Buffer) => Buffer.concat([binder, Buffer.of(0)])],
  ])('%s', (what, spoil) => {
    const suites = what === 'cut short' ? [0x1302] : [0x1301];
    const [session] = begin(tickets, { suites });
    // A binder of another length moves the list: keep the length of the hello's list right by hand.
    const client = new TestClient({
      ...DHE,
      suites,
      sessions: [session!],
      editBinders: ([binder]) => [spoil(binder!)],
    });
    const driver = new Driver({ tickets });
    const hello = client.hello();
    hello.writeUIntBE(hello.length - 4, 1, 3);
    const grown = hello.length - new TestClient({ ...DHE, suites, sessions: [session!] }).hello().length;
    const at = extensionsAt(hello);
    hello.writeUInt16BE(hello.readUInt16BE(at) + grown, at);
    const psk = hello.indexOf(session!.ticket as Buffer) - 6;
    hello.writeUInt16BE(hello.readUInt16BE(psk) + grown, psk);
    driver.feed(Buffer.concat([Buffer.of(22, 3, 1, hello.length >> 8, hello.length & 0xff), hello]));
    expect(driver.failed).toMatchObject({ reason: 'bad_binder', alert: 51 });
  });
});

/** Of the length field. */
function extensionsAt(hello: Buffer): number {
  let at = 4 + 2 + 32;
  at += 1 + hello[at]!;
  at += 2 + hello.readUInt16BE(at);
  return at + 1 + hello[at]!;
}

describe('Resumption identity', () => {
  const key = newKey();
  const a: Partial<ServerConfig> = { sessionContext: new Uint8Array(32).fill(1) };

  test.each<[string, HelloOptions, Partial<ServerConfig>, HelloOptions, Partial<ServerConfig>]>([
    ['other_server_name', { serverName: 'a.example' }, {}, { serverName: 'b.example' }, {}],
    ['other_server_name', { serverName: 'a.example' }, {}, {}, {}],
    ['other_alpn', { alpn: ['h2'] }, { alpn: ['h2'] }, { alpn: ['x'] }, { alpn: ['x'] }],
    ['other_alpn', { alpn: ['h2'] }, { alpn: ['h2'] }, {}, { alpn: ['h2'] }],
    // CVE-2025-23419, CVE-2025-48060: the policy on client certificates is part of the context.
    ['other_context', {}, a, {}, {}],
    ['other_context', {}, {}, {}, a],
    [
      'other_identity',
      {},
      {},
      {},
      { selectCredential: () => ({ ...credential, chain: [new Uint8Array(600).fill(0x31)] }) },
    ],
    ['other_suite', { suites: [0x1302] }, {}, { suites: [0x1301] }, {}],
    [
      'peer_refused',
      {},
      {},
      {},
      { clientAuthentication: { required: true, schemes: [0x0403], authorities: [] } },
    ],
    ['no_dhe', {}, {}, { pskModes: [0] }, {}],
  ])('%s', (reason, options, changes, laterOptions, laterChanges) => {
    const tickets = sessionTickets(key);
    const [session] = begin(tickets, options, changes);
    const client = new TestClient({ ...DHE, ...laterOptions, sessions: [session!] });
    const driver = new Driver({ tickets, ...laterChanges });
    client.receive(driver.feed(client.helloRecord()));
    expect(driver.failed).toBeUndefined();
    expect(client.selectedIdentity).toBeUndefined();
    // A full handshake: the server proves itself anew.
    expect(client.messages.map(({ type }) => type)).toContain(15);
    if (laterChanges.clientAuthentication !== undefined) return;
    client.receive(driver.feed(client.seal(22, client.finished())));
    expect(driver.established?.info.resumption).toBe(reason);
  });

  test('a ticket of another server, of the past, or damaged is unknown, and no reason to fail', () => {
    const tickets = sessionTickets(key);
    const [session] = begin(tickets);
    const damaged = { ...session!, ticket: Buffer.from(session!.ticket) };
    damaged.ticket[60]! ^= 1;
    expect(resumptionOf(connect({ sessions: [session!] }, { tickets: sessionTickets() }))).toBe(
      'unknown_ticket',
    );
    expect(resumptionOf(connect({ sessions: [damaged] }, { tickets }))).toBe('unknown_ticket');
    const short = { ...session!, ticket: Buffer.of(1) };
    expect(resumptionOf(connect({ sessions: [short] }, { tickets }))).toBe('unknown_ticket');
  });

  test('lives as long as it was told, and no renewal makes it longer than seven days', () => {
    const tickets = sessionTickets(key, { lifetime: 604_800 });
    let [session] = begin(tickets);
    const begun = tickets.clock;
    for (let day = 1; day < 7; day++) {
      tickets.clock = begun + day * 86_400_000;
      const run = connect({ sessions: [session!] }, { tickets });
      expect(resumptionOf(run)).toBe('resumed');
      session = run.client.sessions[0];
      expect(session!.lifetime).toBe((7 - day) * 86_400);
    }
    tickets.clock = begun + 7 * 86_400_000;
    expect(resumptionOf(connect({ sessions: [session!] }, { tickets }))).toBe('expired');
  });

  test('is never taken for a cookie, nor a cookie for a ticket', () => {
    const tickets = sessionTickets(key);
    const { client } = connect({ groups: [0x18, P256] }, { tickets, cookies: tickets });
    const [session] = client.sessions;
    const cookie = { ...session!, ticket: client.retryCookie! };
    expect(resumptionOf(connect({ sessions: [cookie] }, { tickets }))).toBe('unknown_ticket');
  });
});

describe('tickets', () => {
  test('go only to clients that can use them', () => {
    const tickets = sessionTickets();
    for (const pskModes of [undefined, [0]]) {
      const client = new TestClient(pskModes === undefined ? {} : { pskModes });
      const driver = new Driver({ tickets });
      client.receive(driver.feed(client.helloRecord()));
      client.receive(driver.feed(client.seal(22, client.finished())));
      expect(driver.established?.info.tickets).toBe(0);
      expect(client.sessions).toEqual([]);
      expect(driver.established?.tx.recordSeq).toBe(0n);
    }
  });

  test('as many as configured, with nonces that differ', () => {
    for (const count of [1, 8]) {
      const sessions = begin(sessionTickets(newKey(), { count }));
      expect(new Set(sessions.map(({ nonce }) => Buffer.from(nonce).toString('hex'))).size).toBe(count);
    }
  });

  test('none, when they cannot be sealed', () => {
    expect(begin(sessionTickets(newKey(), { seal: () => undefined }))).toEqual([]);
  });

  test('used once, where that is asked for, and asked only of one whose binder is right', () => {
    const used = new Set<string>();
    const tickets = sessionTickets(newKey(), {
      claim: (ticket) => {
        const name = Buffer.from(ticket).toString('hex');
        return !used.has(name) && used.add(name) !== undefined;
      },
    });
    const [session] = begin(tickets);
    const spoiled = connect({ sessions: [session!], editBinders: () => [Buffer.alloc(32)] }, { tickets });
    expect(spoiled.driver.failed).toMatchObject({ reason: 'bad_binder' });
    expect(resumptionOf(connect({ sessions: [session!] }, { tickets }))).toBe('resumed');
    expect(resumptionOf(connect({ sessions: [session!] }, { tickets }))).toBe('used');
  });

  test('hold no secret in the clear, and the state is wiped after sealing', () => {
    const states: Uint8Array[] = [];
    const copies: Buffer[] = [];
    const key = newKey();
    const inner = sessionTickets(key);
    const tickets = sessionTickets(key, {
      seal: (purpose, plaintext) => {
        states.push(plaintext);
        copies.push(Buffer.from(plaintext));
        return inner.seal(purpose, plaintext);
      },
    });
    const sessions = begin(tickets);
    expect(states).toHaveLength(2);
    for (const [i, { psk, ticket }] of sessions.entries()) {
      expect(copies[i]!.includes(Buffer.from(psk))).toBe(true);
      expect(Buffer.from(ticket).includes(Buffer.from(psk))).toBe(false);
      expect(states[i]!.every((byte) => byte === 0)).toBe(true);
    }
  });
});

test('Handshake bytes across a key change: nothing may follow a Finished in its record, on resumption either', () => {
  const tickets = sessionTickets();
  const [session] = begin(tickets);
  const client = new TestClient({ ...DHE, sessions: [session!] });
  const driver = new Driver({ tickets });
  client.receive(driver.feed(client.helloRecord()));
  driver.feed(client.seal(22, Buffer.concat([client.finished(), Buffer.of(24)])));
  expect(driver.failed).toMatchObject({ reason: 'handshake_bytes_before_key_change', alert: 10 });
});

test('early data of a resumption is skipped, and the session resumed without it', () => {
  const tickets = sessionTickets();
  const [session] = begin(tickets);
  const client = new TestClient({
    ...DHE,
    sessions: [session!],
    edit: (list) => [...list, [42, Buffer.alloc(0)]],
  });
  const driver = new Driver({ tickets });
  client.receive(driver.feed(client.helloRecord()));
  driver.feed(Buffer.concat([Buffer.of(23, 3, 3, 0, 100), Buffer.alloc(100, 9)]));
  client.receive(driver.feed(client.seal(22, client.finished())));
  expect(driver.established?.info.resumption).toBe('resumed');
  const extensions = client.messages.find(({ type }) => type === 8)!.body;
  expect(extensions.includes(Buffer.from('002a0000', 'hex'))).toBe(false);
});

test('in portions of one byte', () => {
  const tickets = sessionTickets();
  const [session] = begin(tickets);
  const client = new TestClient({ ...DHE, groups: [X25519], sessions: [session!] });
  const driver = new Driver({ tickets }, nodeCryptoProvider());
  const feed = (bytes: Buffer) => {
    for (const byte of bytes) {
      const lent = Buffer.of(byte);
      client.receive(driver.feed(lent));
      lent.fill(0xaa);
    }
  };
  feed(client.helloRecord());
  feed(client.seal(22, client.finished()));
  expect(driver.established?.info.resumption).toBe('resumed');
});
