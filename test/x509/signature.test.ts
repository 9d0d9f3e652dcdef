import { constants, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { nativeCryptoProvider } from '../../src/control/native-crypto-provider.ts';
import { native } from '../../src/native.ts';
import { publicKeyOf, readPublicKey } from '../../src/x509/verify/public-key.ts';
import { SIGNATURE_SCHEMES, schemesForKey, verifySignature } from '../../src/x509/verify/signature.ts';
import { nodeCryptoProvider } from '../support/node-crypto-provider.ts';
import { Random, testSeed } from '../support/random.ts';

interface Group {
  readonly publicKeyDer: string;
  readonly tests: readonly { tcId: number; msg: string; sig: string; result: string; flags: string[] }[];
}
const providers = { native: nativeCryptoProvider(native.crypto), node: nodeCryptoProvider() };
const hex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'));
const spkiOf = (key: KeyObject) => new Uint8Array(key.export({ type: 'spki', format: 'der' }));
const codes = (schemes: readonly number[]) => schemes.map((code) => code.toString(16).padStart(4, '0'));

describe('Signature edge (CVE-2022-21449): Wycheproof', () => {
  const files: [file: string, scheme: number, atLeast: number][] = [
    ['ecdsa_secp256r1_sha256', 0x0403, 450],
    ['ecdsa_secp384r1_sha384', 0x0503, 450],
    ['ed25519', 0x0807, 140],
    ['rsa_pss_2048_sha256_mgf1_32', 0x0804, 100],
    ['rsa_pss_2048_sha384_mgf1_48', 0x0805, 100],
    ['rsa_signature_2048_sha256', 0x0401, 240],
  ];
  for (const [file, scheme, atLeast] of files) {
    test.each(Object.entries(providers))(`${file} through the %s provider`, (name, provider) => {
      const url = new URL(`../vectors/wycheproof/${file}_test.json`, import.meta.url);
      const { testGroups } = JSON.parse(readFileSync(url, 'utf8')) as { testGroups: Group[] };
      let ran = 0;
      for (const group of testGroups) {
        for (const { tcId, msg, sig, result, flags } of group.tests) {
          ran++;
          const verified = provider.verify(scheme, hex(group.publicKeyDer), hex(msg), hex(sig));
          // The one 'acceptable' case has no NULL in its DigestInfo, which RFC 8017 9.2 wants there: libcrypto refuses it too.
          expect(verified, `tcId ${tcId} ${flags}`).toBe(result === 'valid');
        }
      }
      console.log(`wycheproof ${file} through the ${name} provider: ${ran} ran`);
      expect(ran).toBeGreaterThan(atLeast);
    });
  }
});

/** A key of each kind, and the signatures it can make. */
const KEYS = {
  p256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  p384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  p521: generateKeyPairSync('ec', { namedCurve: 'P-521' }),
  ed25519: generateKeyPairSync('ed25519'),
  rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  pss: generateKeyPairSync('rsa-pss', { modulusLength: 2048 }),
  pss384: generateKeyPairSync('rsa-pss', {
    modulusLength: 2048,
    hashAlgorithm: 'sha384',
    mgf1HashAlgorithm: 'sha384',
    saltLength: 48 as never, // a string in @types/node, a number in its documentation
  }),
};

/** Signed by what the code point's registration says, apart from the tables of the code under test. */
function signed(scheme: number, key: KeyObject, data: Uint8Array): Uint8Array | undefined {
  const schemes: Record<number, [type: string, hash: string | null, salt?: number]> = {
    1025: ['rsa', 'sha256'],
    1281: ['rsa', 'sha384'],
    1537: ['rsa', 'sha512'],
    1027: ['ec', 'sha256'],
    1283: ['ec', 'sha384'],
    1539: ['ec', 'sha512'],
    2052: ['rsa', 'sha256', 32],
    2053: ['rsa', 'sha384', 48],
    2054: ['rsa', 'sha512', 64],
    2057: ['rsa-pss', 'sha256', 32],
    2058: ['rsa-pss', 'sha384', 48],
    2059: ['rsa-pss', 'sha512', 64],
    2055: ['ed25519', null],
  };
  const [type, hash, saltLength] = schemes[scheme]!;
  if (key.asymmetricKeyType !== type) return undefined;
  try {
    return saltLength === undefined
      ? sign(hash, data, key)
      : sign(hash, data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });
  } catch {
    return undefined;
  }
}

/** By node:crypto and by the addon, which have to agree. */
function verified(...given: Parameters<typeof verifySignature>): boolean {
  const result = verifySignature(...given);
  expect(providers.native.verify(...given)).toBe(result);
  return result;
}

describe('signatures', () => {
  const data = new TextEncoder().encode('signed by a peer');

  test('each scheme with each kind of key: only what fits, and what was signed, verifies', () => {
    let good = 0;
    for (const [name, { privateKey, publicKey }] of Object.entries(KEYS)) {
      const spki = spkiOf(publicKey);
      for (const made of SIGNATURE_SCHEMES) {
        const signature = signed(made, privateKey, data);
        if (signature === undefined) continue;
        for (const claimed of SIGNATURE_SCHEMES) {
          const message = `${name}: ${made.toString(16)} as ${claimed.toString(16)}`;
          expect(verified(claimed, spki, data, signature), message).toBe(made === claimed);
          expect(providers.node.verify(claimed, spki, data, signature), message).toBe(made === claimed);
        }
        good++;
        expect(verified(made, spki, data.subarray(1), signature)).toBe(false);
      }
    }
    expect(good).toBe(3 * 3 + 1 + 6 + 3 + 1);
  });

  test('RSA-PSS with another salt length is refused', () => {
    for (const saltLength of [0, 20, 31, 33, 64]) {
      const options = { key: KEYS.rsa.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength };
      expect(
        verified(0x0804, spkiOf(KEYS.rsa.publicKey), data, sign('sha256', data, options)),
        `${saltLength}`,
      ).toBe(false);
    }
  });

  test('which schemes a key may use in each version', () => {
    const of = (name: keyof typeof KEYS, version: '1.2' | '1.3') => {
      const read = readPublicKey(spkiOf(KEYS[name].publicKey));
      return 'facts' in read ? codes(schemesForKey(read.facts, version)) : read;
    };
    expect(of('p256', '1.3')).toEqual(['0403']);
    expect(of('p384', '1.3')).toEqual(['0503']);
    expect(of('p521', '1.3')).toEqual(['0603']);
    expect(of('p384', '1.2')).toEqual(['0403', '0503', '0603']);
    expect(of('ed25519', '1.3')).toEqual(['0807']);
    expect(of('ed25519', '1.2')).toEqual(['0807']);
    expect(of('rsa', '1.3')).toEqual(['0804', '0805', '0806']);
    expect(of('rsa', '1.2')).toEqual(['0804', '0805', '0806', '0401', '0501', '0601']);
    expect(of('pss', '1.3')).toEqual(['0809', '080a', '080b']);
    expect(of('pss384', '1.3')).toEqual(['080a']);
  });

  test('keys that are weak, odd or of another kind are told apart and verify nothing', () => {
    const rsa1024 = generateKeyPairSync('rsa', { modulusLength: 1024 });
    const cases: [spki: Uint8Array, why: string][] = [
      [spkiOf(rsa1024.publicKey), 'weak'],
      [spkiOf(generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 }).publicKey), 'taken'],
      [spkiOf(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey), 'unsupported'],
      [
        spkiOf(generateKeyPairSync('ec', { namedCurve: 'P-256', paramEncoding: 'explicit' }).publicKey),
        'unsupported',
      ],
      [spkiOf(generateKeyPairSync('ed448').publicKey), 'unsupported'],
      [spkiOf(generateKeyPairSync('x25519').publicKey), 'unsupported'],
      [Uint8Array.from([...spkiOf(KEYS.p256.publicKey), 0]), 'damaged'],
      [new Uint8Array(0), 'damaged'],
    ];
    // A point off the curve, and the compressed form of the same key.
    const off = spkiOf(KEYS.p256.publicKey);
    off[off.length - 1]! ^= 1;
    cases.push([off, 'damaged']);
    const point = spkiOf(KEYS.p256.publicKey).subarray(27);
    const compressed = hex(
      `3039301306072a8648ce3d020106082a8648ce3d030107032200${point.at(-1)! % 2 === 0 ? '02' : '03'}${Buffer.from(point.subarray(0, 32)).toString('hex')}`,
    );
    cases.push([compressed, 'unsupported']);
    // RFC 4055 1.2 wants the NULL of rsaEncryption.
    const withoutNull = Buffer.from(spkiOf(KEYS.rsa.publicKey)).toString('hex').replace('0500', '');
    cases.push([hex(withoutNull.replace('30820122300d', '30820120300b')), 'unsupported']);

    for (const [index, [spki, why]] of cases.entries()) {
      const read = readPublicKey(spki);
      expect('why' in read ? read.why : 'taken', `case ${index}`).toBe(why);
      expect(publicKeyOf({ spki }) === undefined).toBe(why !== 'taken');
    }
    const signature = sign('sha256', data, rsa1024.privateKey);
    expect(verified(0x0401, spkiOf(rsa1024.publicKey), data, signature)).toBe(false);
  });

  test('an RSA exponent that a peer chose to be costly is refused', () => {
    const key = KEYS.rsa.publicKey.export({ format: 'jwk' });
    for (const [e, why] of [
      [Buffer.from('01ffffffff', 'hex'), 'taken'],
      [Buffer.from('0200000001', 'hex'), 'weak'],
      [Buffer.from('01', 'hex'), 'weak'],
      [Buffer.from('010000', 'hex'), 'weak'],
    ] as const) {
      const modulus = Buffer.from(key.n!, 'base64url');
      const integer = (value: Buffer) => {
        const content = value[0]! >= 0x80 ? Buffer.concat([Buffer.of(0), value]) : value;
        return der(0x02, content);
      };
      const bits = Buffer.concat([Buffer.of(0), der(0x30, Buffer.concat([integer(modulus), integer(e)]))]);
      const spki = der(
        0x30,
        Buffer.concat([Buffer.from('300d06092a864886f70d0101010500', 'hex'), der(0x03, bits)]),
      );
      const read = readPublicKey(spki);
      expect('why' in read ? read.why : 'taken', e.toString('hex')).toBe(why);
    }
  });

  test('mutated keys and signatures never throw and never verify', () => {
    const seed = testSeed();
    const random = new Random(seed);
    for (const [name, { privateKey, publicKey }] of Object.entries(KEYS)) {
      const scheme = SIGNATURE_SCHEMES.find((code) => signed(code, privateKey, data) !== undefined)!;
      const signature = signed(scheme, privateKey, data)!;
      for (let i = 0; i < 200; i++) {
        const bentSignature = Uint8Array.from(signature);
        bentSignature[random.below(bentSignature.length)]! ^= 1 + random.below(255);
        const spki = spkiOf(publicKey);
        expect(verified(scheme, spki, data, bentSignature), `seed ${seed}, ${name}`).toBe(false);
        const bentKey = Uint8Array.from(spki);
        // Not in the parameters of an RSA-PSS key, where a smaller least salt length changes nothing here.
        const from = name === 'pss384' ? spki.length - 256 : 0;
        bentKey[from + random.below(bentKey.length - from)]! ^= 1 + random.below(255);
        // A modulus or exponent of other bytes is another key: it cannot verify this signature.
        expect(verified(scheme, bentKey, data, signature), `seed ${seed}, ${name}`).toBe(false);
        const cut = random.below(signature.length);
        expect(verified(scheme, spki, data, signature.subarray(0, cut))).toBe(false);
        expect(verified(scheme, spki.subarray(0, random.below(spki.length)), data, signature)).toBe(false);
      }
    }
    for (const scheme of [0, 0x0201, 0x0203, 0x0402, 0x0708, 0x0808, 0xffff, -1, Number.NaN]) {
      expect(verifySignature(scheme, spkiOf(KEYS.rsa.publicKey), data, new Uint8Array(256))).toBe(false);
    }
  });
});

function der(tag: number, content: Buffer): Buffer {
  const size = content.length;
  const length = size < 0x80 ? [size] : size < 0x100 ? [0x81, size] : [0x82, size >> 8, size & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}
