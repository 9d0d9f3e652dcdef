/** What a server may do wrong after its hello, one test per misbehaviour. */
import { describe, expect, test } from 'vitest';
import type { ClientConfig, Reason } from '../../../src/tls/index.ts';
import { type AlertName, expectRefusal, reach, started } from '../../support/client-stages.ts';
import { signWith } from '../../support/sign-with.ts';
import { testCredential } from '../../support/test-credentials.ts';
import { type Extension, message, record, u16, vector16 } from '../../support/tls13-client.ts';
import { TestServer } from '../../support/tls13-server.ts';

// RFC 8446 4.3.1: "The client MUST check EncryptedExtensions for the presence of any forbidden extensions".
describe('EncryptedExtensions', () => {
  const cases: [string, Extension[], Reason, AlertName, Partial<ClientConfig>?][] = [
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
  test.each<[string, Extension[], Uint8Array, Reason, AlertName]>([
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
  test.each<[string, Parameters<TestServer['certificate']>[0], Reason, AlertName, Partial<ClientConfig>?]>([
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

// RFC 8446 4.4.3: "the signature algorithm MUST be one offered in the client's "signature_algorithms" extension";
// "the signature algorithm MUST be compatible with the key"; "The receiver of a CertificateVerify message MUST verify
// the signature field."
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
