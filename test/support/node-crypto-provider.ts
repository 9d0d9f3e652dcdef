/** The handshake's cryptography by `node:crypto`: slower than the native one, and independent of it. */
import {
  constants,
  createCipheriv,
  createDecipheriv,
  createECDH,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  createVerify,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  timingSafeEqual,
  verify,
} from 'node:crypto';
import type { CryptoProvider } from '../../src/tls/crypto-provider.ts';

export const X25519 = 0x001d;
export const P256 = 0x0017;
export const P384 = 0x0018;

const CIPHERS: Record<number, string> = {
  4865: 'aes-128-gcm',
  4866: 'aes-256-gcm',
  4867: 'chacha20-poly1305',
};
const CURVES: Record<number, string> = { [P256]: 'prime256v1', [P384]: 'secp384r1' };
const X25519_PRIVATE_PREFIX = Buffer.from('302e020100300506032b656e04220420', 'hex');
const X25519_PUBLIC_PREFIX = Buffer.from('302a300506032b656e032100', 'hex');

export interface Injected {
  randomBytes?(length: number): Uint8Array;
  /** Raw ephemeral private key to use in place of a fresh one. */
  privateKey?(group: number): Uint8Array;
}

export function nodeCryptoProvider(injected: Injected = {}): CryptoProvider {
  return {
    randomBytes: injected.randomBytes ?? ((length) => randomBytes(length)),
    keyShare: (group, peerPublic) => {
      try {
        const ephemeral = new Ephemeral(group, injected.privateKey?.(group));
        return { publicKey: ephemeral.publicKey, sharedSecret: ephemeral.combine(peerPublic) };
      } catch {
        return null;
      }
    },
    generateKeyShare: (group) => {
      const ephemeral = new Ephemeral(group, injected.privateKey?.(group));
      const agree = (peerPublic: Uint8Array) => {
        try {
          return ephemeral.combine(peerPublic);
        } catch {
          return null;
        }
      };
      return { publicKey: ephemeral.publicKey, agree, wipe: () => {} };
    },
    hash: (hash, data) => createHash(hash).update(data).digest(),
    hmac: (hash, key, data) => createHmac(hash, key).update(data).digest(),
    hkdfExtract: (hash, salt, ikm) => createHmac(hash, salt).update(ikm).digest(),
    hkdfExpandLabel,
    prf12: (hash, secret, label, seed, length) => {
      const labelled = Buffer.concat([Buffer.from(label, 'latin1'), seed]);
      const hmac = (data: Uint8Array) => createHmac(hash, secret).update(data).digest();
      let output = Buffer.alloc(0);
      for (let a = hmac(labelled); output.length < length; a = hmac(a)) {
        output = Buffer.concat([output, hmac(Buffer.concat([a, labelled]))]);
      }
      return Uint8Array.from(output.subarray(0, length));
    },
    aeadSeal: (suite, key, nonce, aad, plaintext) => {
      const cipher = createCipheriv(CIPHERS[suite] as 'aes-128-gcm', key, nonce, { authTagLength: 16 });
      cipher.setAAD(aad);
      return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
    },
    aeadOpen: (suite, key, nonce, aad, sealed) => {
      if (sealed.length < 16) return null;
      const decipher = createDecipheriv(CIPHERS[suite] as 'aes-128-gcm', key, nonce, { authTagLength: 16 });
      decipher.setAAD(aad);
      decipher.setAuthTag(sealed.subarray(sealed.length - 16));
      const plaintext = decipher.update(sealed.subarray(0, -16));
      try {
        decipher.final();
        return plaintext;
      } catch {
        return null;
      }
    },
    verify: verifyScheme,
    equal: (a, b) => a.length === b.length && timingSafeEqual(a, b),
  };
}

/** Of at most one hash output, which is all that TLS 1.3 asks for. */
function hkdfExpandLabel(
  hash: string,
  secret: Uint8Array,
  label: string,
  context: Uint8Array,
  length: number,
): Uint8Array {
  const full = `tls13 ${label}`;
  const info = Buffer.concat([
    Uint8Array.of(length >> 8, length & 0xff, full.length),
    Buffer.from(full),
    Uint8Array.of(context.length),
    context,
    Uint8Array.of(1),
  ]);
  const block = createHmac(hash, secret).update(info).digest();
  if (length > block.length) throw new RangeError('more than one block');
  return Uint8Array.from(block.subarray(0, length));
}

/** By the parts of the code point: its low octet is the algorithm, its high octet the hash, except in the 0x08 block. */
function verifyScheme(scheme: number, spki: Uint8Array, data: Uint8Array, signature: Uint8Array): boolean {
  const KEY_TYPES: Record<number, string> = { 1: 'rsa', 3: 'ec' };
  try {
    const key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
    if (scheme === 0x0807) return key.asymmetricKeyType === 'ed25519' && verify(null, data, key, signature);
    const isPss = scheme >> 8 === 8;
    const hash = ['sha256', 'sha384', 'sha512'][isPss ? ((scheme & 0xff) - 4) % 5 : (scheme >> 8) - 4];
    const type = isPss ? ((scheme & 0xff) < 9 ? 'rsa' : 'rsa-pss') : KEY_TYPES[scheme & 0xff];
    if (hash === undefined || key.asymmetricKeyType !== type) return false;
    const padding = isPss ? constants.RSA_PKCS1_PSS_PADDING : constants.RSA_PKCS1_PADDING;
    const options = type === 'ec' ? { key } : { key, padding, saltLength: Number(hash.slice(3)) / 8 };
    return createVerify(hash)
      .update(data)
      .verify(isPss || type === 'ec' ? options : { key, padding }, signature);
  } catch {
    return false;
  }
}

/** An ephemeral key with raw bytes at its edges. */
export class Ephemeral {
  readonly publicKey: Uint8Array;
  readonly combine: (peer: Uint8Array) => Uint8Array;

  constructor(group: number, privateKey?: Uint8Array) {
    if (group === X25519) {
      const key =
        privateKey === undefined
          ? generateKeyPairSync('x25519').privateKey
          : createPrivateKey({
              key: Buffer.concat([X25519_PRIVATE_PREFIX, privateKey]),
              format: 'der',
              type: 'pkcs8',
            });
      this.publicKey = raw(createPublicKey(key as never));
      this.combine = (peer) => {
        if (peer.length !== 32) throw new RangeError('x25519 share');
        const publicKey = createPublicKey({
          key: Buffer.concat([X25519_PUBLIC_PREFIX, peer]),
          format: 'der',
          type: 'spki',
        });
        return diffieHellman({ privateKey: key, publicKey });
      };
      return;
    }
    const ecdh = createECDH(CURVES[group]!);
    if (privateKey === undefined) ecdh.generateKeys();
    else ecdh.setPrivateKey(privateKey);
    this.publicKey = ecdh.getPublicKey();
    this.combine = (peer) => {
      if (peer[0] !== 4) throw new RangeError('uncompressed points only');
      return ecdh.computeSecret(peer);
    };
  }
}

function raw(key: KeyObject): Uint8Array {
  return key.export({ format: 'der', type: 'spki' }).subarray(X25519_PUBLIC_PREFIX.length);
}
