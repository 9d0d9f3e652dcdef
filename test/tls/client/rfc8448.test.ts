/**
 * The traces of RFC 8448, replayed with this client in the place of theirs. Their ClientHellos, which offer things that
 * this client does not, are put in its mouth. All else, and every record, is made here from their keys.
 */
import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test, vi } from 'vitest';
import { bind } from '../../../src/tls/client/resumption.ts';
import {
  type ClientConfig,
  ClientHandshake,
  type HandshakeEvent,
  PostHandshake,
} from '../../../src/tls/index.ts';
import { decodeClientSession } from '../../../src/tls/session/client-session.ts';
import { suiteById } from '../../../src/tls/suites.ts';
import { clientConfig } from '../../support/client-driver.ts';
import { nodeCryptoProvider, P256, X25519 } from '../../support/node-crypto-provider.ts';
import { nonceOf } from '../../support/tls13-client.ts';

type Trace = Record<string, string>;
const traces = JSON.parse(
  readFileSync(new URL('../../vectors/rfc8448.json', import.meta.url), 'utf8'),
) as Record<string, Trace>;
const hex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'));
const toHex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const CHANGE_CIPHER_SPEC = '140303000101';
const RECORD_HEADER = 5;

const dictated = vi.hoisted(() => ({ hellos: [] as Uint8Array[] }));
vi.mock(import('../../../src/tls/codec/hello-writer.ts'), async (original) => ({
  ...(await original()),
  writeClientHello: () => dictated.hellos.shift()!,
}));
// Their server has a key of 1024 bits, which is too weak for ours.
vi.mock(import('../../../src/x509/verify/public-key.ts'), async (original) => {
  const { readPublicKey, ...rest } = await original();
  const weak: typeof readPublicKey = (spki) => {
    const read = readPublicKey(spki);
    const key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
    return 'facts' in read ? read : { facts: { type: 'rsa', bits: 1024 }, key };
  };
  return { ...rest, readPublicKey: weak };
});

function replay(trace: Trace, changes: Partial<ClientConfig> = {}) {
  dictated.hellos = [trace.clientHello, trace.secondClientHello]
    .filter((record) => record !== undefined)
    .map((record) => hex(record).subarray(RECORD_HEADER));
  const hello = dictated.hellos[0]!;
  // message header 4, legacy_version 2, random 32, length 1
  const fields = [hello.subarray(6, 38), hello.subarray(39, 39 + hello[38]!)];
  const provider = nodeCryptoProvider({
    randomBytes: () => fields.shift()!,
    privateKey: (group) => hex(group === P256 ? trace.secondClientPrivateKey! : trace.clientPrivateKey!),
  });
  const config: ClientConfig = {
    ...clientConfig,
    groups: [X25519, P256],
    serverName: 'server',
    compatibilityMode: hello[38] !== 0,
    ...changes,
  };
  const handshake = new ClientHandshake(config, provider);
  const sent: Uint8Array[] = [];
  let established: Extract<HandshakeEvent, { type: 'established' }> | undefined;
  let chain: readonly Uint8Array[] = [];
  const take = (events: readonly HandshakeEvent[]): void => {
    for (const event of events) {
      if (event.type === 'send') sent.push(event.bytes);
      else if (event.type === 'established') established = event;
      else if (event.type === 'sign')
        // message header 4, scheme 2, length 2
        take(handshake.provideSignature(hex(trace.clientCertificateVerify!).subarray(8)));
      else if (event.type === 'verify') {
        chain = event.chain;
        take(handshake.provideVerification(undefined));
      } else throw new Error(event.type === 'fail' ? `failed: ${event.reason}` : event.type);
    }
  };
  take(handshake.start());
  return {
    feed(records: string, portion: number) {
      const bytes = hex(records);
      for (let at = 0; at < bytes.length; at += portion) {
        // A buffer that is overwritten after the call, as an engine's is.
        const lent = bytes.slice(at, at + portion);
        take(handshake.receive(lent));
        lent.fill(0xaa);
      }
    },
    sent: () => toHex(Buffer.concat(sent)),
    expectEstablished() {
      expect(established).toBeDefined();
      const { tx, rx, leftover, update } = established!;
      expect([toHex(tx.key), toHex(tx.iv)]).toEqual([trace.clientKey, trace.clientIv]);
      expect([toHex(rx.key), toHex(rx.iv)]).toEqual([trace.serverKey, trace.serverIv]);
      expect([tx.recordSeq, rx.recordSeq, tx.epoch, rx.epoch]).toEqual([0n, 0n, 0, 0]);
      expect(leftover).toHaveLength(0);
      expect(toHex(update)).toContain(trace.clientApplicationSecret);
      expect(toHex(update)).toContain(trace.serverApplicationSecret);
      expect(trace.certificate).toContain(toHex(chain[0]!));
      return established!;
    },
    provider,
  };
}

describe.each([1, 7, 100_000])('in portions of %i bytes', (portion) => {
  test('section 3, simple 1-RTT, and the ticket that comes after it', () => {
    const trace = traces.simple!;
    const run = replay(trace);
    expect(run.sent()).toBe(trace.clientHello);
    run.feed(`${trace.serverHello}${trace.serverFlight}`, portion);
    expect(run.sent()).toBe(`${trace.clientHello}${trace.clientFinished}`);
    const { rx, update, exporter } = run.expectEstablished();
    exporter.wipe();

    const record = hex(trace.newSessionTicket!);
    const header = record.subarray(0, RECORD_HEADER);
    const nonce = nonceOf({ ...rx, seq: 0n });
    const inner = run.provider.aeadOpen(rx.suite, rx.key, nonce, header, record.subarray(RECORD_HEADER))!;
    const [event] = PostHandshake.open(update, run.provider, () => 0).receive(inner.subarray(0, -1));
    expect(event?.type).toBe('ticket');
    const session = decodeClientSession((event as { session: Uint8Array }).session)!;
    expect(toHex(session.secret)).toBe(traces.earlyData!.psk);
    expect(traces.earlyData!.clientHello).toContain(toHex(session.ticket));
  });

  test('section 5, HelloRetryRequest', () => {
    const trace = traces.helloRetryRequest!;
    const run = replay(trace);
    run.feed(trace.helloRetryRequest!, portion);
    expect(run.sent()).toBe(`${trace.clientHello}${trace.secondClientHello}`);
    run.feed(`${trace.serverHello}${trace.serverFlight}`, portion);
    expect(run.sent()).toBe(`${trace.clientHello}${trace.secondClientHello}${trace.clientFinished}`);
    expect(run.expectEstablished().info).toMatchObject({ group: P256, helloRetry: true });
  });

  test('section 6, client authentication', () => {
    const trace = traces.clientAuthentication!;
    const certificate = hex(trace.clientCertificate!);
    // message header 4, context 1, list 3, length 3; extensions 2 at the end
    const chain = [certificate.subarray(11, certificate.length - 2)];
    const run = replay(trace, { selectCredential: () => ({ chain, schemes: [0x0804] }) });
    run.feed(`${trace.serverHello}${trace.serverFlight}`, portion);
    expect(run.sent()).toBe(`${trace.clientHello}${trace.clientFinished}`);
    run.expectEstablished();
  });

  test('section 7, compatibility mode', () => {
    const trace = traces.compatibility!;
    const run = replay(trace);
    run.feed(`${trace.serverHello}${CHANGE_CIPHER_SPEC}${trace.serverFlight}`, portion);
    expect(run.sent()).toBe(`${trace.clientHello}${CHANGE_CIPHER_SPEC}${trace.clientFinished}`);
    run.expectEstablished();
  });
});

test('section 4: the binder', () => {
  const theirs = hex(traces.earlyData!.clientHello!).subarray(RECORD_HEADER);
  const hello = Uint8Array.from(theirs);
  hello.fill(0, -32);
  const suite = suiteById(0x1301)!;
  const session = {
    version: 0x0304,
    suite: suite.id,
    scheme: 0x0804,
    serverName: 'server',
    alpn: undefined,
    chain: [],
    ocspResponse: undefined,
    sctList: undefined,
    secret: hex(traces.earlyData!.psk!),
    ticket: new Uint8Array(0),
    sessionId: new Uint8Array(0),
    lifetime: 30,
    ageAdd: 0,
    receivedAt: 0,
  };
  bind(nodeCryptoProvider(), { session, suite }, hello, undefined);
  expect(toHex(hello)).toBe(toHex(theirs));
});
