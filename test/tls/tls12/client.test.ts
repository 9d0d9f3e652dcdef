/** The TLS 1.2 client against a scripted server: what it does, and each refusal with its reason and alert. */
import { describe, expect, test } from 'vitest';
import type { ClientConfig, Reason } from '../../../src/tls/index.ts';
import { ClientDriver } from '../../support/client-driver.ts';
import { P384 } from '../../support/node-crypto-provider.ts';
import { testCredential } from '../../support/test-credentials.ts';
import { CCS, FACTS } from '../../support/tls12-client.ts';
import { type Hello12Options, TestServer12 } from '../../support/tls12-server.ts';
import { type Extension, message, record, u16, vector8, vector16 } from '../../support/tls13-client.ts';
import { CLIENT_12 } from './support.ts';

interface Stage {
  readonly server: TestServer12;
  readonly client: ClientDriver;
}

function begin(
  config: Partial<ClientConfig> = {},
  kind: Parameters<typeof testCredential>[0] = 'ecdsa-p256',
): Stage {
  const server = new TestServer12(testCredential(kind));
  const client = new ClientDriver({ ...CLIENT_12, ...config });
  server.receive(client.start());
  return { server, client };
}

function complete(options: Hello12Options = {}, config: Partial<ClientConfig> = {}, portion?: number) {
  const rsa =
    FACTS[options.suite ?? 0xc02b] !== undefined && [0xc02f, 0xc030, 0xcca8].includes(options.suite ?? 0);
  const stage = begin(config, rsa ? 'rsa' : 'ecdsa-p256');
  const { server, client } = stage;
  server.receive(client.feed(server.flight(options), portion));
  expect(client.failed).toBeUndefined();
  server.receive(client.feed(server.secondFlight(), portion));
  expect(client.failed).toBeUndefined();
  return { ...stage, established: client.established! };
}

function expectRefusal({ server, client }: Stage, bytes: Uint8Array, reason: Reason, alert: number): void {
  server.receive(client.feed(bytes));
  expect(client.failed).toMatchObject({ reason, alert });
  expect(server.alerts).toEqual([alert]);
}

describe.each(Object.keys(FACTS).map(Number))('suite %i', (suite) => {
  test.each([true, false])('extended master secret %s', (ems) => {
    const { server, client, established } = complete({ suite, ems });
    expect(server.clientFinished).toBe(true);
    expect(established.info).toMatchObject({ version: 0x0303, suite });
    expect(client.verified?.chain).toEqual(server.credential.chain.map((der) => new Uint8Array(der)));
    for (const [ours, theirs] of [
      [established.tx, server.rx!],
      [established.rx, server.tx!],
    ] as const) {
      expect(ours).toMatchObject({ suite, recordSeq: 1n, epoch: 0 });
      expect([Buffer.from(ours.key), Buffer.from(ours.iv)]).toEqual([theirs.key, theirs.iv]);
    }
  });
});

test('fed byte by byte, the answer is the same', () => {
  expect(complete({}, {}, 1).established.info).toMatchObject({ version: 0x0303, suite: 0xc02b });
});

test('HelloRequests on the way are ignored, and are no part of the transcript (RFC 5246 7.4.1.1)', () => {
  const { server, client } = begin();
  const request = message(0, Buffer.alloc(0));
  const messages = [server.serverHello(), server.certificate(), server.keyExchange(), server.done()];
  const flight = Buffer.concat(messages.flatMap((each) => [each, request]));
  server.receive(client.feed(record(22, flight)));
  server.receive(client.feed(server.secondFlight()));
  expect(client.established?.info.version).toBe(0x0303);
});

test('a ticket that was promised comes before the ChangeCipherSpec', () => {
  const { server, client } = begin();
  server.receive(client.feed(server.flight({ edit: (list) => [...list, [35, Buffer.alloc(0)]] })));
  expect(client.handshake.state).toBe('ExpectNewSessionTicket');
  server.receive(client.feed(record(22, server.ticket())));
  server.receive(client.feed(server.secondFlight()));
  expect(client.established).toBeDefined();
});

test('stapled response, SCTs and protocol reach the caller', () => {
  const { server, client } = begin({ requestOcsp: true, requestScts: true, alpn: ['h2', 'http/1.1'] });
  const scts = vector16(vector16(Buffer.from('an sct')));
  const edit = (list: Extension[]): Extension[] => [
    ...list,
    [5, Buffer.alloc(0)],
    [18, scts],
    [16, vector16(vector8(Buffer.from('h2')))],
  ];
  const status = server.push;
  const flight = [server.serverHello({ edit }), server.certificate()];
  flight.push(status.call(server, message(22, Buffer.from('0100000401020304', 'hex'))));
  flight.push(server.keyExchange(), server.done());
  server.receive(client.feed(record(22, Buffer.concat(flight))));
  server.receive(client.feed(server.secondFlight()));
  expect(client.verified).toMatchObject({
    ocspResponse: new Uint8Array([1, 2, 3, 4]),
    sctList: new Uint8Array(scts),
  });
  expect(client.established?.info.alpn).toBe('h2');
});

test('status_request acknowledged, and no response: the handshake goes on', () => {
  const { server, client } = begin({ requestOcsp: true });
  server.receive(client.feed(server.flight({ edit: (list) => [...list, [5, Buffer.alloc(0)]] })));
  server.receive(client.feed(server.secondFlight()));
  expect(client.verified?.ocspResponse).toBeUndefined();
  expect(client.established).toBeDefined();
});

describe('asked who we are', () => {
  const ask = (
    types: number[],
    schemes: number[],
    config: Partial<ClientConfig>,
    authorities?: Uint8Array[],
  ) => {
    const { server, client } = begin(config);
    const messages = [server.serverHello(), server.certificate(), server.keyExchange()];
    messages.push(server.request(types, schemes, authorities), server.done());
    server.receive(client.feed(record(22, Buffer.concat(messages))));
    if (client.failed === undefined) server.receive(client.feed(server.secondFlight()));
    return { server, client };
  };
  test('we say it, and prove it over all messages', () => {
    const { server, client } = ask([64], [0x0403], { selectCredential: () => testCredential('ecdsa-p256') });
    expect(server.messages.map(({ type }) => type)).toEqual([1, 11, 16, 15, 20]);
    expect(client.established).toBeDefined();
  });
  test('or that we are nobody', () => {
    const { server } = ask([64], [0x0403], {});
    expect(server.messages.map(({ type }) => type)).toEqual([1, 11, 16, 20]);
    expect(server.messages[1]!.body).toEqual(Buffer.alloc(3));
    expect(server.clientFinished).toBe(true);
  });
  test('the request names schemes whose kind of key it takes, and authorities', () => {
    let asked: unknown;
    const selectCredential: ClientConfig['selectCredential'] = (request) => {
      asked = request;
      return undefined;
    };
    ask([1, 99], [0x0403, 0x0804, 0x0401, 0x0201], { selectCredential }, [Buffer.from('name')]);
    expect(asked).toEqual({
      signatureSchemes: [0x0804, 0x0401],
      certificateAuthorities: [new Uint8Array(Buffer.from('name'))],
    });
  });
  test('a credential that fits no scheme of theirs', () => {
    const { client } = ask([64, 1], [0x0804], { selectCredential: () => testCredential('ecdsa-p256') });
    expect(client.failed).toMatchObject({ reason: 'no_common_signature_scheme', alert: 40 });
  });
  test('not twice', () => {
    const { server, client } = begin();
    const messages = [server.serverHello(), server.certificate(), server.keyExchange()];
    messages.push(server.request([64], [0x0403]), server.request([64], [0x0403]));
    expectRefusal(
      { server, client },
      record(22, Buffer.concat(messages)),
      'unexpected_handshake_message',
      10,
    );
  });
});

describe('ServerHello', () => {
  const add =
    (type: number, body: Uint8Array = Buffer.alloc(0)) =>
    (list: Extension[]): Extension[] => [...list, [type, body]];
  const downgraded = (last: number) =>
    Buffer.concat([Buffer.alloc(24, 5), Buffer.from('DOWNGRD'), Buffer.of(last)]);
  const cases: [string, Hello12Options, Reason, number][] = [
    ['TLS 1.1', { version: 0x0302 }, 'version_not_offered', 70],
    ['a downgrade from TLS 1.3', { random: downgraded(1) }, 'downgrade_detected', 47],
    ['a downgrade to TLS 1.1 or below', { random: downgraded(0) }, 'downgrade_detected', 47],
    ['a suite that was not offered', { suite: 0xc009 }, 'suite_not_offered', 47],
    ['a suite of TLS 1.3', { suite: 0x1301 }, 'suite_not_offered', 47],
    ['compression', { compression: 1 }, 'bad_compression_method', 47],
    [
      'a renegotiation',
      { edit: () => [[0xff01, vector8(Buffer.alloc(24, 1))]] },
      'bad_renegotiation_info',
      40,
    ],
    ['point formats without uncompressed', { edit: add(11, vector8(Buffer.of(1))) }, 'bad_point_formats', 47],
    ['an extension nobody asked for', { edit: add(1, Buffer.of(1)) }, 'extension_not_offered', 110],
    ['a record_size_limit below 64', { edit: add(28, u16(63)) }, 'bad_record_size_limit', 47],
    ['an extension of TLS 1.3', { edit: add(51, Buffer.alloc(4)) }, 'extension_in_wrong_message', 47],
    ['an extension twice', { edit: add(23) }, 'duplicate_extension', 50],
    ['extended_master_secret with a body', { edit: () => [[23, Buffer.of(0)]] }, 'trailing_data', 50],
    [
      'a protocol nobody asked for',
      { edit: add(16, vector16(vector8(Buffer.from('h2')))) },
      'extension_not_offered',
      110,
    ],
  ];
  test.each(cases)('%s', (_name, options, reason, alert) => {
    const stage = begin();
    expectRefusal(stage, record(22, stage.server.serverHello(options)), reason, alert);
  });
  test("the client's session id, though there is no session", () => {
    const stage = begin();
    const { sessionId } = stage.server.hello;
    expect(sessionId).toHaveLength(32);
    expectRefusal(stage, record(22, stage.server.serverHello({ sessionId })), 'session_id_of_nothing', 47);
  });
  test('supported_groups, which some servers send, is passed over', () => {
    expect(complete({ edit: add(10, vector16(u16(0x1d))) }).established).toBeDefined();
  });
  test('TLS 1.2 when only 1.3 was offered', () => {
    const stage = begin({ versions: [0x0304] });
    expectRefusal(stage, record(22, stage.server.serverHello()), 'version_not_offered', 70);
  });
});

describe('Certificate and ServerKeyExchange', () => {
  type KeyExchange = Parameters<TestServer12['keyExchange']>[0];
  const refused = (exchange: KeyExchange, reason: Reason, alert: number, stage = begin()) => {
    const { server } = stage;
    const messages = [server.serverHello(), server.certificate(), server.keyExchange(exchange)];
    expectRefusal(stage, record(22, Buffer.concat(messages)), reason, alert);
  };
  test('no certificate', () => {
    const stage = begin();
    const { server } = stage;
    const messages = [server.serverHello(), server.certificate([])];
    expectRefusal(stage, record(22, Buffer.concat(messages)), 'empty_certificate', 50);
  });
  test('one that is not a certificate', () => {
    const stage = begin();
    const { server } = stage;
    const messages = [server.serverHello(), server.certificate([Buffer.of(1)]), server.keyExchange()];
    expectRefusal(stage, record(22, Buffer.concat(messages)), 'malformed_certificate', 50);
  });
  test.each<[string, KeyExchange, Reason, number]>([
    ['an explicit curve', { curveType: 1 }, 'bad_curve_type', 47],
    ['a group that was not offered', { group: 0x001e }, 'key_share_not_offered', 47],
    ['a hybrid group', { group: 0x11ec }, 'key_share_not_offered', 47],
    [
      'a scheme that was not offered',
      { scheme: 0x0203, signature: Buffer.alloc(70) },
      'scheme_not_offered',
      47,
    ],
    [
      'a scheme that is not the suite’s',
      { scheme: 0x0804, signature: Buffer.alloc(256) },
      'scheme_does_not_fit_key',
      47,
    ],
    [
      'a scheme that is not the key’s',
      { scheme: 0x0807, signature: Buffer.alloc(64) },
      'scheme_does_not_fit_key',
      47,
    ],
    ['a signature of something else', { signature: Buffer.alloc(70, 1) }, 'bad_signature', 51],
    ['an empty share', { share: Buffer.alloc(0) }, 'bad_list_length', 50],
  ])('%s', (_name, exchange, reason, alert) => refused(exchange, reason, alert));
  test('a key on a curve that was not offered (RFC 8422 5.3)', () => {
    refused(
      { scheme: 0x0403 },
      'unsupported_certificate_key',
      43,
      begin({ groups: [0x1d, 0x17] }, 'ecdsa-p384'),
    );
  });
  test('a hash that does not belong to the curve is fine', () => {
    const { server, client } = begin({ groups: [0x1d, P384] }, 'ecdsa-p384');
    const messages = [
      server.serverHello(),
      server.certificate(),
      server.keyExchange({ scheme: 0x0403 }),
      server.done(),
    ];
    server.receive(client.feed(record(22, Buffer.concat(messages))));
    server.receive(client.feed(server.secondFlight()));
    expect(client.established?.info.scheme).toBe(0x0403);
  });
  test.each([
    ['all zeros', Buffer.alloc(32)],
    ['too short', Buffer.alloc(31, 9)],
  ])('a share that is %s', (_name, share) => {
    const stage = begin();
    const { server } = stage;
    const messages = [
      server.serverHello(),
      server.certificate(),
      server.keyExchange({ share }),
      server.done(),
    ];
    expectRefusal(stage, record(22, Buffer.concat(messages)), 'bad_key_share', 47);
  });
  test('a certificate that the caller refuses', () => {
    const server = new TestServer12();
    const client = new ClientDriver(CLIENT_12, { refusal: 'certificate_expired' });
    server.receive(client.start());
    expectRefusal({ server, client }, server.flight(), 'certificate_expired', 45);
  });
});

type StateName =
  | 'ExpectCertificate'
  | 'ExpectServerKeyExchange'
  | 'ExpectCertificateRequestOrServerHelloDone'
  | 'ExpectChangeCipherSpec'
  | 'ExpectFinished';

/** Which type each state takes; HelloRequest is passed over in all of them. */
const TAKES: Readonly<Record<StateName, readonly number[]>> = {
  ExpectCertificate: [11],
  ExpectServerKeyExchange: [12],
  ExpectCertificateRequestOrServerHelloDone: [13, 14],
  ExpectChangeCipherSpec: [],
  ExpectFinished: [20],
};
const STATES = Object.keys(TAKES) as StateName[];

function reach(state: StateName): Stage & { wrap(type: number, content: Uint8Array): Buffer } {
  const stage = begin();
  const { server, client } = stage;
  const steps = [
    () => server.serverHello(),
    () => server.certificate(),
    () => server.keyExchange(),
    () => server.done(),
  ].slice(0, STATES.indexOf(state) + 1);
  for (const step of steps) server.receive(client.feed(record(22, step())));
  if (state === 'ExpectFinished') {
    client.feed(CCS);
    server.useKeys();
  }
  expect(client.handshake.state).toBe(state);
  const wrap = (type: number, content: Uint8Array) =>
    state === 'ExpectFinished' ? server.seal(type, content) : record(type, content);
  return { ...stage, wrap };
}

describe('State skipping: every message in every state', () => {
  test.each(STATES)(
    '%s',
    (state) => {
      for (let type = 1; type < 256; type++) {
        if (TAKES[state].includes(type)) continue;
        const stage = reach(state);
        expectRefusal(
          stage,
          stage.wrap(22, message(type, Buffer.alloc(12))),
          'unexpected_handshake_message',
          10,
        );
      }
    },
    120_000,
  );
  test.each(STATES)('%s: no application data', (state) => {
    const stage = reach(state);
    expectRefusal(stage, stage.wrap(23, Buffer.alloc(40)), 'application_data_in_handshake', 10);
  });
  test.each(STATES)('%s: EarlyCCS (CVE-2014-0224)', (state) => {
    if (state === 'ExpectChangeCipherSpec') return;
    const stage = reach(state);
    const [reason, alert] =
      state === 'ExpectFinished'
        ? (['encrypted_change_cipher_spec', 10] as const)
        : (['unexpected_change_cipher_spec', 10] as const);
    expectRefusal(stage, stage.wrap(20, Buffer.of(1)), reason, alert);
  });
  test('no ticket that was not promised', () => {
    const stage = reach('ExpectChangeCipherSpec');
    expectRefusal(stage, record(22, stage.server.ticket()), 'unexpected_handshake_message', 10);
  });
  test('no ChangeCipherSpec in place of a ticket that was', () => {
    const { server, client } = begin();
    server.receive(client.feed(server.flight({ edit: (list) => [...list, [35, Buffer.alloc(0)]] })));
    expectRefusal({ server, client }, CCS, 'unexpected_change_cipher_spec', 10);
  });
  test('a HelloRequest with a body', () => {
    const stage = reach('ExpectServerKeyExchange');
    expectRefusal(stage, record(22, message(0, Buffer.of(0))), 'trailing_data', 50);
  });
});

describe('Finished', () => {
  test('wrong', () => {
    const stage = reach('ExpectFinished');
    const finished = stage.server.finished(Buffer.alloc(12, 7));
    expectRefusal(stage, stage.wrap(22, finished), 'bad_finished', 51);
  });
  test('of the other side', () => {
    const stage = reach('ExpectFinished');
    const finished = stage.server.finished(stage.server.verifyData('client'));
    expectRefusal(stage, stage.wrap(22, finished), 'bad_finished', 51);
  });
  test.each([0, 11, 13])('of %i bytes', (length) => {
    const stage = reach('ExpectFinished');
    expectRefusal(stage, stage.wrap(22, message(20, Buffer.alloc(length))), 'bad_finished_length', 51);
  });
  test('with another message behind it', () => {
    const stage = reach('ExpectFinished');
    const both = Buffer.concat([stage.server.finished(), message(0, Buffer.alloc(0))]);
    expectRefusal(stage, stage.wrap(22, both), 'handshake_bytes_before_key_change', 10);
  });
});

test('a warning before the ServerHello, as unrecognized_name is, is passed over (RFC 6066 3)', () => {
  const { server, client } = begin();
  server.receive(client.feed(record(21, Buffer.of(1, 112))));
  server.receive(client.feed(server.flight()));
  server.receive(client.feed(server.secondFlight()));
  expect(client.established).toBeDefined();
});

describe('sessions', () => {
  const withTicket: Hello12Options = { edit: (list) => [...list, [35, Buffer.alloc(0)]] };
  let clock = 1_790_000_000_000;
  const now = () => clock;

  /** A full handshake that gives a session. */
  function first(by: 'ticket' | 'id', config: Partial<ClientConfig> = {}, options: Hello12Options = {}) {
    const { server, client } = begin({ now, ...config });
    const hello = by === 'ticket' ? withTicket : { sessionId: Buffer.alloc(32, 0x5e) };
    server.receive(client.feed(server.flight({ ...hello, ...options })));
    if (by === 'ticket') server.receive(client.feed(record(22, server.ticket())));
    server.receive(client.feed(server.secondFlight()));
    expect(client.established).toBeDefined();
    return { server, client, session: sessionOf(client) };
  }
  const sessionOf = (client: ClientDriver) =>
    client.events.flatMap((event) => (event.type === 'ticket' ? [event.session] : []))[0];
  const again = (by: 'ticket' | 'id', config: Partial<ClientConfig> = {}) => {
    const before = first(by);
    return { before, ...begin({ now, session: before.session, ...config }) };
  };

  test.each([
    ['ticket', undefined],
    ['ticket', Buffer.from('renewed')],
    ['id', undefined],
  ] as const)('by %s, the next ticket %s', (by, renewed) => {
    const { before, server, client } = again(by);
    const offered = server.hello.extensions.find(([type]) => type === 35)?.[1].toString();
    expect(offered).toBe(by === 'ticket' ? 'ticket' : '');
    expect(server.hello.sessionId).toHaveLength(32);
    if (by === 'id') expect(server.hello.sessionId).toEqual(Buffer.alloc(32, 0x5e));
    server.receive(client.feed(server.resume(before.server, {}, renewed)));
    expect(server.clientFinished).toBe(true);
    expect(server.messages.map(({ type }) => type)).toEqual([1, 20]);
    expect(client.verified?.chain).toEqual(before.client.verified?.chain);
    expect(client.established?.info).toMatchObject({
      resumption: 'resumed',
      tickets: renewed === undefined ? 0 : 1,
      suite: before.client.established!.info.suite,
      scheme: before.client.established!.info.scheme,
      peerCertificates: before.client.established!.info.peerCertificates,
    });
    expect(client.established?.tx.recordSeq).toBe(1n);
    expect(sessionOf(client) === undefined).toBe(renewed === undefined);
  });

  test('with TLS 1.2 alone the hello has a session id, too, to see the ticket taken by', () => {
    const { before, server, client } = again('ticket', { versions: [0x0303] });
    server.receive(client.feed(server.resume(before.server)));
    expect(client.established?.info.resumption).toBe('resumed');
  });

  test('fed byte by byte', () => {
    const { before, server, client } = again('ticket');
    server.receive(client.feed(server.resume(before.server, {}, Buffer.from('renewed')), 1));
    expect(client.established?.info.resumption).toBe('resumed');
  });

  test('a server that goes on in full has not known the ticket', () => {
    const { server, client } = again('ticket');
    server.receive(client.feed(server.flight()));
    server.receive(client.feed(server.secondFlight()));
    expect(client.established?.info.resumption).toBe('unknown_ticket');
  });

  test('an empty ticket is none, and gives no session (RFC 5077 3.3)', () => {
    const { server, client } = begin({ now });
    server.receive(client.feed(server.flight(withTicket)));
    server.receive(client.feed(record(22, server.ticket(Buffer.alloc(0), 0))));
    server.receive(client.feed(server.secondFlight()));
    expect(client.established?.info.tickets).toBe(0);
    expect(sessionOf(client)).toBeUndefined();
  });

  test('none without the extended master secret (RFC 7627 5.3)', () => {
    const { server, client } = begin({ now });
    server.receive(client.feed(server.flight({ ...withTicket, ems: false })));
    server.receive(client.feed(record(22, server.ticket())));
    server.receive(client.feed(server.secondFlight()));
    expect(client.established).toBeDefined();
    expect(sessionOf(client)).toBeUndefined();
  });

  test('without a clock none is asked for', () => {
    const { server } = begin({ now: undefined });
    expect(server.hello.extensions.some(([type]) => type === 35)).toBe(false);
  });

  describe('Resumption identity: what is not offered', () => {
    test.each<[string, Partial<ClientConfig>, string]>([
      ['another name', { serverName: 'other.example' }, 'other_server_name'],
      ['another version', { versions: [0x0304] }, 'other_version'],
      ['without its suite', { suites: [0x1301, 0xc02c] }, 'other_suite'],
      ['damaged', { session: Buffer.from('nonsense') }, 'unknown_ticket'],
    ])('%s', (_name, config) => {
      const { server } = again('ticket', config);
      const offered = server.hello.extensions.find(([type]) => type === 35)?.[1];
      expect(offered?.length ?? 0).toBe(0);
    });
    test('too late', () => {
      const { session } = first('ticket');
      clock += 7200 * 1000;
      const { server } = begin({ now, session });
      expect(server.hello.extensions.find(([type]) => type === 35)?.[1]).toHaveLength(0);
    });
  });

  describe('refusals', () => {
    test('another suite', () => {
      const { before, ...stage } = again('ticket');
      const bytes = stage.server.resume(before.server, { suite: 0xc02c });
      expectRefusal(stage, bytes, 'resumption_with_other_suite', 47);
    });
    test('without the extended master secret (RFC 7627 5.3)', () => {
      const { before, ...stage } = again('ticket');
      const bytes = stage.server.resume(before.server, { ems: false });
      expectRefusal(stage, bytes, 'resumption_without_extended_master_secret', 40);
    });
    test('a certificate that is refused by now', () => {
      const before = first('ticket');
      const server = new TestServer12();
      const client = new ClientDriver(
        { ...CLIENT_12, now, session: before.session },
        { refusal: 'certificate_revoked' },
      );
      server.receive(client.start());
      expectRefusal({ server, client }, server.resume(before.server), 'certificate_revoked', 44);
      expect(server.clientFinished).toBe(false);
    });
    test('a Finished with another master secret', () => {
      const { before, server, client } = again('ticket');
      before.server.master[0]! ^= 1;
      client.feed(server.resume(before.server));
      expect(client.failed).toMatchObject({ reason: 'record_did_not_decrypt', alert: 20 });
    });
    test('State skipping: a certificate in place of the ChangeCipherSpec', () => {
      const { before, server, client } = again('ticket');
      const { sessionId } = server.hello;
      server.master = before.server.master;
      const messages = [server.serverHello({ sessionId }), server.certificate()];
      expectRefusal(
        { server, client },
        record(22, Buffer.concat(messages)),
        'unexpected_handshake_message',
        10,
      );
    });
  });
});
