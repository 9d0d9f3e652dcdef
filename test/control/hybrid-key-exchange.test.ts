/** X25519MLKEM768 against its two halves by node:crypto. Where node has no ML-KEM, that it is not offered. */
import * as nodeCrypto from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  generateHybridKeyShare,
  hybridAvailable,
  hybridKeyShare,
  X25519MLKEM768,
} from '../../src/control/hybrid-key-exchange.ts';
import { nativeCryptoProvider } from '../../src/control/native-crypto-provider.ts';
import { native } from '../../src/native.ts';
import { groupsNamed } from '../../src/serve/tls-names.ts';

const { crypto } = native;
const PREFIX = 22;

interface MlKem {
  generateKeyPairSync(type: string): { publicKey: nodeCrypto.KeyObject; privateKey: nodeCrypto.KeyObject };
  encapsulate(key: nodeCrypto.KeyObject): { sharedKey: Buffer; ciphertext: Buffer };
  decapsulate(key: nodeCrypto.KeyObject, ciphertext: Uint8Array): Buffer;
}
const node = nodeCrypto as unknown as MlKem;
const raw = (key: nodeCrypto.KeyObject) => Buffer.from(key.export({ format: 'jwk' }).x!, 'base64url');
const x25519 = (x: Uint8Array) =>
  nodeCrypto.createPublicKey({
    format: 'jwk',
    key: { kty: 'OKP', crv: 'X25519', x: Buffer.from(x).toString('base64url') },
  });

test('it is there where node:crypto has ML-KEM', () => {
  expect(hybridAvailable).toBe('encapsulate' in nodeCrypto);
});

test.skipIf(hybridAvailable)('without ML-KEM a share is invalid, and none is made', () => {
  expect(hybridKeyShare(crypto, new Uint8Array(1216))).toBe(null);
  expect(() => generateHybridKeyShare(crypto)).toThrow(/Node 24/);
});

// Skipped on a Node without ML-KEM (before 24).
describe.skipIf(!hybridAvailable)('with ML-KEM', () => {
  const provider = nativeCryptoProvider(crypto);
  const client = () => {
    const kem = node.generateKeyPairSync('ml-kem-768');
    const curve = nodeCrypto.generateKeyPairSync('x25519');
    const spki = kem.publicKey.export({ format: 'der', type: 'spki' });
    return { kem, curve, share: Buffer.concat([spki.subarray(PREFIX), raw(curve.publicKey)]) };
  };

  test('as a server: the secrets of both, ML-KEM first', () => {
    const { kem, curve, share } = client();
    const { publicKey, sharedSecret } = provider.keyShare(X25519MLKEM768, share)!;
    expect(publicKey.length).toBe(1088 + 32);
    const expected = [
      node.decapsulate(kem.privateKey, publicKey.subarray(0, 1088)),
      nodeCrypto.diffieHellman({
        privateKey: curve.privateKey,
        publicKey: x25519(publicKey.subarray(1088)),
      }),
    ];
    expect(Buffer.from(sharedSecret)).toEqual(Buffer.concat(expected));
  });

  test('as a client: the same from the other side', () => {
    const own = provider.generateKeyShare(X25519MLKEM768);
    expect(own.publicKey.length).toBe(1184 + 32);
    const spki = node.generateKeyPairSync('ml-kem-768').publicKey.export({ format: 'der', type: 'spki' });
    Buffer.from(own.publicKey.subarray(0, 1184)).copy(spki, PREFIX);
    const kem = node.encapsulate(nodeCrypto.createPublicKey({ key: spki, format: 'der', type: 'spki' }));
    const curve = nodeCrypto.generateKeyPairSync('x25519');
    const secret = own.agree(Buffer.concat([kem.ciphertext, raw(curve.publicKey)]))!;
    const agreed = nodeCrypto.diffieHellman({
      privateKey: curve.privateKey,
      publicKey: x25519(own.publicKey.subarray(1184)),
    });
    expect(Buffer.from(secret)).toEqual(Buffer.concat([kem.sharedKey, agreed]));
    own.wipe();
    expect(own.agree(new Uint8Array(1120).fill(9))).toBe(null);
  });

  test('shares that are none', () => {
    const { share } = client();
    expect(provider.keyShare(X25519MLKEM768, share.subarray(1))).toBe(null);
    // A coefficient that is not reduced (FIPS 203 7.2), and an X25519 share of small order (RFC 7748 6.1).
    expect(provider.keyShare(X25519MLKEM768, Buffer.from(share).fill(0xff, 0, 3))).toBe(null);
    expect(provider.keyShare(X25519MLKEM768, Buffer.from(share).fill(0, 1184))).toBe(null);
    const own = provider.generateKeyShare(X25519MLKEM768);
    expect(own.agree(new Uint8Array(1119))).toBe(null);
    expect(own.agree(new Uint8Array(1120))).toBe(null);
  });
});

test('a server that is asked for it says at its start when node has it not', () => {
  expect(groupsNamed([])).toEqual([...(hybridAvailable ? [X25519MLKEM768] : []), 0x1d, 0x17, 0x18]);
  if (hybridAvailable) expect(groupsNamed(['x25519mlkem768', 'P-256'])).toEqual([X25519MLKEM768, 0x17]);
  else expect(() => groupsNamed(['x25519mlkem768'])).toThrow(/--group.*Node 24/);
});
