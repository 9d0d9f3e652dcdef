/** Sessions of the framework from TypeScript, against node:crypto. */
import {
  constants,
  createCipheriv,
  createDiffieHellmanGroup,
  createECDH,
  createHash,
  createHmac,
  createPublicKey,
  createSign,
  diffieHellman,
  generateKeyPairSync,
  verify as nodeVerify,
} from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { ocf, type SocryptError } from '../../src/ocf/index.ts';
import type { Session } from '../../src/ocf/sessions.ts';
import { Random } from '../crypto/random.ts';

const open: Session[] = [];
function use<S extends Session>(session: S): S {
  open.push(session);
  return session;
}
afterEach(() => {
  for (const session of open.splice(0)) session.close();
});
const coded = (code: string) => expect.objectContaining({ code: `ERR_SOCRYPT_OCF_${code}` });
const random = new Random();

describe('AEAD', () => {
  it.each([
    ['aes-128-gcm', 16],
    ['aes-256-gcm', 32],
    ['chacha20-poly1305', 32],
  ] as const)('%s seals as node:crypto does, and opens it', async (aead, keyLength) => {
    const key = random.bytes(keyLength);
    const session = use(ocf.open({ aead, key }));
    for (const inPlace of [false, true]) {
      const other = use(ocf.open({ aead, key, inPlace }));
      await Promise.all(
        Array.from({ length: 40 }, async () => {
          const iv = random.bytes(12);
          const aad = random.bytes(random.below(20));
          const plaintext = random.bytes(random.below(5000));
          const cipher = createCipheriv(aead as 'aes-128-gcm', key, iv, { authTagLength: 16 });
          cipher.setAAD(aad, { plaintextLength: plaintext.length });
          const expected = Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
          const sealed = await other.seal({ iv, aad, plaintext });
          expect(Buffer.compare(sealed, expected)).toBe(0);
          expect(Buffer.compare(await session.open({ iv, aad, sealed }), plaintext)).toBe(0);
          sealed[random.below(sealed.length)]! ^= 1;
          await expect(session.open({ iv, aad, sealed })).rejects.toEqual(coded('BAD_TAG'));
        }),
      );
    }
  });

  it('calls back once, and tells of failures the same way', async () => {
    const session = use(ocf.open({ aead: 'aes-128-gcm', key: new Uint8Array(16) }));
    const told: [SocryptError | null, number | undefined][] = [];
    const iv = new Uint8Array(12);
    await new Promise<void>((resolve) => {
      session.seal({ iv, plaintext: new Uint8Array(5) }, (error, result) =>
        told.push([error, result?.length]),
      );
      session.open({ iv, sealed: new Uint8Array(20) }, (error, result) => {
        told.push([error, result?.length]);
        session.open({ iv, sealed: new Uint8Array(3) }, (short, nothing) => {
          told.push([short, nothing?.length]);
          setImmediate(resolve);
        });
      });
    });
    expect(told).toEqual([
      [null, 21],
      [coded('BAD_TAG'), undefined],
      [coded('BAD_TAG'), undefined],
    ]);
  });

  it('a stream of results comes in order, and reads no further ahead than asked', async () => {
    const key = new Uint8Array(16);
    const session = use(ocf.open({ aead: 'aes-128-gcm', key, ordered: true }));
    let drawn = 0;
    async function* source() {
      for (let i = 0; i < 100; i++) {
        drawn++;
        yield { iv: new Uint8Array(12).fill(i), plaintext: new Uint8Array(1 + (i % 7)).fill(i) };
      }
    }
    let i = 0;
    for await (const sealed of session.sealAll(source(), 8)) {
      expect(drawn).toBeLessThanOrEqual(i + 8);
      expect(sealed.length).toBe(17 + (i % 7));
      const opened = await session.open({ iv: new Uint8Array(12).fill(i), sealed });
      expect(opened).toEqual(new Uint8Array(1 + (i % 7)).fill(i));
      i++;
    }
    expect(i).toBe(100);
  });

  it('thousands at once, in several bursts and more memory than one has', async () => {
    const session = use(ocf.open({ aead: 'aes-256-gcm', key: new Uint8Array(32) }));
    const big = new Uint8Array(5 << 20);
    const all = await Promise.all([
      session.seal({ iv: new Uint8Array(12), plaintext: big }),
      ...Array.from({ length: 3000 }, (_, i) =>
        session.seal({ iv: new Uint8Array(12), plaintext: new Uint8Array([i, i >> 8]) }),
      ),
    ]);
    expect(all[0]!.length).toBe(big.length + 16);
    expect(new Set(all.slice(1).map((one) => Buffer.from(one).toString('hex'))).size).toBe(3000);
  });
});

describe('ciphers and MACs', () => {
  it('MACs agree with node:crypto where a driver has them, whole and cut', async () => {
    for (const [mac, hash] of [
      ['hmac-sha1', 'sha1'],
      ['hmac-sha256', 'sha256'],
      ['hmac-sha384', 'sha384'],
      ['hmac-sha512', 'sha512'],
    ] as const) {
      const offered = ocf.drivers().some(({ offers }) => offers.some(({ algorithm }) => algorithm === mac));
      const key = random.bytes(20);
      if (!offered) {
        expect(() => ocf.open({ mac, key })).toThrow(coded('NO_DRIVER'));
        continue;
      }
      const session = use(ocf.open({ mac, key }));
      const data = random.bytes(333);
      const expected = createHmac(hash, key).update(data).digest();
      expect(Buffer.compare(await session.compute(data), expected)).toBe(0);
      await session.verify(data, expected);
      expected[3]! ^= 1;
      await expect(session.verify(data, expected)).rejects.toEqual(coded('BAD_TAG'));
      await expect(session.verify(data, expected.subarray(1))).rejects.toEqual(coded('BAD_TAG'));
    }
  });
});

it('hashes as node:crypto does, and has random numbers', async () => {
  for (const hash of ['sha1', 'sha256', 'sha384', 'sha512'] as const) {
    const session = use(ocf.open({ hash }));
    for (const length of [0, 1, 64, 100_000]) {
      const data = random.bytes(length);
      const expected = createHash(hash).update(data).digest();
      expect(Buffer.compare(await session.digest(data), expected)).toBe(0);
    }
  }
  const some = ocf.random(32);
  expect(some).toHaveLength(32);
  expect(ocf.random(32)).not.toEqual(some);
  expect(ocf.random(0)).toHaveLength(0);
  expect(() => ocf.random(65_537)).toThrow(/bytes/);
});

describe('keys', () => {
  const message = Buffer.from('what is signed');
  const der = { format: 'der', type: 'pkcs8' } as const;
  const spki = { format: 'der', type: 'spki' } as const;

  it('signs with RSA, ECDSA and Ed25519 as node:crypto verifies, and verifies what node:crypto signs', async () => {
    const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
    for (const [name, scheme, pair, hash, options] of [
      ['rsa', 0x0804, generateKeyPairSync('rsa', { modulusLength: 2048 }), 'sha256', pss],
      ['rsa', 0x0501, generateKeyPairSync('rsa', { modulusLength: 2048 }), 'sha384', {}],
      ['ecdsa-p256', 0x0403, generateKeyPairSync('ec', { namedCurve: 'P-256' }), 'sha256', {}],
      ['ecdsa-p384', 0x0503, generateKeyPairSync('ec', { namedCurve: 'P-384' }), 'sha384', {}],
      ['ed25519', 0x0807, generateKeyPairSync('ed25519'), null, {}],
    ] as const) {
      const signing = use(ocf.open({ sign: name, privateKey: pair.privateKey.export(der) }));
      const verifying = use(ocf.open({ verify: name, publicKey: pair.publicKey.export(spki) }));
      const made = await Promise.all(Array.from({ length: 9 }, () => signing.sign(scheme, message)));
      for (const signature of made) {
        expect(nodeVerify(hash, message, { key: pair.publicKey, ...options }, signature)).toBe(true);
        await verifying.verify(scheme, message, signature);
      }
      await expect(verifying.verify(scheme, Buffer.from('another'), made[0]!)).rejects.toEqual(
        coded('BAD_TAG'),
      );
      await expect(signing.sign(0x0202, message)).rejects.toEqual(coded('ALGORITHM'));
    }
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const session = use(ocf.open({ verify: 'rsa', publicKey: rsa.publicKey.export(spki) }));
    await session.verify(0x0401, message, createSign('sha256').update(message).sign(rsa.privateKey));
  });

  it('agrees on secrets with node:crypto, with given and with new keys', async () => {
    const peer = generateKeyPairSync('x25519');
    const raw = (key: Buffer) => key.subarray(key.length - 32);
    const ephemeral = use(ocf.open({ agree: 'x25519' }));
    const { secret, publicKey } = await ephemeral.derive(raw(peer.publicKey.export(spki)));
    const ours = createPublicKey({
      key: Buffer.concat([Buffer.from('302a300506032b656e032100', 'hex'), publicKey]),
      ...spki,
    });
    expect(Buffer.compare(diffieHellman({ privateKey: peer.privateKey, publicKey: ours }), secret)).toBe(0);
    await expect(ephemeral.derive(new Uint8Array(32))).rejects.toEqual(coded('BAD_TAG'));
    for (const [agree, curve] of [
      ['ecdh-p256', 'prime256v1'],
      ['ecdh-p384', 'secp384r1'],
    ] as const) {
      const own = createECDH(curve);
      const other = createECDH(curve);
      const point = other.generateKeys();
      own.generateKeys();
      const scalar = Buffer.alloc(agree === 'ecdh-p256' ? 32 : 48);
      own.getPrivateKey().copy(scalar, scalar.length - own.getPrivateKey().length);
      const session = use(ocf.open({ agree, privateKey: scalar }));
      expect(Buffer.compare(await session.derive(point), own.computeSecret(point))).toBe(0);
      point[20]! ^= 1;
      await expect(session.derive(point)).rejects.toEqual(coded('BAD_TAG'));
    }
  });

  it('exponentiates, with and without the Chinese remainder theorem, and agrees by finite fields', async () => {
    const { n, d, p, q, dp, dq, qi } = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey.export({
      format: 'jwk',
    }) as Record<string, string>;
    const bytes = (text: string | undefined) => Buffer.from(text!, 'base64url');
    const base = random.bytes(100);
    const plain = use(ocf.open({ arithmetic: 'modexp' }));
    const crt = use(ocf.open({ arithmetic: 'modexp-crt' }));
    const expected = power(big(base), big(bytes(d)), big(bytes(n)));
    const result = await plain.modExp({ base, exponent: bytes(d), modulus: bytes(n) });
    expect(big(result)).toBe(expected);
    expect(result.length).toBe(128);
    const op = { base, p: bytes(p), q: bytes(q), dp: bytes(dp), dq: bytes(dq), qInverse: bytes(qi) };
    expect(big(await crt.modExp(op))).toBe(expected);
    await expect(plain.modExp({ base, exponent: base, modulus: new Uint8Array([8]) })).rejects.toEqual(
      coded('INVALID'),
    );
    const one = createDiffieHellmanGroup('modp14');
    const two = createDiffieHellmanGroup('modp14');
    one.generateKeys();
    two.generateKeys();
    const dh = use(ocf.open({ arithmetic: 'dh' }));
    const derived = await dh.derive({
      privateKey: one.getPrivateKey(),
      peer: two.getPublicKey(),
      prime: one.getPrime(),
    });
    expect(Buffer.compare(derived, one.computeSecret(two.getPublicKey()))).toBe(0);
  });
});

const big = (bytes: Uint8Array): bigint => BigInt(`0x${Buffer.from(bytes).toString('hex') || '0'}`);
function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  for (let b = base % modulus, e = exponent; e > 0n; e >>= 1n, b = (b * b) % modulus)
    if ((e & 1n) === 1n) result = (result * b) % modulus;
  return result;
}

describe('errors', () => {
  it('bad parameters have a code of their own', () => {
    const key = new Uint8Array(16);
    expect(() => ocf.open({ aead: 'aes-128-gcm', key: new Uint8Array(15) })).toThrow(coded('KEY'));
    expect(() => ocf.open({ sign: 'rsa', privateKey: key })).toThrow(coded('KEY'));
    expect(() => ocf.open({ aead: 'aes-128-gcm', key, place: 'hardware' })).toThrow(coded('NO_DRIVER'));
    expect(() => ocf.open({ mac: 'hmac-sha256', key, tagLength: 3 })).toThrow(coded('TAG_LENGTH'));
    expect(() => ocf.withdraw(99 as never, 'aes-128-gcm')).toThrow(coded('NO_DRIVER'));
  });

  it('a closed session does nothing more, and closing is idempotent', async () => {
    const session = ocf.open({ aead: 'aes-128-gcm', key: new Uint8Array(16) });
    session.close();
    session.close();
    await expect(session.seal({ iv: new Uint8Array(12), plaintext: new Uint8Array(1) })).rejects.toEqual(
      coded('CLOSED'),
    );
  });

  it('what is under way when its session is closed ends as it would have', async () => {
    const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const session = ocf.open({
      sign: 'rsa',
      privateKey: pair.privateKey.export({ format: 'der', type: 'pkcs8' }),
    });
    const signatures = Array.from({ length: 20 }, () => session.sign(0x0804, new Uint8Array(3)));
    await Promise.resolve();
    session.close();
    expect((await Promise.all(signatures)).every((signature) => signature.length === 256)).toBe(true);
  });

  it('a callback that throws is its own mistake', async () => {
    const session = use(ocf.open({ aead: 'aes-128-gcm', key: new Uint8Array(16) }));
    const caught: unknown[] = [];
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.once('uncaughtException', (error) => caught.push(error));
    const iv = new Uint8Array(12);
    try {
      session.seal({ iv, plaintext: new Uint8Array(1) }, () => {
        throw new Error('mine');
      });
      expect((await session.seal({ iv, plaintext: new Uint8Array(1) })).length).toBe(17);
      await new Promise((resolve) => setImmediate(resolve));
    } finally {
      for (const listener of listeners) process.on('uncaughtException', listener);
    }
    expect(caught).toEqual([expect.objectContaining({ message: 'mine' })]);
  });
});
