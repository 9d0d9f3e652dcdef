/** TLS 1.2: a server that asks its clients who they are. */
import { sign } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { CertificateRefusal, Reason, ServerConfig } from '../../../src/tls/index.ts';
import { Driver } from '../../support/handshake-driver.ts';
import { sessionTickets } from '../../support/session-tickets.ts';
import { testCredential } from '../../support/test-credentials.ts';
import { CCS, type Hello12, TestClient12 } from '../../support/tls12-client.ts';
import { message, record, u16, vector16 } from '../../support/tls13-client.ts';
import { vector24 } from '../../support/tls13-server.ts';
import { CONFIG_12 } from './support.ts';

const own = testCredential('ecdsa-p256');
const clientAuthentication = {
  required: true,
  schemes: [0x0403, 0x0804, 0x0807],
  authorities: [Buffer.of(0x30, 0)],
};

const verifiedBy = (driver: Driver) =>
  driver.events.flatMap((event) => (event.type === 'verify' ? [event.chain] : []));

interface Script {
  readonly chain?: readonly Uint8Array[];
  readonly scheme?: number;
  readonly signed?: (transcript: Buffer) => Uint8Array;
  readonly signature?: Uint8Array;
  readonly refusal?: CertificateRefusal | undefined;
  readonly changes?: Partial<ServerConfig>;
  readonly options?: Hello12;
}

function run(script: Script = {}) {
  const client = new TestClient12(script.options ?? {});
  const driver = new Driver({ ...CONFIG_12, clientAuthentication, ...script.changes });
  driver.verdict = script.refusal;
  client.receive(driver.feed(client.helloRecord()));
  const { chain = own.chain } = script;
  const say = (whole: Buffer): Buffer => {
    client.transcript.push(whole);
    return record(22, whole);
  };
  client.receive(driver.feed(say(message(11, vector24(...chain.map((der) => vector24(der)))))));
  if (driver.failed === undefined) {
    client.receive(driver.feed(record(22, client.keyExchange())));
    if (chain.length > 0) {
      const transcript = Buffer.concat(client.transcript);
      const signed = script.signed?.(transcript) ?? transcript;
      const signature = script.signature ?? sign('sha256', signed, own.key);
      const proof = message(15, Buffer.concat([u16(script.scheme ?? 0x0403), vector16(signature)]));
      client.receive(driver.feed(say(proof)));
    }
    if (driver.failed === undefined)
      client.receive(driver.feed(Buffer.concat([CCS, client.seal(22, client.finished())])));
  }
  return { client, driver };
}

test('the request, the certificate, its proof over all messages, the verdict', () => {
  const { client, driver } = run();
  expect(client.messages.map(({ type }) => type)).toEqual([2, 11, 12, 13, 14, 20]);
  // ecdsa_sign and rsa_sign, the schemes, one name.
  expect(client.messages[3]!.body.toString('hex')).toBe('02400100060403080408070004' + '00023000');
  expect(verifiedBy(driver)).toEqual([own.chain.map((der) => new Uint8Array(der))]);
  expect(driver.established?.info.peerCertificates).toEqual(verifiedBy(driver)[0]);
});

describe('refusals', () => {
  const cases: [string, Script, Reason, number][] = [
    ['no certificate, where one is required', { chain: [] }, 'no_client_certificate_12', 40],
    ['one that is not a certificate', { chain: [Buffer.of(1)] }, 'malformed_certificate', 50],
    ['a signature of something else', { signed: (all) => all.subarray(1) }, 'bad_signature', 51],
    ['a scheme that was not asked for', { scheme: 0x0503 }, 'scheme_not_offered', 47],
    ["a scheme that is not the key's", { scheme: 0x0804 }, 'scheme_does_not_fit_key', 47],
    ['the verdict', { refusal: 'certificate_unknown_issuer' }, 'certificate_unknown_issuer', 48],
  ];
  test.each(cases)('%s', (_name, script, reason, alert) => {
    const { client, driver } = run(script);
    expect(driver.failed).toMatchObject({ reason, alert });
    expect(client.alerts).toEqual([alert]);
  });
});

test('no certificate, where none is required', () => {
  const { driver } = run({
    chain: [],
    changes: { clientAuthentication: { ...clientAuthentication, required: false } },
  });
  expect(driver.established?.info.peerCertificates).toEqual([]);
  expect(verifiedBy(driver)).toEqual([]);
});

describe('State skipping', () => {
  const begin = () => {
    const client = new TestClient12();
    const driver = new Driver({ ...CONFIG_12, clientAuthentication });
    client.receive(driver.feed(client.helloRecord()));
    return { client, driver };
  };
  test('no ClientKeyExchange in place of the certificate', () => {
    const { client, driver } = begin();
    driver.feed(record(22, client.keyExchange()));
    expect(driver.failed).toMatchObject({ reason: 'unexpected_handshake_message', alert: 10 });
  });
  test('no ChangeCipherSpec in place of the proof', () => {
    const { client, driver } = begin();
    const certificate = message(11, vector24(...own.chain.map((der) => vector24(der))));
    client.transcript.push(certificate);
    driver.feed(record(22, certificate));
    driver.feed(record(22, client.keyExchange()));
    expect(driver.handshake.state).toBe('ExpectCertificateVerify');
    driver.feed(CCS);
    expect(driver.failed).toMatchObject({ reason: 'unexpected_change_cipher_spec', alert: 10 });
  });
  test('no proof of a certificate that did not come', () => {
    const client = new TestClient12();
    const driver = new Driver({
      ...CONFIG_12,
      clientAuthentication: { ...clientAuthentication, required: false },
    });
    client.receive(driver.feed(client.helloRecord()));
    const none = message(11, vector24());
    client.transcript.push(none);
    driver.feed(record(22, none));
    driver.feed(record(22, client.keyExchange()));
    driver.feed(record(22, message(15, Buffer.alloc(20))));
    expect(driver.failed).toMatchObject({ reason: 'unexpected_handshake_message', alert: 10 });
  });
});

describe('a session that was begun with a certificate', () => {
  const begin = () => {
    const tickets = sessionTickets();
    const { client } = run({ changes: { tickets }, options: { ticket: Buffer.alloc(0) } });
    return { client, tickets };
  };
  const resume = (refusal: CertificateRefusal | undefined) => {
    const { client: first, tickets } = begin();
    const client = new TestClient12();
    const driver = new Driver({ ...CONFIG_12, tickets, clientAuthentication });
    driver.verdict = refusal;
    client.receive(driver.feed(client.resume(first, 'ticket')));
    return { client, driver };
  };
  test('is judged again, and resumed', () => {
    const { client, driver } = resume(undefined);
    client.receive(driver.feed(client.resumedFlight()));
    expect(verifiedBy(driver)).toEqual([own.chain.map((der) => new Uint8Array(der))]);
    expect(driver.established?.info).toMatchObject({
      resumption: 'resumed',
      peerCertificates: verifiedBy(driver)[0],
    });
  });
  test('or not, when it is refused by now', () => {
    const { client, driver } = resume('certificate_revoked');
    expect(driver.failed).toBeUndefined();
    expect(client.messages.map(({ type }) => type)).toEqual([2, 11, 12, 13, 14]);
  });
});
