/**
 * The traces of RFC 8448, replayed with this server in the place of theirs. Two things of theirs this server does
 * not say are put in its mouth: the supported_groups of their EncryptedExtensions, and their cookie. All else, and every record, is made here from their keys and randomness.
 */
import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test, vi } from 'vitest';
import type { Writer } from '../../src/tls/codec/writer.ts';
import { type HandshakeEvent, type ServerConfig, ServerHandshake } from '../../src/tls/index.ts';
import { Tls13Exporter } from '../../src/tls/schedule/exporter.ts';
import { ResumptionSecret } from '../../src/tls/schedule/key-schedule.ts';
import { ApplicationTrafficSecret } from '../../src/tls/schedule/traffic-secret.ts';
import type { RetryState } from '../../src/tls/server/retry-cookie.ts';
import { encodeSessionState, type SessionState, type SessionTickets } from '../../src/tls/session/index.ts';
import { suiteById } from '../../src/tls/suites.ts';
import { nodeCryptoProvider, P256, X25519 } from '../support/node-crypto-provider.ts';

type Trace = Record<string, string>;
const traces = JSON.parse(
  readFileSync(new URL('../vectors/rfc8448.json', import.meta.url), 'utf8'),
) as Record<string, Trace>;
const hex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'));
const toHex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

const dictated = vi.hoisted(() => ({
  encryptedExtensions: new Uint8Array(0),
  cookie: new Uint8Array(0),
  retryState: undefined as RetryState | undefined,
}));
vi.mock('../../src/tls/codec/encrypted-extensions.ts', () => ({
  writeEncryptedExtensions: (writer: Writer) => writer.bytes(dictated.encryptedExtensions),
}));
// Their client has a key of 1024 bits, which is too weak for ours.
vi.mock(import('../../src/x509/verify/public-key.ts'), async (original) => {
  const { readPublicKey, ...rest } = await original();
  const weak: typeof readPublicKey = (spki) => {
    const read = readPublicKey(spki);
    const key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
    return 'facts' in read ? read : { facts: { type: 'rsa', bits: 1024 }, key };
  };
  return { ...rest, readPublicKey: weak };
});
vi.mock(import('../../src/tls/server/retry-cookie.ts'), async (original) => ({
  ...(await original()),
  sealCookie: (_, state) => {
    dictated.retryState = state;
    return dictated.cookie;
  },
  openCookie: (_, cookie) => (Buffer.from(cookie).equals(dictated.cookie) ? dictated.retryState : undefined),
}));

function replay(trace: Trace, group: number, changes: Partial<ServerConfig> = {}) {
  dictated.encryptedExtensions = hex(trace.encryptedExtensions!);
  // The HelloRetryRequest ends with the cookie and supported_versions.
  const retry = hex(trace.helloRetryRequestMessage ?? '');
  dictated.cookie = retry.slice(56, -6);
  const provider = nodeCryptoProvider({
    // record header 5, message header 4, legacy_version 2
    randomBytes: () => hex(trace.serverHello!).subarray(11, 43),
    privateKey: () => hex(trace.serverPrivateKey!),
  });
  const certificate = hex(trace.certificate!);
  const config: ServerConfig = {
    versions: [0x0304],
    suites: [0x1301],
    groups: [group],
    alpn: [],
    // message header 4, context 1, list 3, length 3; extensions 2 at the end
    selectCredential: () => ({
      chain: [certificate.subarray(11, certificate.length - 2)],
      // message header 4
      schemes: [Number.parseInt(trace.certificateVerify!.slice(8, 12), 16)],
    }),
    maxHandshakeBytes: 65_536,
    ...changes,
  };
  const handshake = new ServerHandshake(config, provider);
  const signature = hex(trace.certificateVerify!).subarray(8);
  const sent: Uint8Array[] = [];
  let established: Extract<HandshakeEvent, { type: 'established' }> | undefined;
  const take = (events: HandshakeEvent[]): void => {
    for (const event of events) {
      if (event.type === 'send') sent.push(event.bytes);
      else if (event.type === 'sign') take(handshake.provideSignature(signature));
      else if (event.type === 'verify') take(handshake.provideVerification(undefined));
      else if (event.type === 'established') established = event;
      else throw new Error(event.type === 'fail' ? `failed: ${event.reason}` : event.type);
    }
  };
  return {
    feed(record: string, portion: number) {
      const bytes = hex(record);
      for (let at = 0; at < bytes.length; at += portion) {
        // A buffer that is overwritten after the call, as an engine's is.
        const lent = bytes.slice(at, at + portion);
        take(handshake.receive(lent));
        lent.fill(0xaa);
      }
    },
    sent: () => toHex(Buffer.concat(sent)),
    established: () => established,
    provider,
  };
}

function expectKeys(trace: Trace, run: ReturnType<typeof replay>): void {
  const event = run.established();
  expect(event).toBeDefined();
  if (event === undefined) return;
  expect(toHex(event.tx.key)).toBe(trace.serverKey);
  expect(toHex(event.tx.iv)).toBe(trace.serverIv);
  expect(toHex(event.rx.key)).toBe(trace.clientKey);
  expect(toHex(event.rx.iv)).toBe(trace.clientIv);
  expect([event.tx.recordSeq, event.rx.recordSeq, event.tx.epoch, event.rx.epoch]).toEqual([0n, 0n, 0, 0]);
  expect(event.leftover).toHaveLength(0);
  const secrets = toHex(event.update);
  expect(secrets).toContain(trace.clientApplicationSecret);
  expect(secrets).toContain(trace.serverApplicationSecret);
  expect(event.update.length).toBeLessThanOrEqual(128);
}

const CHANGE_CIPHER_SPEC = '140303000101';

describe.each([1, 7, 100_000])('in portions of %i bytes', (portion) => {
  test('section 3, simple 1-RTT', () => {
    const trace = traces.simple!;
    const run = replay(trace, X25519);
    run.feed(trace.clientHello!, portion);
    expect(run.sent()).toBe(`${trace.serverHello}${trace.serverFlight}`);
    run.feed(trace.clientFinished!, portion);
    expectKeys(trace, run);
  });

  test('section 5, HelloRetryRequest', () => {
    const trace = traces.helloRetryRequest!;
    const run = replay(trace, P256);
    run.feed(trace.clientHello!, portion);
    expect(run.sent()).toBe(trace.helloRetryRequest);
    run.feed(trace.secondClientHello!, portion);
    expect(run.sent()).toBe(`${trace.helloRetryRequest}${trace.serverHello}${trace.serverFlight}`);
    run.feed(trace.clientFinished!, portion);
    expectKeys(trace, run);
    expect(run.established()?.info).toMatchObject({ group: P256, helloRetry: true, serverName: 'server' });
  });

  test('section 7, compatibility mode', () => {
    const trace = traces.compatibility!;
    const run = replay(trace, X25519);
    run.feed(trace.clientHello!, portion);
    expect(run.sent()).toBe(`${trace.serverHello}${CHANGE_CIPHER_SPEC}${trace.serverFlight}`);
    run.feed(CHANGE_CIPHER_SPEC, portion);
    run.feed(trace.clientFinished!, portion);
    expectKeys(trace, run);
  });
});

describe('section 4: a resumption with early data', () => {
  const trace = { ...traces.simple, ...traces.earlyData };
  const state: SessionState = {
    version: 0x0304,
    suite: 0x1301,
    group: X25519,
    scheme: 0x0804,
    issuedAt: 0,
    authenticatedAt: 0,
    lifetime: 30,
    secret: hex(trace.psk!),
    serverName: 'server',
    alpn: undefined,
    identity: nodeCryptoProvider().hash('sha256', hex(trace.certificate!).subarray(11, -2)),
    context: new Uint8Array(32),
    peerCertificates: [],
  };
  const tickets: SessionTickets = {
    count: 1,
    lifetime: 30,
    now: () => 1000,
    seal: () => undefined,
    open: () => encodeSessionState(state),
    claim: () => true,
  };

  test.each([1, 7, 100_000])('is resumed, in portions of %i bytes, and its early data skipped', (portion) => {
    const run = replay(trace, X25519, { tickets });
    run.feed(trace.clientHello!, portion);
    const answered = `${trace.serverHello}${trace.serverFlight}`;
    expect(run.sent()).toBe(answered);
    // Theirs takes it, and so its client's Finished covers an EndOfEarlyData: here the replay ends.
    run.feed(trace.earlyData!, portion);
    expect(run.sent()).toBe(answered);
    expect(run.established()).toBeUndefined();
  });

  test('is answered in full where its ticket is not known', () => {
    const run = replay(trace, X25519);
    run.feed(trace.clientHello!, 1);
    const answered = run.sent();
    expect(answered).toContain('160303');
    run.feed(trace.earlyData!, 1);
    expect(run.sent()).toBe(answered);
  });

  test('its PSK comes of the resumption secret of section 3', () => {
    const secret = new ResumptionSecret(
      nodeCryptoProvider(),
      suiteById(0x1301)!,
      hex(trace.resumptionMasterSecret!),
    );
    expect(toHex(secret.psk(Buffer.of(0, 0)))).toBe(trace.psk);
  });
});

test('section 3: exporters go by the exporter_master_secret', () => {
  const trace = traces.simple!;
  const run = replay(trace, X25519);
  run.feed(trace.clientHello!, 100_000);
  run.feed(trace.clientFinished!, 100_000);
  const suite = suiteById(0x1301)!;
  const exporter = new Tls13Exporter(nodeCryptoProvider(), suite, hex(trace.exporterMasterSecret!));
  const expected = exporter.export('EXPORTER-test', Buffer.from('context'), 32);
  expect(run.established()?.exporter.export('EXPORTER-test', Buffer.from('context'), 32)).toEqual(expected);
});

test.each([1, 7, 100_000])('section 6, client authentication, in portions of %i bytes', (portion) => {
  const trace = traces.clientAuthentication!;
  const schemes = [...(trace.certificateRequest!.slice(26).match(/.{4}/g) ?? [])].map((hexed) =>
    Number.parseInt(hexed, 16),
  );
  const run = replay(trace, X25519, { clientAuthentication: { required: true, schemes, authorities: [] } });
  run.feed(trace.clientHello!, portion);
  expect(run.sent()).toBe(`${trace.serverHello}${trace.serverFlight}`);
  run.feed(trace.clientFinished!, portion);
  expectKeys(trace, run);
  const [leaf] = run.established()?.info.peerCertificates ?? [];
  expect(toHex(leaf!)).toBe(trace.clientCertificate!.slice(22, -4));
});

test('a traffic secret cannot be read out of what holds it by printing it', async () => {
  const { inspect } = await import('node:util');
  const secret = new ApplicationTrafficSecret(
    nodeCryptoProvider(),
    suiteById(0x1301)!,
    new Uint8Array(32).fill(0x5a),
  );
  expect(inspect(secret, { depth: 9 })).not.toContain('90');
  expect(JSON.stringify(secret)).not.toContain('90');
});
