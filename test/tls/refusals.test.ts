/** Every message in every state, every reason with the bytes that cause it, and the lengths at the edges. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { REASONS, type Reason } from '../../src/tls/index.ts';
import { caused, Driver } from '../support/handshake-driver.ts';
import { P256, X25519 } from '../support/node-crypto-provider.ts';
import {
  type Extension,
  type HelloOptions,
  message,
  record,
  TestClient,
  u16,
  vector8,
  vector16,
} from '../support/tls13-client.ts';

const ALERTS: Record<string, number> = {
  unexpected_message: 10,
  bad_record_mac: 20,
  record_overflow: 22,
  handshake_failure: 40,
  illegal_parameter: 47,
  decode_error: 50,
  decrypt_error: 51,
  protocol_version: 70,
  internal_error: 80,
  missing_extension: 109,
  unrecognized_name: 112,
  no_application_protocol: 120,
};

interface Stage {
  readonly client: TestClient;
  readonly driver: Driver;
  /** A record with this content, protected where the state wants it so. */
  wrap(type: number, content: Uint8Array): Buffer;
}
type StateName = 'ExpectClientHello' | 'ExpectSecondClientHello' | 'ExpectFinished';
const STATES: readonly StateName[] = ['ExpectClientHello', 'ExpectSecondClientHello', 'ExpectFinished'];

function reach(state: StateName, options: HelloOptions = {}): Stage {
  const client = new TestClient(
    state === 'ExpectSecondClientHello' ? { groups: [0x18, P256], ...options } : options,
  );
  const driver = new Driver();
  if (state !== 'ExpectClientHello') client.receive(driver.feed(client.helloRecord()));
  expect(driver.handshake.state).toBe(state);
  return {
    client,
    driver,
    wrap: (type, content) =>
      state === 'ExpectFinished' ? client.seal(type, content) : record(type, content),
  };
}

/** Fed these bytes the handshake fails for this reason, and the alert, readable by the client, says this. */
function expectRefusal({ client, driver }: Stage, bytes: Uint8Array, reason: Reason, alert: string): void {
  client.receive(driver.feed(bytes));
  expect(driver.failed).toMatchObject({ reason, alert: ALERTS[alert] });
  expect(client.alerts).toEqual([ALERTS[alert]]);
  expect(driver.handshake.state).toBe('Closed');
  expect(driver.handshake.receive(Buffer.of(22))).toEqual([]);
}

// RFC 8446 4: "A peer which receives a handshake message in an unexpected order MUST abort the handshake with an
// "unexpected_message" alert." RFC 8446 4.6.3: "receive a KeyUpdate message prior to receiving a Finished message".
// RFC 8446 5.1: "Implementations MUST verify that all messages immediately preceding a key change align with a record
// boundary".
describe('state x handshake message', () => {
  const wanted: Record<StateName, number> = {
    ExpectClientHello: 1,
    ExpectSecondClientHello: 1,
    ExpectFinished: 20,
  };
  const types = Array.from({ length: 256 }, (_, type) => type);
  test.each(STATES)('%s takes one type and refuses 255', (state) => {
    for (const type of types) {
      if (type === wanted[state]) continue;
      const stage = reach(state);
      expectRefusal(
        stage,
        stage.wrap(22, message(type, Buffer.alloc(32))),
        'unexpected_handshake_message',
        'unexpected_message',
      );
    }
  });

  test.each(STATES)('%s refuses its own message with another behind it', (state) => {
    for (const trailing of [Buffer.of(24), message(24, Buffer.of(0)), message(1, Buffer.alloc(40))]) {
      const stage = reach(state);
      const own = state === 'ExpectFinished' ? stage.client.finished() : stage.client.hello();
      expectRefusal(
        stage,
        stage.wrap(22, Buffer.concat([own, trailing])),
        'handshake_bytes_before_key_change',
        'unexpected_message',
      );
    }
  });
});

// RFC 8446 5.1: "a record with an Alert type MUST contain exactly one message"; "An endpoint that receives a record
// that exceeds this length". RFC 8446 5: "which receives any other change_cipher_spec value"; "MUST simply drop it";
// "If a TLS implementation receives an unexpected record type"; "before the first ClientHello message". RFC 8446 5.2:
// "larger than 2^14 + 256 octets".
describe('state x record', () => {
  const cases: [string, (stage: Stage) => Uint8Array, Partial<Record<StateName, [Reason, string]>>][] = [];
  const everywhere = (reason: Reason, alert: string) =>
    Object.fromEntries(STATES.map((state) => [state, [reason, alert]])) as Record<
      StateName,
      [Reason, string]
    >;
  cases.push(
    [
      'empty handshake',
      ({ wrap }) => wrap(22, Buffer.alloc(0)),
      everywhere('empty_handshake_fragment', 'unexpected_message'),
    ],
    [
      'application data',
      ({ wrap }) => wrap(23, Buffer.alloc(32)),
      everywhere('application_data_in_handshake', 'unexpected_message'),
    ],
    ['empty alert', ({ wrap }) => wrap(21, Buffer.alloc(0)), everywhere('empty_alert', 'unexpected_message')],
    [
      'alert of one byte',
      ({ wrap }) => wrap(21, Buffer.of(2)),
      everywhere('malformed_alert', 'decode_error'),
    ],
    [
      'two alerts',
      ({ wrap }) => wrap(21, Buffer.of(2, 40, 2, 40)),
      everywhere('malformed_alert', 'decode_error'),
    ],
    [
      'alert without level',
      ({ wrap }) => wrap(21, Buffer.of(0, 40)),
      everywhere('bad_alert_level', 'illegal_parameter'),
    ],
    [
      'five user_canceled',
      ({ wrap }) => Buffer.concat([1, 2, 3, 4, 5].map(() => wrap(21, Buffer.of(1, 90)))),
      everywhere('too_many_warning_alerts', 'unexpected_message'),
    ],
    ['CCS of 2', () => record(20, Buffer.of(2)), everywhere('bad_change_cipher_spec', 'unexpected_message')],
    [
      'CCS of two bytes',
      () => record(20, Buffer.of(1, 1)),
      everywhere('bad_change_cipher_spec', 'unexpected_message'),
    ],
    [
      'empty CCS',
      () => record(20, Buffer.alloc(0)),
      everywhere('bad_change_cipher_spec', 'unexpected_message'),
    ],
    [
      'three CCS',
      () => Buffer.concat([1, 2, 3].map(() => record(20, Buffer.of(1)))),
      {
        ExpectClientHello: ['unexpected_change_cipher_spec', 'unexpected_message'],
        ExpectSecondClientHello: ['too_many_change_cipher_specs', 'unexpected_message'],
        ExpectFinished: ['too_many_change_cipher_specs', 'unexpected_message'],
      },
    ],
    [
      'CCS inside a message',
      ({ wrap }) => Buffer.concat([wrap(22, Buffer.of(20, 0, 0, 32, 1)), record(20, Buffer.of(1))]),
      everywhere('record_between_handshake_fragments', 'unexpected_message'),
    ],
    [
      'warning inside a message',
      ({ wrap }) => Buffer.concat([wrap(22, Buffer.of(20, 0, 0, 32, 1)), wrap(21, Buffer.of(1, 90))]),
      everywhere('record_between_handshake_fragments', 'unexpected_message'),
    ],
    [
      'content type 24',
      () => record(24, Buffer.of(1)),
      {
        ...everywhere('unknown_content_type', 'unexpected_message'),
        ExpectClientHello: ['not_tls', 'unexpected_message'],
      },
    ],
    [
      'content type 19',
      () => record(19, Buffer.of(1)),
      {
        ...everywhere('unknown_content_type', 'unexpected_message'),
        ExpectClientHello: ['not_tls', 'unexpected_message'],
      },
    ],
    [
      'major version 2',
      () => record(22, Buffer.of(1), 0x0203),
      everywhere('wrong_record_version', 'protocol_version'),
    ],
    [
      'plaintext of 2^14+1',
      () => Buffer.of(22, 3, 3, 0x40, 1),
      everywhere('record_too_long', 'record_overflow'),
    ],
    [
      'ciphertext of 2^14+257',
      () => Buffer.of(23, 3, 3, 0x41, 1),
      everywhere('record_too_long', 'record_overflow'),
    ],
    [
      'message above the limit',
      ({ wrap }) => wrap(22, Buffer.of(1, 1, 0, 0)),
      everywhere('handshake_message_too_long', 'decode_error'),
    ],
    [
      'message of 2^24-1',
      ({ wrap }) => wrap(22, Buffer.of(20, 255, 255, 255)),
      everywhere('handshake_message_too_long', 'decode_error'),
    ],
  );
  for (const [name, make, expectations] of cases) {
    for (const state of STATES) {
      const expected = expectations[state];
      if (expected === undefined) continue;
      test(`${state}: ${name} is ${expected[0]}`, () => {
        const stage = reach(state);
        expectRefusal(stage, make(stage), expected[0], expected[1]);
      });
    }
  }

  // RFC 8446 6: "Unknown Alert types MUST be treated as error alerts." RFC 8446 6.2: "Upon transmission or receipt of
  // a fatal alert message, both parties MUST immediately close the connection."
  test.each(STATES)('%s: an alert of the peer ends it in silence, close_notify is answered', (state) => {
    for (let description = 0; description < 256; description++) {
      if (description === 90) continue;
      const stage = reach(state);
      stage.client.receive(stage.driver.feed(stage.wrap(21, Buffer.of(2, description))));
      if (description === 0) {
        expect(stage.driver.failed).toMatchObject({ reason: 'peer_closed', alert: 0 });
        expect(stage.client.alerts).toEqual([0]);
      } else {
        expect(stage.driver.failed).toMatchObject({
          reason: 'peer_alert',
          alert: undefined,
          received: description,
        });
        expect(stage.client.alerts).toEqual([]);
      }
    }
  });

  // RFC 8446 D.5: "MUST NOT negotiate TLS 1.3 or later using an SSL version 2.0 compatible CLIENT-HELLO".
  test('garbage that is not TLS is known by its first byte', () => {
    for (const text of ['GET / HTTP/1.1\r\n', 'SSH-2.0-x', '\x00', '\x80\x2e\x01\x03\x01']) {
      const stage = reach('ExpectClientHello');
      expectRefusal(stage, Buffer.from(text, 'latin1').subarray(0, 1), 'not_tls', 'unexpected_message');
    }
  });
});

describe('protected records', () => {
  test('in plaintext: a handshake message is refused, an alert taken', () => {
    const stage = reach('ExpectFinished');
    expectRefusal(
      stage,
      record(22, stage.client.finished()),
      'plaintext_handshake_record',
      'unexpected_message',
    );
    const other = reach('ExpectFinished');
    other.driver.feed(record(21, Buffer.of(2, 48)));
    expect(other.driver.failed).toMatchObject({ reason: 'peer_alert', received: 48 });
  });
  // RFC 8446 5: "which receives a protected change_cipher_spec record MUST abort the handshake".
  test('a CCS inside', () => {
    const stage = reach('ExpectFinished');
    expectRefusal(stage, stage.wrap(20, Buffer.of(1)), 'encrypted_change_cipher_spec', 'unexpected_message');
  });
  test('an unknown type inside', () => {
    const stage = reach('ExpectFinished');
    expectRefusal(stage, stage.wrap(99, Buffer.of(1)), 'unknown_content_type', 'unexpected_message');
  });
  // RFC 8446 5.4: "does not find a non-zero octet in the cleartext, it MUST terminate the connection".
  test('zeros inside', () => {
    for (const length of [0, 1, 100]) {
      const stage = reach('ExpectFinished');
      expectRefusal(
        stage,
        stage.client.seal(0, Buffer.alloc(length)),
        'record_without_content_type',
        'unexpected_message',
      );
    }
  });
  // RFC 8446 5.2: "If the decryption fails, the receiver MUST terminate the connection with a "bad_record_mac"
  // alert."
  test.each(Array.from({ length: 25 }, (_, length) => length))('%i bytes do not decrypt', (length) => {
    const stage = reach('ExpectFinished');
    expectRefusal(stage, record(23, Buffer.alloc(length)), 'record_did_not_decrypt', 'bad_record_mac');
  });
  // RFC 8446 5.4: "the full encoded TLSInnerPlaintext MUST NOT exceed 2^14 + 1 octets".
  test('2^14+1 bytes inside overflow, 2^14 with padding to the limit do not', () => {
    const stage = reach('ExpectFinished');
    const over = stage.client.seal(21, Buffer.alloc(16_385), 0);
    expectRefusal(stage, over, 'plaintext_too_long', 'record_overflow');
    const other = reach('ExpectFinished');
    other.driver.feed(other.client.seal(22, other.client.finished(), 16_384 - 36));
    expect(other.driver.established).toBeDefined();
  });
  test('each bit of a protected Finished counts', () => {
    for (let at = 5; at < 58; at++) {
      const stage = reach('ExpectFinished', { suites: [0x1301] });
      const sealed = stage.wrap(22, stage.client.finished());
      sealed[at]! ^= 1 << (at % 8);
      expectRefusal(stage, sealed, 'record_did_not_decrypt', 'bad_record_mac');
    }
  });
});

// RFC 8446 4.4.4: "Recipients of Finished messages MUST verify that the contents are correct and if incorrect MUST
// terminate the connection with a "decrypt_error" alert."
describe('Finished', () => {
  test.each([0, 31, 33, 48])('of %i bytes', (length) => {
    const stage = reach('ExpectFinished', { suites: [0x1301] });
    expectRefusal(
      stage,
      stage.wrap(22, message(20, Buffer.alloc(length))),
      'bad_finished_length',
      'decrypt_error',
    );
  });
  test('with one bit changed', () => {
    const stage = reach('ExpectFinished');
    const finished = stage.client.finished();
    finished[20]! ^= 0x10;
    expectRefusal(stage, stage.wrap(22, finished), 'bad_finished', 'decrypt_error');
  });
});

const without = (type: number) => (list: Extension[]) => list.filter(([of]) => of !== type);
const replace = (type: number, body: Uint8Array) => (list: Extension[]) =>
  without(type)(list).concat([[type, body]]);
const psk: Extension = [
  41,
  Buffer.concat([
    vector16(vector16(Buffer.alloc(8, 1)), Buffer.alloc(4)),
    vector16(vector8(Buffer.alloc(32))),
  ]),
];
const psks = (identities: number, binders: number): Extension => [
  41,
  Buffer.concat([
    vector16(...Array.from({ length: identities }, () => Buffer.from('0001aa00000000', 'hex'))),
    vector16(...Array.from({ length: binders }, () => vector8(Buffer.alloc(32)))),
  ]),
];
const modes: Extension = [45, vector8(Buffer.of(1))];

// RFC 8446 4.1.2: "received with any other value in this field, the server MUST abort". RFC 8446 4.2.11: "Servers
// MUST check that it is the last extension". RFC 8446 9.2: "MUST abort the handshake with a "missing_extension"
// alert". RFC 8446 4.2: "There MUST NOT be more than one extension of the same type". RFC 8449 4: "An endpoint MUST
// treat receipt of a smaller value as a fatal error". RFC 8446 4.2.8.2: "ensuring that the point is a valid point".
describe('ClientHello', () => {
  const cases: [string, HelloOptions, Reason, string][] = [
    ['TLS 1.2 only', { edit: without(43) }, 'no_common_version', 'protocol_version'],
    [
      'versions without 1.3',
      { edit: replace(43, vector8(u16(0x0303, 0x0302))) },
      'no_common_version',
      'protocol_version',
    ],
    ['SSL 3.0', { legacyVersion: 0x0300 }, 'ssl30_offered', 'protocol_version'],
    ['compression', { compression: [1, 0] }, 'bad_compression_methods', 'illegal_parameter'],
    ['a wrong compression', { compression: [1] }, 'bad_compression_methods', 'illegal_parameter'],
    ['no compression', { compression: [] }, 'bad_list_length', 'decode_error'],
    ['a session id of 33', { sessionId: Buffer.alloc(33) }, 'bad_session_id', 'decode_error'],
    ['no suites', { suites: [] }, 'bad_list_length', 'decode_error'],
    ['no common suite', { suites: [0x1304, 0xc02f] }, 'no_common_suite', 'handshake_failure'],
    ['no common group', { groups: [0x18, 0x19], shares: [0x18] }, 'no_common_group', 'handshake_failure'],
    ['no common scheme', { schemes: [0x0401, 0x0804] }, 'no_common_signature_scheme', 'handshake_failure'],
    ['no key_share', { edit: without(51) }, 'missing_key_share', 'missing_extension'],
    ['no supported_groups', { edit: without(10) }, 'missing_supported_groups', 'missing_extension'],
    ['no signature_algorithms', { edit: without(13) }, 'missing_signature_algorithms', 'missing_extension'],
    ['an extension twice', { edit: (list) => [...list, list[0]!] }, 'duplicate_extension', 'decode_error'],
    [
      'an unknown extension twice',
      { edit: (list) => [...list, [999, Buffer.alloc(0)], [999, Buffer.alloc(0)]] },
      'duplicate_extension',
      'decode_error',
    ],
    [
      'a PSK that is not last',
      { edit: (list) => [psk, ...list] },
      'pre_shared_key_not_last',
      'illegal_parameter',
    ],
    [
      'a PSK without modes',
      { edit: (list) => [...list, psk] },
      'missing_psk_key_exchange_modes',
      'missing_extension',
    ],
    [
      'fewer binders than PSKs',
      { edit: (list) => [...list, modes, psks(2, 1)] },
      'psk_without_binder',
      'illegal_parameter',
    ],
    [
      'more binders than PSKs',
      { edit: (list) => [...list, modes, psks(1, 2)] },
      'psk_without_binder',
      'illegal_parameter',
    ],
    [
      'a record size limit of 63',
      { edit: (list) => [...list, [28, u16(63)]] },
      'bad_record_size_limit',
      'illegal_parameter',
    ],
    [
      'a cookie that is not ours',
      { edit: (list) => [...list, [44, vector16(Buffer.alloc(100, 1))]] },
      'bad_cookie',
      'illegal_parameter',
    ],
    [
      'a PSK that is not taken and no schemes',
      { edit: (list) => [...without(13)(list), modes, psk] },
      'missing_signature_algorithms',
      'missing_extension',
    ],
    ['a share twice', { shares: [X25519, X25519] }, 'duplicate_key_share', 'illegal_parameter'],
    [
      'a share outside supported_groups',
      { groups: [0x18], shares: [X25519] },
      'key_share_for_unsupported_group',
      'illegal_parameter',
    ],
    [
      'an all-zero X25519 share',
      { edit: replace(51, vector16(u16(X25519), vector16(Buffer.alloc(32)))) },
      'bad_key_share',
      'illegal_parameter',
    ],
    [
      'a short X25519 share',
      { edit: replace(51, vector16(u16(X25519), vector16(Buffer.alloc(31, 9)))) },
      'bad_key_share',
      'illegal_parameter',
    ],
    [
      'a point off the curve',
      { edit: replace(51, vector16(u16(P256), vector16(Buffer.alloc(65, 4)))) },
      'bad_key_share',
      'illegal_parameter',
    ],
    [
      'a compressed point',
      { edit: replace(51, vector16(u16(P256), vector16(Buffer.alloc(33, 2)))) },
      'bad_key_share',
      'illegal_parameter',
    ],
    [
      'an empty share',
      { edit: replace(51, vector16(u16(X25519), vector16())) },
      'bad_list_length',
      'decode_error',
    ],
    ['an empty server name list', { edit: replace(0, vector16()) }, 'bad_list_length', 'decode_error'],
    ['a server name with NUL', { serverName: 'a\0b' }, 'bad_server_name', 'illegal_parameter'],
    ['a server name of a dot', { serverName: '.' }, 'bad_server_name', 'illegal_parameter'],
    ['a server name of 256', { serverName: 'a'.repeat(256) }, 'bad_server_name', 'illegal_parameter'],
    [
      'two server names',
      {
        edit: replace(
          0,
          vector16(Buffer.of(0), vector16(Buffer.from('a')), Buffer.of(0), vector16(Buffer.from('b'))),
        ),
      },
      'duplicate_server_name',
      'illegal_parameter',
    ],
    [
      'an empty ALPN name',
      { edit: replace(16, vector16(vector8(), vector8(Buffer.from('x')))) },
      'bad_list_length',
      'decode_error',
    ],
    [
      'an ALPN list that ends early',
      { edit: replace(16, vector16(Buffer.of(9, 1))) },
      'truncated_message',
      'decode_error',
    ],
    ['an odd list', { edit: replace(13, vector16(Buffer.of(4, 3, 8))) }, 'bad_list_length', 'decode_error'],
    [
      'bytes after a list',
      { edit: replace(10, Buffer.concat([vector16(u16(X25519)), Buffer.of(0)])) },
      'trailing_data',
      'decode_error',
    ],
    [
      'early_data with a body',
      { edit: (list) => [...list, [42, Buffer.of(0)]] },
      'trailing_data',
      'decode_error',
    ],
  ];
  test.each(cases)('with %s', (_name, options, reason, alert) => {
    const stage = reach('ExpectClientHello', options);
    expectRefusal(stage, stage.client.helloRecord(), reason, alert);
  });

  // RFC 8446 6: "which cannot be parsed according to the syntax … MUST terminate the connection with a "decode_error"
  // alert".
  test('cut at every byte, its length made to fit', () => {
    const hello = new TestClient({ serverName: 'example.org', alpn: ['h2'] }).hello();
    for (let length = 4; length < hello.length; length++) {
      const driver = new Driver();
      driver.feed(record(22, message(1, hello.subarray(4, length))));
      // Without its extensions it is a well-formed hello of TLS 1.2.
      expect(['decode_error', 'protocol_version'].map((name) => ALERTS[name])).toContain(
        driver.failed?.alert,
      );
    }
  });

  test('with one byte more', () => {
    const stage = reach('ExpectClientHello');
    const hello = stage.client.hello();
    const longer = message(1, Buffer.concat([hello.subarray(4), Buffer.of(0)]));
    expectRefusal(stage, record(22, longer), 'trailing_data', 'decode_error');
  });

  test('with 16,000 extensions is answered, not chewed on', () => {
    const many: Extension[] = Array.from({ length: 16_000 }, (_, i) => [1000 + i, Buffer.alloc(0)]);
    const driver = new Driver();
    const hello = new TestClient({ edit: (list) => [...list, ...many.slice(0, 15_000)] }).hello();
    for (let at = 0; at < hello.length; at += 16_384)
      driver.feed(record(22, hello.subarray(at, at + 16_384)));
    expect(driver.handshake.state).toBe('ExpectFinished');
  });

  test('nobody answers to the name', () => {
    const named = new Driver({ selectCredential: () => undefined });
    named.feed(new TestClient({ serverName: 'x.example' }).helloRecord());
    expect(named.failed).toMatchObject({ reason: 'unrecognized_name', alert: 112 });
    const nameless = new Driver({ selectCredential: () => undefined });
    nameless.feed(new TestClient().helloRecord());
    expect(nameless.failed).toMatchObject({ reason: 'no_credential', alert: 40 });
  });

  // RFC 7301 3.2: "the server SHALL respond with a fatal "no_application_protocol" alert".
  test('no protocol in common', () => {
    const driver = new Driver({ alpn: ['http/1.1'] });
    driver.feed(new TestClient({ alpn: ['h2', 'http/1.'] }).helloRecord());
    expect(driver.failed).toMatchObject({ reason: 'no_common_alpn', alert: 120 });
  });

  // RFC 8446 4.4.3: "RSA signatures MUST use an RSASSA-PSS algorithm".
  test('a legacy scheme is never signed with', () => {
    const driver = new Driver({ selectCredential: () => ({ chain: [], schemes: [0x0401, 0x0203] }) });
    driver.feed(new TestClient({ schemes: [0x0401, 0x0203] }).helloRecord());
    expect(driver.failed).toMatchObject({ reason: 'no_common_signature_scheme' });
  });
});

// RFC 8446 4.1.2: "the client MUST send the same ClientHello without modification, except as follows".
describe('the second ClientHello', () => {
  const differs: [string, HelloOptions][] = [
    ['suites', { suites: [0x1301] }],
    ['session id', { sessionId: Buffer.alloc(32) }],
    ['server name', { serverName: 'b.example' }],
    ['ALPN', { alpn: ['h2'] }],
    ['schemes', { schemes: [0x0403] }],
    ['groups', { groups: [P256, 0x18], shares: [P256] }],
    ['legacy version', { legacyVersion: 0x0302 }],
    ['versions', { edit: replace(43, vector8(u16(0x0304, 0x0303))) }],
  ];
  test.each(differs)('with other %s', (_name, options) => {
    const stage = reach('ExpectSecondClientHello');
    expectRefusal(stage, stage.client.helloRecord(options), 'second_hello_differs', 'illegal_parameter');
  });
  test.each([[[]], [[0x18]], [[P256, 0x18]]])('with shares for %j', (shares) => {
    const stage = reach('ExpectSecondClientHello');
    expectRefusal(
      stage,
      stage.client.helloRecord({ shares }),
      'second_hello_without_requested_share',
      'illegal_parameter',
    );
  });
  // RFC 8446 4.2.10: "A client MUST NOT include the "early_data" extension in its followup ClientHello."
  test('with early data', () => {
    const stage = reach('ExpectSecondClientHello');
    const edit = (list: Extension[]): Extension[] => [...list, [42, Buffer.alloc(0)]];
    expectRefusal(
      stage,
      stage.client.helloRecord({ edit }),
      'early_data_in_second_hello',
      'illegal_parameter',
    );
  });
  test('with other padding and an extension of its own is fine', () => {
    const { client, driver } = reach('ExpectSecondClientHello');
    const edit = (list: Extension[]): Extension[] => [
      ...list,
      [21, Buffer.alloc(90)],
      [0xfe0d, Buffer.alloc(9)],
    ];
    client.receive(driver.feed(client.helloRecord({ edit })));
    driver.feed(client.seal(22, client.finished()));
    expect(driver.established).toBeDefined();
  });
});

describe('the byte cap', () => {
  test('counts records', () => {
    const driver = new Driver({ maxHandshakeBytes: 500 });
    const client = new TestClient();
    const hello = client.hello();
    for (const byte of hello) {
      driver.feed(record(22, Buffer.of(byte)));
      if (driver.failed) break;
    }
    expect(driver.failed).toMatchObject({ reason: 'handshake_too_long', alert: 50 });
  });
  test('holds for what waits behind a signature', () => {
    const client = new TestClient();
    const driver = new Driver({ maxHandshakeBytes: 1000 });
    driver.handshake.receive(client.helloRecord());
    const events = driver.handshake.receive(Buffer.alloc(40_000, 23));
    expect(events).toMatchObject([{ type: 'fail', reason: 'handshake_too_long' }]);
  });
});

test('every reason there is has been caused here, or is named by another test', () => {
  // Guards, not behaviours: the first takes 2^32 records within maxHandshakeBytes, the others need TLS 1.2.
  const guards: Reason[] = ['record_sequence_exhausted', 'key_usage_exhausted', 'renegotiation'];
  const folder = new URL('.', import.meta.url);
  const others = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts') && name !== 'refusals.test.ts')
    .map((name) => readFileSync(new URL(name, folder), 'utf8'))
    .join();
  const untested = REASONS.filter(
    (reason) => !(caused.has(reason) || guards.includes(reason) || others.includes(`'${reason}'`)),
  );
  // Made by the caller, who has looked at a certificate.
  expect(untested.filter((reason) => !reason.startsWith('certificate_'))).toEqual([]);
});
