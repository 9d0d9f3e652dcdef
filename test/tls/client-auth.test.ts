/** Certificates of clients: asked for, proven, judged by the caller, and judged again when a session is resumed. */
import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type CertificateRefusal,
  type ClientAuthentication,
  type ServerConfig,
  ServerHandshake,
} from '../../src/tls/index.ts';
import { config, Driver } from '../support/handshake-driver.ts';
import { nodeCryptoProvider } from '../support/node-crypto-provider.ts';
import { sessionTickets } from '../support/session-tickets.ts';
import { signWith } from '../support/sign-with.ts';
import { type HelloOptions, message, TestClient } from '../support/tls13-client.ts';
import { Workshop } from '../x509/openssl.ts';

const KEYS = {
  p256: [['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'], 0x0403],
  p384: [['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384'], 0x0503],
  ed25519: [['-algorithm', 'ed25519'], 0x0807],
  rsa: [['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'], 0x0804],
} as const;
type Kind = keyof typeof KEYS;
const KINDS = Object.keys(KEYS) as Kind[];
const SCHEMES = [0x0403, 0x0503, 0x0807, 0x0804];
const required: ClientAuthentication = { required: true, schemes: SCHEMES, authorities: [] };
const requested: ClientAuthentication = { ...required, required: false };

const workshop = new Workshop();
afterAll(() => workshop.remove());
const chains = new Map<Kind, Buffer>();
beforeAll(() => {
  for (const kind of KINDS) {
    workshop.key(kind, ...KEYS[kind][0]);
    const pem = readFileSync(workshop.path(workshop.certificate(kind)), 'latin1');
    const body = /-----BEGIN CERTIFICATE-----([^-]+)-----END/.exec(pem)![1]!;
    chains.set(kind, Buffer.from(body, 'base64'));
  }
});
const signer = (kind: Kind, scheme: number = KEYS[kind][1]) => {
  const key = createPrivateKey(readFileSync(workshop.path(`${kind}.key`)));
  return (data: Uint8Array) => signWith(key, scheme, data);
};

function asked(changes: Partial<ServerConfig>, options: HelloOptions = {}) {
  const client = new TestClient({ pskModes: [1], ...options });
  const driver = new Driver(changes);
  client.receive(driver.feed(client.helloRecord()));
  return { client, driver };
}

function answer(kind: Kind, changes: Partial<ServerConfig>, verdict?: CertificateRefusal) {
  const { client, driver } = asked(changes);
  driver.verdict = verdict;
  const messages = [
    client.certificate([chains.get(kind)!]),
    client.certificateVerify(KEYS[kind][1], signer(kind)),
  ];
  client.receive(driver.feed(client.seal(22, Buffer.concat([...messages, client.finished()]))));
  return { client, driver };
}

test.each(KINDS)('%s: proven, then judged, then established', (kind) => {
  const { driver } = answer(kind, { clientAuthentication: required });
  expect(driver.events.map(({ type }) => type)).toEqual(['sign', 'send', 'verify', 'established']);
  const [, , event] = driver.events;
  if (event?.type !== 'verify') throw new Error('expected a verify event');
  expect(event.chain.map((der) => Buffer.from(der))).toEqual([chains.get(kind)]);
  expect(driver.established?.info.peerCertificates.map((der) => Buffer.from(der))).toEqual([
    chains.get(kind),
  ]);
});

test('the request names schemes and authorities', () => {
  const names = [Buffer.from('300d310b3009060355040613025345', 'hex'), Buffer.from('3000', 'hex')];
  const { client } = asked({ clientAuthentication: { ...required, authorities: names } });
  const request = client.messages.find(({ type }) => type === 13)!.body;
  expect(client.messages.map(({ type }) => type)).toEqual([2, 8, 13, 11, 15, 20]);
  expect(request.toString('hex')).toBe(
    // no context; signature_algorithms; certificate_authorities
    '000029000d000a00080403050308070804002f00170015000f300d310b300906035504061302534500023000',
  );
});

test('nothing is asked unless configured, and an unasked Certificate is refused', () => {
  const { client, driver } = asked({});
  expect(client.messages.map(({ type }) => type)).not.toContain(13);
  driver.feed(client.seal(22, client.certificate([chains.get('p256')!])));
  expect(driver.failed).toMatchObject({ reason: 'unexpected_handshake_message', alert: 10 });
});

describe('a client without a certificate', () => {
  test('may go on where one is requested', () => {
    const { client, driver } = asked({ clientAuthentication: requested });
    driver.feed(client.seal(22, Buffer.concat([client.certificate([]), client.finished()])));
    expect(driver.established?.info.peerCertificates).toEqual([]);
  });
  test('is refused where one is required', () => {
    const { client, driver } = asked({ clientAuthentication: required });
    client.receive(driver.feed(client.seal(22, client.certificate([]))));
    expect(driver.failed).toMatchObject({ reason: 'no_client_certificate', alert: 116 });
    expect(client.alerts).toEqual([116]);
  });
});

describe('refused is', () => {
  const feed = (make: (client: TestClient) => Buffer) => {
    const { client, driver } = asked({ clientAuthentication: required });
    driver.feed(client.seal(22, make(client)));
    return driver.failed;
  };
  test.each<[string, number, (client: TestClient) => Buffer]>([
    ['unexpected_handshake_message', 10, (client) => client.finished()],
    ['unexpected_handshake_message', 10, (client) => client.certificateVerify(0x0403, signer('p256'))],
    ['bad_request_context', 47, (client) => client.certificate([chains.get('p256')!], Buffer.of(1))],
    [
      'extension_not_offered',
      110,
      (client) => client.certificate([chains.get('p256')!], undefined, Buffer.from('00050000', 'hex')),
    ],
    ['malformed_certificate', 50, (client) => client.certificate([Buffer.alloc(40, 0x30)])],
    ['bad_list_length', 50, () => message(11, Buffer.from('00000005000000' + '0000', 'hex'))],
    ['truncated_message', 50, () => message(11, Buffer.from('0000ff', 'hex'))],
    ['trailing_data', 50, () => message(11, Buffer.from('0000000000', 'hex'))],
  ])('%s (%i)', (reason, alert, make) => {
    expect(feed(make)).toMatchObject({ reason, alert });
  });

  const verify = (kind: Kind, make: (client: TestClient) => Buffer) =>
    feed((client) => Buffer.concat([client.certificate([chains.get(kind)!]), make(client)]));
  // RFC 8446 4.4.3: "MUST be one of those present in the supported_signature_algorithms field".
  test('a CertificateVerify in a scheme that was not asked for', () => {
    const failed = verify('rsa', (client) => client.certificateVerify(0x0805, signer('rsa', 0x0805)));
    expect(failed).toMatchObject({ reason: 'scheme_not_offered', alert: 47 });
  });
  test('a CertificateVerify in a scheme of another curve', () => {
    const failed = verify('p384', (client) => client.certificateVerify(0x0403, signer('p384', 0x0403)));
    expect(failed).toMatchObject({ reason: 'scheme_does_not_fit_key', alert: 47 });
  });
  // RFC 8446 4.4.3: "If the verification fails, the receiver MUST terminate the handshake with a "decrypt_error"
  // alert."
  test('a signature by another key, over something else, or damaged', () => {
    for (const make of [
      (client: TestClient) => client.certificateVerify(0x0403, () => signer('p256')(Buffer.of(1))),
      (client: TestClient) => client.certificateVerify(0x0403, () => Buffer.alloc(0)),
      // CVE-2022-21449: r = s = 0
      (client: TestClient) => client.certificateVerify(0x0403, () => Buffer.from('3006020100020100', 'hex')),
    ]) {
      expect(verify('p256', make)).toMatchObject({ reason: 'bad_signature', alert: 51 });
    }
  });
  test('a Finished in the place of CertificateVerify', () => {
    const failed = verify('p256', (client) => client.finished());
    expect(failed).toMatchObject({ reason: 'unexpected_handshake_message' });
  });
  test('a key that no scheme fits', () => {
    workshop.key('k1', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:secp256k1');
    const pem = readFileSync(workshop.path(workshop.certificate('k1')), 'latin1');
    const der = Buffer.from(/-----BEGIN CERTIFICATE-----([^-]+)-----END/.exec(pem)![1]!, 'base64');
    const failed = feed((client) =>
      Buffer.concat([client.certificate([der]), client.certificateVerify(0x0403, () => Buffer.alloc(70))]),
    );
    expect(failed).toMatchObject({ reason: 'unsupported_certificate_key', alert: 43 });
  });
});

test.each<[CertificateRefusal, number]>([
  ['certificate_bad', 42],
  ['certificate_unsupported', 43],
  ['certificate_revoked', 44],
  ['certificate_expired', 45],
  ['certificate_unknown', 46],
  ['certificate_unknown_issuer', 48],
  ['certificate_refused', 49],
])('the verdict %s is the alert %i', (verdict, alert) => {
  const { client, driver } = answer('p256', { clientAuthentication: required }, verdict);
  expect(driver.failed).toMatchObject({ reason: verdict, alert });
  expect(client.alerts).toEqual([alert]);
});

test('input waits while the verdict is awaited', () => {
  const client = new TestClient();
  const handshake = new ServerHandshake({ ...config, clientAuthentication: required }, nodeCryptoProvider());
  const [request] = handshake.receive(client.helloRecord());
  if (request?.type !== 'sign') throw new Error('expected a sign event');
  for (const event of handshake.provideSignature(signer('p256')(request.data))) {
    if (event.type === 'send') client.receive(event.bytes);
  }
  const flight = Buffer.concat([
    client.certificate([chains.get('p256')!]),
    client.certificateVerify(0x0403, signer('p256')),
  ]);
  expect(handshake.receive(client.seal(22, flight)).map(({ type }) => type)).toEqual(['verify']);
  expect(handshake.receive(client.seal(22, client.finished()))).toEqual([]);
  expect(handshake.provideVerification(undefined).map(({ type }) => type)).toEqual(['established']);
});

describe('Resumption identity: the certificate of a client', () => {
  const sessionsOf = (changes: Partial<ServerConfig>) => {
    const { client, driver } = answer('p256', changes);
    expect(driver.established?.info.tickets).toBe(2);
    return client.sessions;
  };
  test('is in its session, and is judged anew', () => {
    const changes = { clientAuthentication: required, tickets: sessionTickets() };
    const sessions = sessionsOf(changes);
    const { client, driver } = asked(changes, { sessions: [sessions[0]!] });
    expect(driver.events.map(({ type }) => type)).toEqual(['verify', 'send']);
    expect(client.messages.map(({ type }) => type)).toEqual([2, 8, 20]);
    client.receive(driver.feed(client.seal(22, client.finished())));
    const { info } = driver.established!;
    expect(info.resumption).toBe('resumed');
    expect(info.peerCertificates.map((der) => Buffer.from(der))).toEqual([chains.get('p256')]);
  });

  test('refused by now, it costs the session: the client is asked again', () => {
    const changes = { clientAuthentication: required, tickets: sessionTickets() };
    const [session] = sessionsOf(changes);
    const client = new TestClient({ pskModes: [1], sessions: [session!] });
    const driver = new Driver(changes);
    driver.verdict = 'certificate_revoked';
    client.receive(driver.feed(client.helloRecord()));
    expect(client.messages.map(({ type }) => type)).toEqual([2, 8, 13, 11, 15, 20]);
    driver.verdict = undefined;
    const flight = [
      client.certificate([chains.get('p256')!]),
      client.certificateVerify(0x0403, signer('p256')),
    ];
    client.receive(driver.feed(client.seal(22, Buffer.concat([...flight, client.finished()]))));
    expect(driver.established?.info.resumption).toBe('peer_refused');
  });

  test('a session without one is of no use where one is required', () => {
    const tickets = sessionTickets();
    const { client, driver } = asked({ clientAuthentication: requested, tickets });
    client.receive(driver.feed(client.seal(22, Buffer.concat([client.certificate([]), client.finished()]))));
    const [session] = client.sessions;
    const later = asked({ clientAuthentication: required, tickets }, { sessions: [session!] });
    expect(later.client.messages.map(({ type }) => type)).toContain(13);
  });

  test('a chain too long for a ticket makes none', () => {
    const tickets = sessionTickets();
    const { client, driver } = asked({ clientAuthentication: required, tickets });
    const chain = [chains.get('p256')!, Buffer.alloc(9000, 0x30)];
    const flight = [client.certificate(chain), client.certificateVerify(0x0403, signer('p256'))];
    client.receive(driver.feed(client.seal(22, Buffer.concat([...flight, client.finished()]))));
    expect(driver.established?.info).toMatchObject({ tickets: 0 });
  });
});

test('in portions of one byte', () => {
  const client = new TestClient();
  const driver = new Driver({ clientAuthentication: required });
  const feed = (bytes: Buffer) => {
    for (const byte of bytes) client.receive(driver.feed(Buffer.of(byte)));
  };
  feed(client.helloRecord());
  feed(client.seal(22, client.certificate([chains.get('rsa')!])));
  feed(client.seal(22, client.certificateVerify(0x0804, signer('rsa'))));
  feed(client.seal(22, client.finished()));
  expect(driver.established).toBeDefined();
});
