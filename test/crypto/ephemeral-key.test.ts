/** Shares of a client, and signatures off the event loop, against node:crypto. */
import {
  constants,
  createECDH,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  verify,
} from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type NativeGroup, native } from '../../src/native.ts';

const { crypto } = native;
const X25519 = 0x1d;

/** The other side of an agreement, by node:crypto. */
function peer(group: NativeGroup): { share: Uint8Array; agree(with_: Uint8Array): Buffer } {
  if (group === X25519) {
    const pair = generateKeyPairSync('x25519');
    return {
      share: Buffer.from(pair.publicKey.export({ format: 'jwk' }).x!, 'base64url'),
      agree(with_) {
        const x = Buffer.from(with_).toString('base64url');
        const publicKey = createPublicKey({ format: 'jwk', key: { kty: 'OKP', crv: 'X25519', x } });
        return diffieHellman({ privateKey: pair.privateKey, publicKey });
      },
    };
  }
  const ecdh = createECDH(group === 0x17 ? 'prime256v1' : 'secp384r1');
  return { share: ecdh.generateKeys(), agree: (with_) => ecdh.computeSecret(with_) };
}

describe.each([
  [X25519, 32],
  [0x17, 65],
  [0x18, 97],
] as const)('group %i', (group, length) => {
  it('agrees with node:crypto, as client and as server', () => {
    for (let i = 0; i < 20; i++) {
      const other = peer(group);
      const own = crypto.generateKeyShare(group);
      expect(own.publicKey.length).toBe(length);
      expect(Buffer.from(own.agree(other.share)!)).toEqual(other.agree(own.publicKey));
      const at_once = crypto.keyShare(group, other.share)!;
      expect(Buffer.from(at_once.sharedSecret)).toEqual(other.agree(at_once.publicKey));
    }
  });
  it('makes a new key every time', () => {
    const seen = new Set(
      Array.from({ length: 50 }, () => Buffer.from(crypto.generateKeyShare(group).publicKey).toString('hex')),
    );
    expect(seen.size).toBe(50);
  });
  it('refuses shares that are none, and goes on', () => {
    const own = crypto.generateKeyShare(group);
    const other = peer(group);
    expect(own.agree(new Uint8Array(length))).toBe(null);
    expect(own.agree(other.share.subarray(1))).toBe(null);
    if (group !== X25519) {
      const bent = Uint8Array.from(other.share);
      bent[length - 1]! ^= 1;
      expect(own.agree(bent)).toBe(null);
      const compressed = Uint8Array.from(other.share.subarray(0, (length + 1) / 2));
      compressed[0] = 2;
      expect(own.agree(compressed)).toBe(null);
    }
    expect(Buffer.from(own.agree(other.share)!)).toEqual(other.agree(own.publicKey));
  });
  it('is of no use once wiped', () => {
    const own = crypto.generateKeyShare(group);
    own.wipe();
    own.wipe();
    expect(own.publicKey.length).toBe(0);
    expect(() => own.agree(peer(group).share)).toThrow(
      expect.objectContaining({ code: 'ERR_SOCRYPT_ARGUMENT' }),
    );
  });
});

it('a group that is none, and `new`, are refused', () => {
  expect(() => crypto.generateKeyShare(0x19 as NativeGroup)).toThrow(/group/);
  const made = crypto.generateKeyShare(X25519);
  expect(() => new (made.constructor as new () => unknown)()).toThrow(/generateKeyShare/);
});

describe('signAsync', () => {
  const text = Buffer.from('what is signed');
  const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
  const keys: [string, number, { publicKey: KeyObject; privateKey: KeyObject }, object][] = [
    ['rsa', 0x0804, generateKeyPairSync('rsa', { modulusLength: 2048 }), pss],
    ['ec', 0x0403, generateKeyPairSync('ec', { namedCurve: 'P-256' }), {}],
    ['ed25519', 0x0807, generateKeyPairSync('ed25519'), {}],
  ];
  const imported = (key: KeyObject) => crypto.importPrivateKey(key.export({ format: 'der', type: 'pkcs8' }));

  it.each(keys)('%s: many at once verify', async (type, scheme, pair, options) => {
    const key = imported(pair.privateKey);
    const made = await Promise.all(Array.from({ length: 40 }, () => key.signAsync(scheme, text)));
    const hash = type === 'ed25519' ? null : 'sha256';
    for (const signature of made)
      expect(verify(hash, text, { key: pair.publicKey, ...options }, signature)).toBe(true);
    if (type === 'rsa') expect(new Set(made.map((one) => Buffer.from(one).toString('hex'))).size).toBe(40);
  });
  it('takes its data at once, and leaves the event loop free', async () => {
    const [, scheme, pair, options] = keys[0]!;
    const data = Buffer.from(text);
    const promise = imported(pair.privateKey).signAsync(scheme, data);
    data.fill(0);
    let settled = false;
    if (!(promise instanceof Promise)) throw new Error('made at once');
    promise.then(() => {
      settled = true;
    });
    await Promise.resolve();
    expect(settled).toBe(false);
    expect(verify('sha256', text, { key: pair.publicKey, ...options }, await promise)).toBe(true);
  });
  it('one short signature alone is made at once', () => {
    const key = imported(keys[1]![2].privateKey);
    const made = key.signAsync(0x0403, text);
    expect(made).toBeInstanceOf(Uint8Array);
    expect(verify('sha256', text, keys[1]![2].publicKey, made as Uint8Array)).toBe(true);
  });
  it('refuses a scheme that does not fit', () => {
    const key = imported(keys[1]![2].privateKey);
    expect(() => key.signAsync(0x0804, text)).toThrow(
      expect.objectContaining({ code: 'ERR_SOCRYPT_KEY_SCHEME' }),
    );
    expect(() => key.sign(0x0804, text)).toThrow(expect.objectContaining({ code: 'ERR_SOCRYPT_KEY_SCHEME' }));
  });
});
