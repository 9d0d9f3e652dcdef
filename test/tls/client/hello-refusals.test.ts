/** What a server may do wrong in its hello, one test per misbehaviour: the reason and the alert, and nothing established. */
import { describe, expect, test } from 'vitest';
import type { ClientConfig, Reason } from '../../../src/tls/index.ts';
import {
  type AlertName,
  add,
  expectRefusal,
  replace,
  type Stage,
  started,
} from '../../support/client-stages.ts';
import { P256, P384, X25519 } from '../../support/node-crypto-provider.ts';
import { message, record, u16, vector16 } from '../../support/tls13-client.ts';
import type { ServerHelloOptions, TestServer } from '../../support/tls13-server.ts';

// RFC 8446 4.1: "A client which receives a cipher suite that was not offered MUST abort the handshake". RFC 8446
// 4.1.3: "MUST check that the last 8 bytes are not equal to either of these values". RFC 8446 4.2: "an endpoint MUST
// abort the handshake with an "unsupported_extension" alert". RFC 8446 4.2.1: "contains a version prior to TLS 1.3,
// the client MUST abort the handshake". RFC 8446 D.1: "the client MUST abort the handshake with a "protocol_version"
// alert".
describe('a ServerHello', () => {
  const random = (last: number) =>
    Buffer.concat([Buffer.alloc(24, 1), Buffer.from('DOWNGRD'), Uint8Array.of(last)]);
  const cases: [
    string,
    (server: TestServer) => ServerHelloOptions,
    Reason,
    AlertName,
    Partial<ClientConfig>?,
  ][] = [
    [
      'of legacy_version 0x0304',
      () => ({ legacyVersion: 0x0304 }),
      'bad_legacy_version',
      'illegal_parameter',
    ],
    [
      'of legacy_version 0x0302',
      () => ({ legacyVersion: 0x0302 }),
      'bad_legacy_version',
      'illegal_parameter',
    ],
    [
      'with another session id',
      () => ({ sessionId: Buffer.alloc(32, 5) }),
      'session_id_not_echoed',
      'illegal_parameter',
    ],
    [
      'without the session id',
      () => ({ sessionId: Buffer.alloc(0) }),
      'session_id_not_echoed',
      'illegal_parameter',
    ],
    [
      'with a session id of 33 bytes',
      () => ({ sessionId: Buffer.alloc(33) }),
      'bad_list_length',
      'decode_error',
    ],
    [
      'with a suite that was not offered',
      () => ({ suite: 0x1304 }),
      'suite_not_offered',
      'illegal_parameter',
    ],
    [
      'with a suite of TLS 1.2',
      () => ({ suite: 0xc02f }),
      'suite_not_offered',
      'illegal_parameter',
      { versions: [0x0304, 0x0303], suites: [0x1301, 0xc02f] },
    ],
    ['with compression', () => ({ compression: 1 }), 'bad_compression_method', 'illegal_parameter'],
    ['without extensions', () => ({ block: Buffer.alloc(0) }), 'version_not_offered', 'protocol_version'],
    [
      'without supported_versions',
      () => ({ edit: replace(43, undefined) }),
      'version_not_offered',
      'protocol_version',
    ],
    [
      'of TLS 1.1',
      () => ({ legacyVersion: 0x0302, edit: replace(43, undefined) }),
      'version_not_offered',
      'protocol_version',
    ],
    ...[0x0303, 0x0302, 0x0305, 0x7f1c].map(
      (version) =>
        [
          `selecting version ${version.toString(16)}`,
          () => ({ edit: replace(43, u16(version)) }),
          'bad_selected_version',
          'illegal_parameter',
        ] as (typeof cases)[number],
    ),
    [
      'selecting TLS 1.2 by the extension though it was offered',
      () => ({ edit: replace(43, u16(0x0303)) }),
      'bad_selected_version',
      'illegal_parameter',
      { versions: [0x0304, 0x0303] },
    ],
    [
      'of TLS 1.2 whose random says that 1.3 was possible',
      () => ({ random: random(1), edit: replace(43, undefined) }),
      'downgrade_detected',
      'illegal_parameter',
      { versions: [0x0304, 0x0303] },
    ],
    [
      'of TLS 1.2 whose random says that 1.2 was possible',
      () => ({ random: random(0), edit: replace(43, undefined) }),
      'downgrade_detected',
      'illegal_parameter',
      { versions: [0x0304, 0x0303] },
    ],
    [
      'answering supported_versions, which a client of TLS 1.2 has not sent',
      () => ({}),
      'extension_not_offered',
      'unsupported_extension',
      { versions: [0x0303] },
    ],
    [
      'with an extension twice',
      () => ({ edit: add(43, u16(0x0304)) }),
      'duplicate_extension',
      'decode_error',
    ],
    [
      'with an unknown extension',
      () => ({ edit: add(0x1234) }),
      'extension_not_offered',
      'unsupported_extension',
    ],
    ['with GREASE', () => ({ edit: add(0x3a3a) }), 'extension_not_offered', 'unsupported_extension'],
    [
      'with an extension of EncryptedExtensions',
      () => ({ edit: add(0) }),
      'extension_in_wrong_message',
      'illegal_parameter',
    ],
    [
      'with a cookie',
      () => ({ edit: add(44, vector16(Buffer.alloc(4))) }),
      'extension_not_offered',
      'unsupported_extension',
    ],
    [
      'with pre_shared_key, which was not offered',
      () => ({ edit: add(41, u16(0)) }),
      'extension_not_offered',
      'unsupported_extension',
    ],
    ['without key_share', () => ({ edit: replace(51, undefined) }), 'missing_key_share', 'missing_extension'],
    ['with a share of another group', () => ({ group: P256 }), 'key_share_not_offered', 'illegal_parameter'],
    ['with a share of all zeros', () => ({ share: Buffer.alloc(32) }), 'bad_key_share', 'illegal_parameter'],
    [
      'with a share that is too short',
      () => ({ share: Buffer.alloc(31, 1) }),
      'bad_key_share',
      'illegal_parameter',
    ],
    [
      'with a point off its curve',
      () => ({ group: P256, share: Buffer.concat([Uint8Array.of(4), Buffer.alloc(64, 1)]) }),
      'bad_key_share',
      'illegal_parameter',
      { keyShareGroups: [P256] },
    ],
    [
      'with a compressed point',
      () => ({ group: P256, share: Buffer.concat([Uint8Array.of(2), Buffer.alloc(32, 1)]) }),
      'bad_key_share',
      'illegal_parameter',
      { keyShareGroups: [P256] },
    ],
    [
      'with bytes behind the share',
      () => ({
        edit: replace(51, Buffer.concat([u16(X25519), vector16(Buffer.alloc(32, 9)), Buffer.alloc(1)])),
      }),
      'trailing_data',
      'decode_error',
    ],
    [
      'with a version that is too long',
      () => ({ edit: replace(43, Buffer.alloc(3, 3)) }),
      'trailing_data',
      'decode_error',
    ],
    [
      'with a version that is too short',
      () => ({ edit: replace(43, Buffer.alloc(1, 3)) }),
      'truncated_message',
      'decode_error',
    ],
  ];
  test.each(cases)('%s', (_name, options, reason, alert, changes = {}) => {
    const stage = started(changes);
    expectRefusal(stage, record(22, stage.server.serverHello(options(stage.server))), reason, alert);
  });

  test('with bytes behind its extensions', () => {
    const stage = started();
    const body = Buffer.concat([stage.server.serverHello().subarray(4), Buffer.alloc(1)]);
    expectRefusal(stage, record(22, message(2, body)), 'trailing_data', 'decode_error');
  });

  test('with more of the flight in its record', () => {
    const stage = started();
    const hello = stage.server.serverHello();
    const both = Buffer.concat([hello, stage.server.encryptedExtensions()]);
    stage.client.feed(record(22, both));
    expect(stage.client.failed).toMatchObject({ reason: 'handshake_bytes_before_key_change', alert: 10 });
  });

  test.each([0, 1, 4, 8, 11, 13, 14, 15, 20, 24, 254])('message %i in its place', (type) => {
    expectRefusal(
      started(),
      record(22, message(type, Buffer.alloc(4))),
      'unexpected_handshake_message',
      'unexpected_message',
    );
  });
});

// RFC 8446 4.1.4: "MUST NOT contain any extensions that were not first offered by the client"; "the client MUST check
// the legacy_version, legacy_session_id_echo, cipher_suite".
describe('a HelloRetryRequest', () => {
  const cases: [string, Parameters<TestServer['retry']>[0], Reason, AlertName][] = [
    ['that changes nothing', {}, 'retry_changes_nothing', 'illegal_parameter'],
    ['for a group that has a share', { group: X25519 }, 'retry_for_bad_group', 'illegal_parameter'],
    ['for a group that was not offered', { group: 0x0019 }, 'retry_for_bad_group', 'illegal_parameter'],
    ['with an empty cookie', { cookie: Buffer.alloc(0) }, 'bad_list_length', 'decode_error'],
    [
      'with a suite that was not offered',
      { group: P256, suite: 0x1304 },
      'suite_not_offered',
      'illegal_parameter',
    ],
    [
      'with another session id',
      { group: P256, sessionId: Buffer.alloc(32) },
      'session_id_not_echoed',
      'illegal_parameter',
    ],
    ['with compression', { group: P256, compression: 1 }, 'bad_compression_method', 'illegal_parameter'],
    [
      'of legacy_version 0x0304',
      { group: P256, legacyVersion: 0x0304 },
      'bad_legacy_version',
      'illegal_parameter',
    ],
    [
      'without supported_versions',
      { group: P256, edit: replace(43, undefined) },
      'version_not_offered',
      'protocol_version',
    ],
    [
      'selecting TLS 1.2',
      { group: P256, edit: replace(43, u16(0x0303)) },
      'bad_selected_version',
      'illegal_parameter',
    ],
    [
      'with an extension of EncryptedExtensions',
      { group: P256, edit: add(0) },
      'extension_in_wrong_message',
      'illegal_parameter',
    ],
    [
      'with an unknown extension',
      { group: P256, edit: add(0x1234) },
      'extension_not_offered',
      'unsupported_extension',
    ],
    [
      'with an extension twice',
      { group: P256, edit: add(51, u16(P256)) },
      'duplicate_extension_in_retry',
      'illegal_parameter',
    ],
    [
      'with a whole share',
      { edit: add(51, Buffer.concat([u16(P256), vector16(Buffer.alloc(65))])) },
      'trailing_data',
      'decode_error',
    ],
  ];
  test.each(cases)('%s', (_name, options, reason, alert) => {
    const stage = started();
    expectRefusal(stage, record(22, stage.server.retry(options)), reason, alert);
  });

  test('of TLS 1.2, though that was offered', () => {
    const stage = started({ versions: [0x0304, 0x0303] });
    const retry = stage.server.retry({ group: P256, edit: replace(43, undefined) });
    expectRefusal(stage, record(22, retry), 'version_not_offered', 'protocol_version');
  });

  test('with a message behind it', () => {
    const stage = started();
    const both = Buffer.concat([stage.server.retry({ group: P256 }), Buffer.of(2)]);
    expectRefusal(stage, record(22, both), 'handshake_bytes_before_key_change', 'unexpected_message');
  });

  function retried(options: Parameters<TestServer['retry']>[0] = { group: P256 }): Stage {
    const stage = started();
    stage.server.receive(stage.client.feed(record(22, stage.server.retry(options))));
    expect(stage.server.hellos).toHaveLength(2);
    return stage;
  }

  test('a second one', () => {
    const stage = retried();
    expectRefusal(
      stage,
      record(22, stage.server.retry({ group: P384 })),
      'second_hello_retry',
      'unexpected_message',
    );
  });
  test.each<[string, ServerHelloOptions, Reason]>([
    ['another suite', { suite: 0x1302 }, 'hello_differs_from_retry'],
    ['no version', { edit: replace(43, undefined) }, 'hello_differs_from_retry'],
    ['another version', { edit: replace(43, u16(0x0303)) }, 'hello_differs_from_retry'],
    ['another legacy_version', { legacyVersion: 0x0304 }, 'bad_legacy_version'],
    ['the group of the first share', { group: X25519 }, 'key_share_not_offered'],
    ['another session id', { sessionId: Buffer.alloc(32) }, 'session_id_not_echoed'],
  ])('then a ServerHello with %s', (_name, options, reason) => {
    const stage = retried();
    expectRefusal(stage, record(22, stage.server.serverHello(options)), reason, 'illegal_parameter');
  });
});
