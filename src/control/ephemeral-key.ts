/** Ephemeral keys of a client, by node:crypto: it holds the private key between two messages. */
import {
  createECDH,
  createPublicKey,
  diffieHellman,
  type ECDH,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto';
import type { EphemeralKey } from '../tls/index.ts';

const X25519 = 0x001d;
const X25519_LENGTH = 32;
/** SubjectPublicKeyInfo of id-X25519 (RFC 8410 4) up to the key itself. */
const X25519_SPKI = Buffer.from('302a300506032b656e032100', 'hex');
const CURVES: Readonly<Record<number, { readonly name: string; readonly pointLength: number }>> = {
  23: { name: 'prime256v1', pointLength: 65 },
  24: { name: 'secp384r1', pointLength: 97 },
};
const UNCOMPRESSED = 4;

/** Throws RangeError for a NamedGroup that is not implemented: the configuration offered it. */
export function generateEphemeralKey(group: number): EphemeralKey {
  if (group === X25519) return new X25519Key();
  const curve = CURVES[group];
  if (curve !== undefined) return new CurveKey(curve.name, curve.pointLength);
  throw new RangeError(`expected a group among X25519, P-256 and P-384, received 0x${group.toString(16)}`);
}

class X25519Key implements EphemeralKey {
  readonly publicKey: Uint8Array;
  #privateKey: KeyObject | undefined;

  constructor() {
    const { publicKey, privateKey } = generateKeyPairSync('x25519');
    this.publicKey = publicKey.export({ format: 'der', type: 'spki' }).subarray(X25519_SPKI.length);
    this.#privateKey = privateKey;
  }

  agree(peerPublic: Uint8Array): Uint8Array | null {
    const privateKey = this.#privateKey;
    if (privateKey === undefined || peerPublic.length !== X25519_LENGTH) return null;
    try {
      const publicKey = createPublicKey({
        key: Buffer.concat([X25519_SPKI, peerPublic]),
        format: 'der',
        type: 'spki',
      });
      // RFC 8446 7.4.2: an all-zero result is refused; libcrypto's X25519 refuses it.
      return diffieHellman({ privateKey, publicKey });
    } catch {
      return null;
    }
  }

  /** libcrypto clears the key when it is collected. */
  wipe(): void {
    this.#privateKey = undefined;
  }
}

class CurveKey implements EphemeralKey {
  readonly publicKey: Uint8Array;
  readonly #pointLength: number;
  #key: ECDH | undefined;

  constructor(curve: string, pointLength: number) {
    this.#key = createECDH(curve);
    this.publicKey = this.#key.generateKeys();
    this.#pointLength = pointLength;
  }

  agree(peerPublic: Uint8Array): Uint8Array | null {
    // RFC 8446 4.2.8.2: the uncompressed form alone; libcrypto would take others.
    const isPoint = peerPublic.length === this.#pointLength && peerPublic[0] === UNCOMPRESSED;
    if (this.#key === undefined || !isPoint) return null;
    try {
      return this.#key.computeSecret(peerPublic);
    } catch {
      return null;
    }
  }

  wipe(): void {
    this.#key = undefined;
  }
}
