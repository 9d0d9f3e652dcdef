import {
  constants,
  createECDH,
  createHash,
  createHmac,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  verify,
} from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type HashName, type NativePrivateKey, native } from '../../src/native.ts';
import { Random } from './random.ts';

const { crypto } = native;
const random = new Random();
const plain = (buffer: Uint8Array) => new Uint8Array(buffer);
const code = (name: string) => expect.objectContaining({ code: name });

/** RFC 5869 2.3 and RFC 8446 7.1, slowly. */
function expandLabel(
  hash: HashName,
  secret: Uint8Array,
  label: string,
  context: Uint8Array,
  length: number,
): Uint8Array {
  const name = Buffer.from(`tls13 ${label}`, 'latin1');
  const info = Buffer.concat([
    Buffer.from([length >> 8, length & 255, name.length]),
    name,
    Buffer.from([context.length]),
    context,
  ]);
  let t: Uint8Array = new Uint8Array(0);
  const out: Uint8Array[] = [];
  for (let i = 1, got = 0; got < length; i++) {
    t = createHmac(hash, secret)
      .update(t)
      .update(info)
      .update(Buffer.from([i]))
      .digest();
    out.push(t);
    got += t.length;
  }
  return plain(Buffer.concat(out).subarray(0, length));
}

describe('hashes and HKDF', () => {
  for (const hash of ['sha256', 'sha384'] as const) {
    it(`${hash} equals node:crypto`, () => {
      for (let i = 0; i < 100; i++) {
        const key = random.bytes(random.below(200));
        const data = random.bytes(random.below(400));
        const context = random.bytes(random.below(256));
        const length = random.below(200);
        expect(crypto.hash(hash, data)).toEqual(plain(createHash(hash).update(data).digest()));
        const mac = plain(createHmac(hash, key).update(data).digest());
        expect(crypto.hmac(hash, key, data)).toEqual(mac);
        expect(crypto.hkdfExtract(hash, key, data)).toEqual(mac);
        expect(crypto.hkdfExpandLabel(hash, mac, 'c hs traffic', context, length)).toEqual(
          expandLabel(hash, mac, 'c hs traffic', context, length),
        );
      }
    });
  }

  it('compares', () => {
    expect(crypto.equal(new Uint8Array([1, 2]), new Uint8Array([1, 2]))).toBe(true);
    expect(crypto.equal(new Uint8Array([1, 2]), new Uint8Array([1, 3]))).toBe(false);
    expect(crypto.equal(new Uint8Array([1, 2]), new Uint8Array([1]))).toBe(false);
    expect(crypto.equal(new Uint8Array(0), new Uint8Array(0))).toBe(true);
  });
});

describe('key shares', () => {
  it('x25519 agrees with node:crypto', () => {
    const peer = generateKeyPairSync('x25519');
    const share = crypto.keyShare(
      0x001d,
      plain(peer.publicKey.export({ type: 'spki', format: 'der' }).subarray(-32)),
    );
    expect(share).not.toBe(null);
    const spki = Buffer.concat([
      Buffer.from('302a300506032b656e032100', 'hex'),
      share?.publicKey ?? Buffer.alloc(0),
    ]);
    const publicKey = createPublicKey({ key: spki, format: 'der', type: 'spki' });
    expect(share?.sharedSecret).toEqual(plain(diffieHellman({ privateKey: peer.privateKey, publicKey })));
  });

  for (const [group, curve] of [
    [0x0017, 'prime256v1'],
    [0x0018, 'secp384r1'],
  ] as const) {
    it(`${curve} agrees with node:crypto`, () => {
      const peer = createECDH(curve);
      const share = crypto.keyShare(group, plain(peer.generateKeys()));
      expect(share?.sharedSecret).toEqual(plain(peer.computeSecret(share?.publicKey ?? Buffer.alloc(0))));
    });
  }

  it('refuses what is not a share', () => {
    expect(crypto.keyShare(0x001d, new Uint8Array(32))).toBe(null);
    expect(crypto.keyShare(0x001d, new Uint8Array(31))).toBe(null);
    expect(crypto.keyShare(0x0017, new Uint8Array(65).fill(4))).toBe(null);
    expect(crypto.keyShare(0x0017, new Uint8Array([0]))).toBe(null);
    expect(() => crypto.keyShare(0x0019 as never, new Uint8Array(133))).toThrow(code('ERR_SOCRYPT_ARGUMENT'));
  });
});

describe('private keys', () => {
  const text = random.bytes(150);
  const imported = (key: KeyObject): NativePrivateKey =>
    crypto.importPrivateKey(plain(key.export({ type: 'pkcs8', format: 'der' })));

  it('ECDSA', () => {
    for (const [curve, scheme, hash, bits] of [
      ['P-256', 0x0403, 'sha256', 256],
      ['P-384', 0x0503, 'sha384', 384],
    ] as const) {
      const pair = generateKeyPairSync('ec', { namedCurve: curve });
      const key = imported(pair.privateKey);
      expect([key.type, key.curve, key.bits]).toEqual(['ec', curve, bits]);
      expect(key.publicKey()).toEqual(plain(pair.publicKey.export({ type: 'spki', format: 'der' })));
      for (let i = 0; i < 20; i++)
        expect(verify(hash, text, pair.publicKey, key.sign(scheme, text))).toBe(true);
      expect(() => key.sign(0x0804, text)).toThrow(code('ERR_SOCRYPT_KEY_SCHEME'));
      // TLS 1.2 ties no curve to a hash.
      const [other, otherHash] = scheme === 0x0403 ? [0x0503, 'sha384'] : [0x0403, 'sha256'];
      expect(verify(otherHash, text, pair.publicKey, key.sign(other, text))).toBe(true);
      expect(() => key.sign(0x0401, text)).toThrow(/expected .* fits .* received 0x0/);
    }
  });

  it('RSA', () => {
    const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const key = imported(pair.privateKey);
    expect([key.type, key.curve, key.bits]).toEqual(['rsa', '', 2048]);
    const pss = {
      key: pair.publicKey,
      padding: constants.RSA_PKCS1_PSS_PADDING,
      saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
    };
    expect(verify('sha256', text, pss, key.sign(0x0804, text))).toBe(true);
    expect(verify('sha384', text, pss, key.sign(0x0805, text))).toBe(true);
    expect(verify('sha512', text, pss, key.sign(0x0806, text))).toBe(true);
    expect(verify('sha256', text, pair.publicKey, key.sign(0x0401, text))).toBe(true);
    expect(verify('sha256', text, pss, key.sign(0x0401, text))).toBe(false);
  });

  it('Ed25519', () => {
    const pair = generateKeyPairSync('ed25519');
    const key = imported(pair.privateKey);
    expect(key.type).toBe('ed25519');
    expect(verify(null, text, pair.publicKey, key.sign(0x0807, text))).toBe(true);
  });

  it('refuses with a code, a reason and no byte of the key', () => {
    const refused = (key: Uint8Array) => {
      try {
        crypto.importPrivateKey(key);
      } catch (error) {
        expect(error).toMatchObject({ code: 'ERR_SOCRYPT_KEY_INVALID' });
        return (error as Error).message;
      }
      throw new Error('was not refused');
    };
    const der = (key: KeyObject) => plain(key.export({ type: 'pkcs8', format: 'der' }));
    expect(refused(new Uint8Array(0))).toMatch(/PKCS#8/);
    expect(refused(random.bytes(100))).toMatch(/PKCS#8/);
    expect(refused(der(generateKeyPairSync('x25519').privateKey))).toMatch(/EC, RSA or Ed25519.*X25519/i);
    expect(refused(der(generateKeyPairSync('ec', { namedCurve: 'secp521r1' }).privateKey))).toMatch(
      /P-256 or P-384/,
    );
  });

  it('cannot be made by hand', () => {
    const key = imported(generateKeyPairSync('ed25519').privateKey);
    const Class = key.constructor as new (...parameters: unknown[]) => unknown;
    expect(() => new Class()).toThrow(code('ERR_SOCRYPT_ARGUMENT'));
    expect(() => new Class({})).toThrow(code('ERR_SOCRYPT_ARGUMENT'));
    const sign = key.sign;
    expect(() => sign.call({} as NativePrivateKey, 0x0807, new Uint8Array(1))).toThrow();
  });
});

describe('arguments', () => {
  it('are refused with what was expected and what came', () => {
    const wrong = crypto as unknown as Record<string, (...parameters: unknown[]) => unknown>;
    const call = (name: string, ...parameters: unknown[]) => expect(() => wrong[name]?.(...parameters), name);
    const some = new Uint8Array(16);
    call('hash', 'md5', some).toThrow(/'sha256' or 'sha384'/);
    call('hash', 'sha256', 'text').toThrow(/expected a Uint8Array for data, received a string/);
    call('hash', 'sha256', new Uint16Array(4)).toThrow(/another typed array/);
    call('hash', 'sha256').toThrow(/received nothing/);
    call('hmac', 'sha256', some).toThrow(code('ERR_SOCRYPT_ARGUMENT'));
    call('aeadSeal', 0x1304, some, some, some, some).toThrow(/AEAD suite/);
    call('aeadSeal', 0x1302, some, new Uint8Array(12), some, some).toThrow(
      /32 bytes for key, received 16 bytes/,
    );
    call('aeadSeal', 0x1301, some, some, some, some).toThrow(/12 bytes for nonce/);
    call('hkdfExpandLabel', 'sha256', some, '', some, 32).toThrow(/label/);
    call('hkdfExpandLabel', 'sha256', some, 'x', new Uint8Array(256), 32).toThrow(/context/);
    call('hkdfExpandLabel', 'sha256', some, 'x', some, 1.5).toThrow(/length/);
    call('sealRecords', 0x1301, some, new Uint8Array(12), 0, []).toThrow(/recordSeq/);
    call('sealRecords', 0x1301, some, new Uint8Array(12), -1n, []).toThrow(/recordSeq/);
    call('sealRecords', 0x1301, some, new Uint8Array(12), 0n, [new Uint8Array(16385)]).toThrow(/payloads/);
    expect(crypto.aeadOpen(0x1301, some, new Uint8Array(12), some, new Uint8Array(15))).toBe(null);
  });
});
