/** Sessions as they leave the server and come back: their bytes, what seals them, what they are bound to. */
import { describe, expect, test } from 'vitest';
import {
  decodeSessionState,
  encodeSessionState,
  open,
  type SessionState,
  type SessionState12,
  type SessionState13,
  seal,
  sealingKey,
} from '../../src/tls/session/index.ts';
import { whyNotResumable } from '../../src/tls/session/resumable.ts';
import { nodeCryptoProvider } from '../support/node-crypto-provider.ts';

const provider = nodeCryptoProvider();
const bytes = (length: number, value: number) => new Uint8Array(length).fill(value);

const state13: SessionState13 = {
  version: 0x0304,
  suite: 0x1301,
  group: 0x001d,
  scheme: 0x0403,
  issuedAt: 1_790_000_000_123,
  authenticatedAt: 1_789_999_000_001,
  lifetime: 86_400,
  secret: bytes(32, 1),
  serverName: 'a.example',
  alpn: 'http/1.1',
  identity: bytes(32, 2),
  context: bytes(32, 3),
  peerCertificates: [bytes(700, 4), bytes(500, 5)],
};
const state12: SessionState12 = {
  ...state13,
  version: 0x0303,
  suite: 0xc02b,
  secret: bytes(48, 7),
  peerCertificates: [],
  serverName: undefined,
  alpn: undefined,
  sessionId: bytes(32, 9),
};

describe('the state of a session', () => {
  test.each([state13, state12, { ...state13, secret: bytes(48, 1), alpn: '\xff\0h2' }])(
    'comes back as it went',
    (state: SessionState) => {
      const encoded = encodeSessionState(state)!;
      const decoded = decodeSessionState(encoded)!;
      expect(decoded).toEqual(state);
      encoded.fill(0);
      expect(decoded).toEqual(state);
    },
  );

  test('anything shorter, longer, or of another format is nothing', () => {
    for (const state of [state13, state12]) {
      const encoded = encodeSessionState(state)!;
      for (let length = 0; length < encoded.length; length++) {
        expect(decodeSessionState(encoded.subarray(0, length))).toBeUndefined();
      }
      expect(decodeSessionState(Buffer.concat([encoded, Buffer.of(0)]))).toBeUndefined();
      for (const [at, value] of [
        [0, 2],
        [1, 2],
        [2, 2],
      ] as const) {
        const other = encoded.slice();
        other[at] = value;
        expect(decodeSessionState(other)).toBeUndefined();
      }
    }
  });

  test("a client's chain over 8 KB makes none", () => {
    expect(encodeSessionState({ ...state13, peerCertificates: [bytes(8190, 1)] })).toBeUndefined();
  });
});

describe('a sealed thing', () => {
  const key = sealingKey(provider, bytes(32, 1).fill(7, 0, 16));
  const plaintext = Buffer.from('of no use to anyone');

  test('opens with its key, for its purpose, and only whole', () => {
    const sealed = seal(provider, key, 'ticket', plaintext);
    expect(Buffer.from(open(provider, key, 'ticket', sealed)!)).toEqual(plaintext);
    expect(open(provider, key, 'cookie', sealed)).toBeUndefined();
    const other = sealingKey(provider, bytes(32, 8));
    expect(open(provider, other, 'ticket', sealed)).toBeUndefined();
    // The right name on another key.
    expect(open(provider, { ...other, name: key.name }, 'ticket', sealed)).toBeUndefined();
    for (let i = 0; i < sealed.length; i++) {
      const damaged = sealed.slice();
      damaged[i]! ^= 1;
      expect(open(provider, key, 'ticket', damaged)).toBeUndefined();
      expect(open(provider, key, 'ticket', sealed.subarray(0, i))).toBeUndefined();
    }
  });

  test('is never twice the same, and says nothing of its content', () => {
    const seen = new Set<string>();
    for (let i = 0; i < 1000; i++) {
      const sealed = Buffer.from(seal(provider, key, 'ticket', plaintext));
      expect(sealed.includes(plaintext.subarray(0, 4))).toBe(false);
      seen.add(sealed.subarray(16).toString('hex').slice(0, 48));
    }
    expect(seen.size).toBe(1000);
  });

  test('needs a key of 32 bytes that are not zero', () => {
    for (const secret of [bytes(32, 0), bytes(31, 1), bytes(33, 1), bytes(0, 0)]) {
      expect(() => sealingKey(provider, secret)).toThrow(RangeError);
    }
  });
});

describe('Resumption identity', () => {
  const setting = {
    version: 0x0304,
    serverName: 'a.example',
    alpn: 'http/1.1',
    identity: bytes(32, 2),
    context: bytes(32, 3),
    now: state13.issuedAt + 1000,
    lifetime: 86_400,
  };
  test('the same setting may resume', () => {
    expect(whyNotResumable(state13, setting)).toBeUndefined();
    expect(whyNotResumable(state13, { ...setting, now: state13.issuedAt - 59_000 })).toBeUndefined();
  });
  test.each([
    ['other_version', { version: 0x0303 }],
    ['other_server_name', { serverName: 'b.example' }],
    ['other_server_name', { serverName: undefined }],
    ['other_alpn', { alpn: 'h2' }],
    ['other_alpn', { alpn: undefined }],
    ['other_identity', { identity: bytes(32, 1) }],
    ['other_context', { context: bytes(32, 1) }],
    ['expired', { now: state13.issuedAt + 86_400_000 }],
    ['expired', { now: state13.issuedAt - 61_000 }],
    ['expired', { now: state13.authenticatedAt + 604_800_000, lifetime: 604_800 }],
    ['expired', { lifetime: 1 }],
  ])('%s: %o', (reason, change) => {
    const long = reason === 'expired' ? { ...state13, lifetime: 604_800 } : state13;
    const before = 'lifetime' in change && change.lifetime === 604_800 ? long : state13;
    expect(whyNotResumable(before, { ...setting, ...change })).toBe(reason);
  });
});
