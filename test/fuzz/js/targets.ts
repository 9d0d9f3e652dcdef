/**
 * What a peer, or a file that somebody was given, says to us: each target takes any bytes, and throws only for what must
 * not be. Refusals with a reason are no findings.
 */
import { isDeepStrictEqual } from 'node:util';
import { isSocryptError } from '../../../src/errors.ts';
import { asTlsError, TlsError } from '../../../src/tls/alerts.ts';
import { readCertificate, readCertificateVerify } from '../../../src/tls/codec/certificate.ts';
import { readCertificateRequest } from '../../../src/tls/codec/certificate-request.ts';
import { readClientHello } from '../../../src/tls/codec/client-hello.ts';
import { readNewSessionTicket } from '../../../src/tls/codec/new-session-ticket.ts';
import { readServerHello } from '../../../src/tls/codec/server-hello.ts';
import { readCertificate12 } from '../../../src/tls/codec/tls12/certificate.ts';
import { readCertificateRequest12 } from '../../../src/tls/codec/tls12/certificate-request.ts';
import { readClientKeyExchange, readServerKeyExchange } from '../../../src/tls/codec/tls12/key-exchange.ts';
import { readNewSessionTicket12 } from '../../../src/tls/codec/tls12/new-session-ticket.ts';
import { type ConnectionEvent, PostHandshake, TlsConnection } from '../../../src/tls/index.ts';
import { openCookie } from '../../../src/tls/server/retry-cookie.ts';
import { decodeSessionState, encodeSessionState } from '../../../src/tls/session/session-state.ts';
import { parseCertificate } from '../../../src/x509/certificate.ts';
import { readPem } from '../../../src/x509/pem.ts';
import { readPrivateKey } from '../../../src/x509/private-key.ts';
import { readRevocationLists } from '../../../src/x509/verify/crl.ts';
import { TrustAnchors } from '../../../src/x509/verify/link.ts';
import { verifyChain } from '../../../src/x509/verify/verify-chain.ts';
import { nodeCryptoProvider } from '../../support/node-crypto-provider.ts';
import { Random } from '../../support/random.ts';
import type { Target } from './fuzzer.ts';

const text = (...words: string[]) => words.map((word) => Uint8Array.from(Buffer.from(word, 'latin1')));
const hex = (...words: string[]) => words.map((word) => Uint8Array.from(Buffer.from(word, 'hex')));

/** Code points of RFC 8446 that parsers ask for, as they stand in messages. */
const TLS_WORDS = hex(
  ...[
    '0303',
    '0304',
    '0301',
    '1301',
    '1302',
    '1303',
    'c02b',
    'cca9',
    '00ff',
    '5600',
    '001d',
    '0017',
    '0018',
    '11ec',
  ],
  ...['0000', '0001', '0005', '000a', '000b', '000d', '0010', '0012', '0017', '001c', '0023', '0029', '002a'],
  ...[
    '002b',
    '002c',
    '002d',
    '002f',
    '0031',
    '0032',
    '0033',
    'ff01',
    '0403',
    '0804',
    '0807',
    '01000000',
    '02000000',
  ],
  ...['1603010200', '1603030200', '140303000101', '1703030017', '15030300020100', '18000001', '1800000101'],
  // The random of a HelloRetryRequest (RFC 8446 4.1.3).
  'cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c',
);

/** Object identifiers and tags of RFC 5280. */
const DER_WORDS = hex(
  ...['0603551d0e', '0603551d0f', '0603551d11', '0603551d13', '0603551d14', '0603551d15', '0603551d1c'],
  ...['0603551d1e', '0603551d1f', '0603551d23', '0603551d25', '06082b06010505070301', '06082b06010505070302'],
  ...[
    '06082a8648ce3d030107',
    '06072a8648ce3d0201',
    '06092a864886f70d010101',
    '06032b6570',
    '0101ff',
    '0500',
    '020101',
  ],
  ...['a003020102', '170d', '180f', '3082', '0482', '0382', '8200', '8704', '8600', 'a400', '30800000'],
);

const PEM_WORDS = text(
  ...[
    '-----BEGIN ',
    '-----END ',
    '-----',
    'CERTIFICATE-----',
    'PRIVATE KEY-----',
    'EC PRIVATE KEY-----',
    '\n',
    '\r\n',
  ],
  ...[
    'RSA PRIVATE KEY-----',
    'ENCRYPTED PRIVATE KEY-----',
    'X509 CRL-----',
    'Proc-Type: 4,ENCRYPTED\n',
    '=',
    '==',
    '\t',
  ],
);

/** Gives what `read` gives; undefined where the peer was refused for a reason. */
function parsed<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof TlsError && asTlsError(error).reason !== 'internal_error') return undefined;
    throw error;
  }
}

function refusable(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    if (!isSocryptError(error)) throw error;
  }
}

/** Whatever is read is not longer than what it was read from. */
function requireBounded(value: unknown, most: number): void {
  const size = (part: unknown): number => {
    if (part instanceof Uint8Array || typeof part === 'string') return part.length;
    if (Array.isArray(part)) return part.reduce<number>((sum, one) => sum + size(one), 0);
    if (part === null || typeof part !== 'object' || part instanceof Map) return 0;
    return Object.values(part).reduce<number>((sum, one) => sum + size(one), 0);
  };
  if (size(value) > most) throw new Error(`${size(value)} bytes were read from ${most}`);
}

function codec(read: (body: Uint8Array) => unknown): Target {
  const run = (input: Uint8Array) => {
    const before = Buffer.from(input);
    requireBounded(
      parsed(() => read(input)),
      4 * input.length + 64,
    );
    if (!before.equals(input)) throw new Error('reading has changed the bytes');
  };
  return { run, words: TLS_WORDS };
}

/** First byte: which of several readers. */
function oneOf(...readers: ((body: Uint8Array) => unknown)[]): Target {
  return {
    words: TLS_WORDS,
    run: (input) => codec(readers[(input[0] ?? 0) % readers.length]!).run(input.subarray(1)),
  };
}

/** The same in every run, so that what is found once is found again. */
function seeded() {
  const random = new Random(7);
  return nodeCryptoProvider({
    randomBytes: (length) => Uint8Array.from(random.bytes(length)),
    privateKey: () => Uint8Array.from([0, ...random.bytes(31)]),
  });
}

const COMMON = {
  versions: [0x0304, 0x0303],
  suites: [0x1301, 0x1302, 0x1303, 0xc02b, 0xcca9],
  groups: [0x001d, 0x0017],
  alpn: ['http/1.1'],
  maxHandshakeBytes: 16_384,
};
const credential = { chain: [new Uint8Array(64).fill(0x30)], schemes: [0x0403] };

/** First byte: the size of the portions. The rest: what the peer sends. Signatures are nonsense, which we do not check. */
function connection(make: () => TlsConnection): Target {
  const run = (input: Uint8Array): void => {
    const tls = make();
    let isOver = false;
    const take = (events: readonly ConnectionEvent[]): void => {
      for (const event of events) {
        if (isOver) throw new Error(`${event.type} after the end`);
        if (event.type === 'sign') take(tls.provideSignature(new Uint8Array(70)));
        if (event.type === 'verify') take(tls.provideVerification(undefined));
        if (event.type === 'established') throw new Error('established without the keys');
        if (event.type !== 'fail') continue;
        isOver = true;
        if (event.reason === 'internal_error') throw new Error('internal_error');
      }
    };
    take(tls.start());
    const portion = 1 + 4 * (input[0] ?? 0);
    for (let at = 1; at < input.length; at += portion) {
      take(tls.receive(Uint8Array.from(input.subarray(at, at + portion))));
    }
    take(tls.end());
    tls.destroy();
  };
  return { run, words: TLS_WORDS };
}

/** Secrets of AES-128-GCM of zeros, in the layout of src/tls/traffic.ts. */
const UPDATE_SECRETS = Uint8Array.of(1, 0x13, 0x01, ...new Uint8Array(13 + 64));

/** First byte: the size of the fragments. The rest: content of handshake records after the handshake. */
const postHandshake: Target = {
  words: TLS_WORDS,
  run: (input) => {
    const provider = seeded();
    let blob: Uint8Array = UPDATE_SECRETS;
    const size = 1 + ((input[0] ?? 0) % 12);
    for (let at = 1; at < input.length && at < 200; at += size) {
      const state = PostHandshake.open(blob, provider);
      const events = state.receive(input.subarray(at, at + size));
      const failed = events.find(({ type }) => type === 'fail');
      if (failed?.type === 'fail') {
        if (failed.reason === 'internal_error') throw new Error('internal_error');
        return;
      }
      blob = state.blob();
      if (blob.length > 128) throw new Error('the state of a connection has grown');
    }
  },
};

/** Strings of a DER Name and such are data; what must hold is that nothing but a coded error comes. */
const certificate: Target = {
  words: DER_WORDS,
  der: true,
  run: (input) => refusable(() => parseCertificate(input, 'fuzz')),
};

const NO_ANCHORS = new TrustAnchors([]);

const chain: Target = {
  words: DER_WORDS,
  der: true,
  run: (input) => {
    const verdict = verifyChain({
      chain: [input, input],
      anchors: NO_ANCHORS,
      purpose: 'serverAuth',
      serverName: 'localhost',
      now: new Date('2026-06-01T00:00:00Z'),
    });
    if (verdict.ok) throw new Error('verified without an anchor');
    if ((verdict.reason as string) === 'internal_error') throw new Error('internal_error');
  },
};

const sealer = (input: Uint8Array) => ({ now: () => 0, seal: () => undefined, open: () => input });

export const TARGETS: Readonly<Record<string, Target>> = {
  'client-hello': codec(readClientHello),
  'server-hello': codec(readServerHello),
  certificate: oneOf(readCertificate, readCertificateVerify, readCertificateRequest, readNewSessionTicket),
  'tls12-messages': oneOf(
    readCertificate12,
    readCertificateRequest12,
    readClientKeyExchange,
    readServerKeyExchange,
    readNewSessionTicket12,
  ),
  'session-state': {
    words: TLS_WORDS,
    run: (input) => {
      const state = decodeSessionState(input);
      if (state === undefined) return;
      const again = encodeSessionState(state);
      if (again !== undefined && !isDeepStrictEqual(decodeSessionState(again), state)) {
        throw new Error('what is encoded decodes to something else');
      }
    },
  },
  cookie: {
    words: TLS_WORDS,
    run: (input) => void parsed(() => openCookie(sealer(input), input)),
  },
  server: connection(() => TlsConnection.server({ ...COMMON, selectCredential: () => credential }, seeded())),
  client: connection(() =>
    TlsConnection.client(
      {
        ...COMMON,
        serverName: 'localhost',
        signatureSchemes: [0x0403, 0x0804],
        keyShareGroups: [0x001d],
        requestOcsp: true,
        requestScts: true,
        certificateAuthorities: [],
        compatibilityMode: true,
        selectCredential: () => undefined,
      },
      seeded(),
    ),
  ),
  'post-handshake': postHandshake,
  'x509-certificate': certificate,
  'x509-chain': chain,
  'x509-crl': {
    words: DER_WORDS,
    der: true,
    run: (input) => refusable(() => readRevocationLists(input, 'fuzz')),
  },
  'private-key': {
    words: DER_WORDS,
    der: true,
    run: (input) => refusable(() => readPrivateKey(input, 'fuzz')),
  },
  pem: { words: PEM_WORDS, run: (input) => refusable(() => readPem(input, 'fuzz')) },
};
