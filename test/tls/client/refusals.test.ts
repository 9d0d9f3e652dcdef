/** What a server may do wrong, one test per misbehaviour: the reason and the alert, and nothing established. */
import { describe, expect, test } from 'vitest';
import type { ClientConfig, Reason } from '../../../src/tls/index.ts';
import { type ClientAnswers, ClientDriver } from '../../support/client-driver.ts';
import { P256, P384, X25519 } from '../../support/node-crypto-provider.ts';
import { testCredential } from '../../support/test-credentials.ts';
import { signWith } from '../../support/tls-echo-server.ts';
import { type Extension, message, record, u16, vector16 } from '../../support/tls13-client.ts';
import { type ServerHelloOptions, TestServer } from '../../support/tls13-server.ts';

const ALERTS = {
  unexpected_message: 10,
  record_overflow: 22,
  handshake_failure: 40,
  bad_certificate: 42,
  unsupported_certificate: 43,
  illegal_parameter: 47,
  unknown_ca: 48,
  decode_error: 50,
  decrypt_error: 51,
  protocol_version: 70,
  internal_error: 80,
  missing_extension: 109,
  unsupported_extension: 110,
} as const;

interface Stage {
  readonly client: ClientDriver;
  readonly server: TestServer;
}

/** The client has said hello. */
function started(changes: Partial<ClientConfig> = {}, answers: ClientAnswers = {}): Stage {
  const client = new ClientDriver(changes, answers);
  const server = new TestServer();
  server.receive(client.start());
  return { client, server };
}

type Protected = 'EncryptedExtensions' | 'Certificate' | 'CertificateVerify' | 'Finished';

/** The client waits for that message (or for a CertificateRequest before a Certificate). */
function reach(
  stage: Protected,
  changes: Partial<ClientConfig> = {},
  server = new TestServer(),
  answers: ClientAnswers = {},
): Stage {
  const client = new ClientDriver(changes, answers);
  server.receive(client.start());
  server.receive(client.feed(record(22, server.serverHello())));
  const say = (whole: Uint8Array) => server.receive(client.feed(server.seal(22, whole)));
  if (stage !== 'EncryptedExtensions') say(server.encryptedExtensions());
  if (stage === 'CertificateVerify' || stage === 'Finished') say(server.certificate());
  if (stage === 'Finished') say(server.certificateVerify());
  expect(client.failed).toBeUndefined();
  return { client, server };
}

function expectRefusal(
  { client, server }: Stage,
  input: Uint8Array,
  reason: Reason,
  alert: keyof typeof ALERTS,
) {
  server.receive(client.feed(input));
  expect(client.failed).toMatchObject({ reason, alert: ALERTS[alert] });
  expect(server.alerts).toEqual([ALERTS[alert]]);
  expect(client.established).toBeUndefined();
  expect(client.handshake.state).toBe('Closed');
}

const replace =
  (type: number, body: Uint8Array | undefined) =>
  (list: Extension[]): Extension[] =>
    list.flatMap((each) => (each[0] !== type ? [each] : body === undefined ? [] : [[type, body] as const]));
const add =
  (type: number, body: Uint8Array = Buffer.alloc(0)) =>
  (list: Extension[]): Extension[] => [...list, [type, body]];

describe('a ServerHello', () => {
  const random = (last: number) =>
    Buffer.concat([Buffer.alloc(24, 1), Buffer.from('DOWNGRD'), Uint8Array.of(last)]);
  const cases: [
    string,
    (server: TestServer) => ServerHelloOptions,
    Reason,
    keyof typeof ALERTS,
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

describe('a HelloRetryRequest', () => {
  const cases: [string, Parameters<TestServer['retry']>[0], Reason, keyof typeof ALERTS][] = [
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

describe('EncryptedExtensions', () => {
  const cases: [string, Extension[], Reason, keyof typeof ALERTS, Partial<ClientConfig>?][] = [
    [
      'with an unknown extension',
      [[0x1234, Buffer.alloc(0)]],
      'extension_not_offered',
      'unsupported_extension',
    ],
    [
      'with ALPN, which was not offered',
      [[16, Buffer.from('0003026832', 'hex')]],
      'extension_not_offered',
      'unsupported_extension',
    ],
    [
      'with a protocol that was not offered',
      [[16, Buffer.from('0003026832', 'hex')]],
      'alpn_not_offered',
      'illegal_parameter',
      { alpn: ['http/1.1'] },
    ],
    [
      'with two protocols',
      [[16, Buffer.from('0006026832026832', 'hex')]],
      'bad_list_length',
      'decode_error',
      { alpn: ['h2'] },
    ],
    [
      'with an empty protocol',
      [[16, Buffer.from('000100', 'hex')]],
      'bad_list_length',
      'decode_error',
      { alpn: ['h2'] },
    ],
    ['with key_share', [[51, Buffer.alloc(2)]], 'extension_in_wrong_message', 'illegal_parameter'],
    ['with supported_versions', [[43, u16(0x0304)]], 'extension_in_wrong_message', 'illegal_parameter'],
    ['with signature_algorithms', [[13, Buffer.alloc(2)]], 'extension_in_wrong_message', 'illegal_parameter'],
    [
      'with psk_key_exchange_modes',
      [[45, Buffer.alloc(2)]],
      'extension_in_wrong_message',
      'illegal_parameter',
    ],
    ['with early_data', [[42, Buffer.alloc(0)]], 'extension_not_offered', 'unsupported_extension'],
    [
      'with extended_master_secret',
      [[23, Buffer.alloc(0)]],
      'extension_in_wrong_message',
      'illegal_parameter',
      { versions: [0x0304, 0x0303] },
    ],
    ['with a server_name that is not empty', [[0, Buffer.alloc(1)]], 'trailing_data', 'decode_error'],
    ['with a record_size_limit below 64', [[28, u16(63)]], 'bad_record_size_limit', 'illegal_parameter'],
    ['with a record_size_limit of three bytes', [[28, Buffer.alloc(3, 1)]], 'trailing_data', 'decode_error'],
    ['with supported_groups that are none', [[10, Buffer.alloc(2)]], 'bad_list_length', 'decode_error'],
    [
      'with an extension twice',
      [
        [0, Buffer.alloc(0)],
        [0, Buffer.alloc(0)],
      ],
      'duplicate_extension',
      'decode_error',
    ],
  ];
  test.each(cases)('%s', (_name, extensions, reason, alert, changes = {}) => {
    const stage = reach('EncryptedExtensions', changes);
    expectRefusal(stage, stage.server.seal(22, stage.server.encryptedExtensions(extensions)), reason, alert);
  });
  test('without their length', () => {
    const stage = reach('EncryptedExtensions');
    expectRefusal(
      stage,
      stage.server.seal(22, message(8, Buffer.alloc(0))),
      'truncated_message',
      'decode_error',
    );
  });
  test('in plaintext', () => {
    const stage = reach('EncryptedExtensions');
    expectRefusal(
      stage,
      record(22, stage.server.encryptedExtensions()),
      'plaintext_handshake_record',
      'unexpected_message',
    );
  });
});

describe('a CertificateRequest', () => {
  const schemes: Extension = [13, vector16(u16(0x0403))];
  test.each<[string, Extension[], Uint8Array, Reason, keyof typeof ALERTS]>([
    ['with a context', [schemes], Buffer.of(1), 'bad_request_context', 'illegal_parameter'],
    [
      'without signature_algorithms',
      [],
      Buffer.alloc(0),
      'missing_signature_algorithms',
      'missing_extension',
    ],
    ['with empty signature_algorithms', [[13, u16(0)]], Buffer.alloc(0), 'bad_list_length', 'decode_error'],
    ['with empty authorities', [schemes, [47, u16(0)]], Buffer.alloc(0), 'bad_list_length', 'decode_error'],
    [
      'with an empty authority',
      [schemes, [47, Buffer.from('00050000000141', 'hex')]],
      Buffer.alloc(0),
      'bad_list_length',
      'decode_error',
    ],
    [
      'with key_share',
      [schemes, [51, Buffer.alloc(0)]],
      Buffer.alloc(0),
      'extension_in_wrong_message',
      'illegal_parameter',
    ],
    ['with an extension twice', [schemes, schemes], Buffer.alloc(0), 'duplicate_extension', 'decode_error'],
  ])('%s', (_name, extensions, context, reason, alert) => {
    const stage = reach('Certificate');
    expectRefusal(
      stage,
      stage.server.seal(22, stage.server.certificateRequest(extensions, context)),
      reason,
      alert,
    );
  });
  test('a second one', () => {
    const stage = reach('Certificate');
    const { server } = stage;
    const both = Buffer.concat([server.certificateRequest(), server.certificateRequest()]);
    expectRefusal(stage, server.seal(22, both), 'unexpected_handshake_message', 'unexpected_message');
  });
  test('for schemes that our key does not have', () => {
    const stage = reach('Certificate', { selectCredential: () => testCredential('ed25519') });
    const { server } = stage;
    server.receive(stage.client.feed(server.seal(22, server.certificateRequest())));
    expectRefusal(
      stage,
      server.seal(22, Buffer.concat([server.certificate(), server.certificateVerify(), server.finished()])),
      'no_common_signature_scheme',
      'handshake_failure',
    );
  });
});

describe('a Certificate', () => {
  const ocsp = Buffer.from('010000053003020100', 'hex');
  const asks = { requestOcsp: true, requestScts: true };
  test.each<
    [string, Parameters<TestServer['certificate']>[0], Reason, keyof typeof ALERTS, Partial<ClientConfig>?]
  >([
    ['with a context', { context: Buffer.of(1) }, 'bad_request_context', 'illegal_parameter'],
    ['without certificates', { chain: [] }, 'empty_certificate', 'decode_error'],
    ['with a certificate of no bytes', { chain: [Buffer.alloc(0)] }, 'bad_list_length', 'decode_error'],
    [
      'with an OCSP response nobody asked for',
      { extensions: [[5, ocsp]] },
      'extension_not_offered',
      'unsupported_extension',
    ],
    [
      'with SCTs nobody asked for',
      { extensions: [[18, Buffer.from('0003000101', 'hex')]] },
      'extension_not_offered',
      'unsupported_extension',
    ],
    [
      'with an unknown extension',
      { extensions: [[0x1234, Buffer.alloc(0)]] },
      'extension_not_offered',
      'unsupported_extension',
    ],
    [
      'with server_name',
      { extensions: [[0, Buffer.alloc(0)]] },
      'extension_in_wrong_message',
      'illegal_parameter',
    ],
    [
      'with an extension twice',
      {
        extensions: [
          [5, ocsp],
          [5, ocsp],
        ],
      },
      'duplicate_extension',
      'decode_error',
      asks,
    ],
    [
      'with a status of another type',
      { extensions: [[5, Buffer.from('0200000130', 'hex')]] },
      'bad_certificate_status',
      'decode_error',
      asks,
    ],
    [
      'with an empty OCSP response',
      { extensions: [[5, Buffer.from('01000000', 'hex')]] },
      'bad_list_length',
      'decode_error',
      asks,
    ],
    ['with an empty list of SCTs', { extensions: [[18, u16(0)]] }, 'bad_list_length', 'decode_error', asks],
    [
      'with an empty SCT',
      { extensions: [[18, Buffer.from('00020000', 'hex')]] },
      'bad_list_length',
      'decode_error',
      asks,
    ],
  ])('%s', (_name, options, reason, alert, changes = {}) => {
    const stage = reach('Certificate', changes);
    expectRefusal(stage, stage.server.seal(22, stage.server.certificate(options)), reason, alert);
  });
  test('left out', () => {
    const stage = reach('Certificate');
    expectRefusal(
      stage,
      stage.server.seal(22, stage.server.finished()),
      'unexpected_handshake_message',
      'unexpected_message',
    );
  });
});

describe('a CertificateVerify', () => {
  const { key } = testCredential('ecdsa-p256');
  const verifyWith = (server: TestServer, options: Parameters<TestServer['certificateVerify']>[0] = {}) => {
    const stage = reach('CertificateVerify', {}, server);
    return { stage, input: server.seal(22, server.certificateVerify(options)) };
  };
  test('of a scheme that was not offered', () => {
    const { stage, input } = verifyWith(new TestServer(), { scheme: 0x0203, sign: () => Buffer.alloc(64) });
    expectRefusal(stage, input, 'scheme_not_offered', 'illegal_parameter');
  });
  test.each([
    ['the hash of another curve', 0x0503],
    ['RSA-PSS with an EC key', 0x0804],
    ['Ed25519 with an EC key', 0x0807],
  ])('of a scheme that the key does not fit: %s', (_name, scheme) => {
    const { stage, input } = verifyWith(new TestServer(), { scheme, sign: () => Buffer.alloc(64) });
    expectRefusal(stage, input, 'scheme_does_not_fit_key', 'illegal_parameter');
  });
  test('of RSA PKCS#1, which TLS 1.3 has not, though it was offered for TLS 1.2', () => {
    const server = new TestServer(testCredential('rsa'));
    const stage = reach('CertificateVerify', { signatureSchemes: [0x0804, 0x0401] }, server);
    const verify = server.certificateVerify({ scheme: 0x0401, sign: () => Buffer.alloc(256) });
    expectRefusal(stage, server.seal(22, verify), 'scheme_does_not_fit_key', 'illegal_parameter');
  });
  test.each([
    ['over something else', (input: Buffer) => signWith(key, 0x0403, Buffer.concat([input, input]))],
    [
      'as a client makes it',
      (input: Buffer) =>
        signWith(key, 0x0403, Buffer.from(input.toString('latin1').replace('server', 'client'), 'latin1')),
    ],
    ['of zeros (CVE-2022-21449)', () => Buffer.from('3006020100020100', 'hex')],
    ['that is empty', () => Buffer.alloc(0)],
  ])('with a signature %s', (_name, signature) => {
    const server = new TestServer();
    const { stage, input } = verifyWith(server, { sign: signature });
    expectRefusal(stage, input, 'bad_signature', 'decrypt_error');
  });
  test('left out (CVE-2020-24613)', () => {
    const stage = reach('CertificateVerify');
    expectRefusal(
      stage,
      stage.server.seal(22, stage.server.finished()),
      'unexpected_handshake_message',
      'unexpected_message',
    );
  });
  test('for a certificate that is none', () => {
    const server = new TestServer({ ...testCredential('ecdsa-p256'), chain: [Buffer.alloc(600, 0x30)] });
    const stage = reach('CertificateVerify', {}, server);
    expectRefusal(
      stage,
      server.seal(22, server.certificateVerify()),
      'malformed_certificate',
      'decode_error',
    );
  });
  test('for a key that is not taken', () => {
    const server = new TestServer(testCredential('rsa-1024'));
    const stage = reach('CertificateVerify', {}, server);
    expectRefusal(
      stage,
      server.seal(22, server.certificateVerify()),
      'unsupported_certificate_key',
      'unsupported_certificate',
    );
  });
  test('for a certificate that the caller refuses', () => {
    const stage = reach('CertificateVerify', {}, new TestServer(), { refusal: 'certificate_unknown_issuer' });
    const { server } = stage;
    expectRefusal(
      stage,
      server.seal(22, server.certificateVerify()),
      'certificate_unknown_issuer',
      'unknown_ca',
    );
  });
});

describe('a Finished', () => {
  test('that is wrong', () => {
    const stage = reach('Finished');
    expectRefusal(
      stage,
      stage.server.seal(22, stage.server.finished(Buffer.alloc(32))),
      'bad_finished',
      'decrypt_error',
    );
  });
  test.each([0, 31, 33, 48])('of %i bytes', (length) => {
    const stage = reach('Finished');
    expectRefusal(
      stage,
      stage.server.seal(22, stage.server.finished(Buffer.alloc(length))),
      'bad_finished_length',
      'decrypt_error',
    );
  });
  test('with a ticket in its record', () => {
    const stage = reach('Finished');
    const both = Buffer.concat([stage.server.finished(), message(4, Buffer.alloc(20))]);
    expectRefusal(
      stage,
      stage.server.seal(22, both),
      'handshake_bytes_before_key_change',
      'unexpected_message',
    );
  });
});

describe('records', () => {
  test('application data before the ServerHello', () => {
    expectRefusal(
      started(),
      record(23, Buffer.alloc(30)),
      'application_data_in_handshake',
      'unexpected_message',
    );
  });
  test('application data before the Finished', () => {
    const stage = reach('Finished');
    expectRefusal(
      stage,
      stage.server.seal(23, Buffer.alloc(30)),
      'application_data_in_handshake',
      'unexpected_message',
    );
  });
  test('ChangeCipherSpecs are dropped, but not without end', () => {
    const stage = started();
    const { client, server } = stage;
    const changeCipherSpec = record(20, Buffer.of(1));
    client.feed(changeCipherSpec);
    client.feed(record(22, server.serverHello()));
    client.feed(changeCipherSpec);
    expect(client.failed).toBeUndefined();
    expectRefusal(stage, changeCipherSpec, 'too_many_change_cipher_specs', 'unexpected_message');
  });
  test('a ChangeCipherSpec to a client of TLS 1.2 before the ServerHello', () => {
    expectRefusal(
      started({ versions: [0x0303] }),
      record(20, Buffer.of(1)),
      'unexpected_change_cipher_spec',
      'unexpected_message',
    );
  });
  test.each([
    ['in compatibility mode, after a ChangeCipherSpec', true, [22, 20]],
    ['else, by itself', false, [22]],
  ])('our first protected record is an alert: %s', (_name, compatibilityMode, plain) => {
    const stage = reach('EncryptedExtensions', { compatibilityMode });
    const input = stage.server.seal(22, message(8, Buffer.alloc(0)));
    expectRefusal(stage, input, 'truncated_message', 'decode_error');
    expect(stage.server.plainRecords).toEqual(plain);
  });
  test('a plaintext alert once records are protected', () => {
    const stage = reach('EncryptedExtensions');
    expectRefusal(stage, record(21, Buffer.of(2, 40)), 'plaintext_alert', 'unexpected_message');
  });
});

describe('callbacks', () => {
  test('a selectCredential that throws ends the handshake and tells the peer nothing', () => {
    const selectCredential = () => {
      throw new Error('secret detail');
    };
    const stage = reach('Certificate', { selectCredential });
    const { server } = stage;
    server.receive(stage.client.feed(server.seal(22, server.certificateRequest())));
    const rest = Buffer.concat([server.certificate(), server.certificateVerify(), server.finished()]);
    expectRefusal(stage, server.seal(22, rest), 'internal_error', 'internal_error');
  });
});
