/**
 * X25519MLKEM768 (draft-ietf-tls-ecdhe-mlkem): a share of ML-KEM-768 and one of X25519 side by side, so that a secret is
 * lost only when both are broken. ML-KEM is node:crypto's, where it has it (Node 24 and later).
 */
import * as nodeCrypto from 'node:crypto';
import type { NativeCrypto } from '../native.ts';
import type { EphemeralKey } from '../tls/index.ts';

export const X25519MLKEM768 = 0x11ec;

const X25519 = 0x001d;
const X25519_LENGTH = 32;
/** FIPS 203, table 3: encapsulation key and ciphertext of ML-KEM-768. */
const ENCAPSULATION_KEY = 1184;
const CIPHERTEXT = 1088;
/** SubjectPublicKeyInfo of id-alg-ml-kem-768 (RFC 9935) up to the key itself. */
const SPKI_PREFIX = Buffer.from('308204b2300b0609608648016503040402038204a100', 'hex');

/** What the types of Node 20 do not know. */
interface MlKem {
  generateKeyPairSync(type: 'ml-kem-768'): {
    publicKey: nodeCrypto.KeyObject;
    privateKey: nodeCrypto.KeyObject;
  };
  encapsulate(key: nodeCrypto.KeyObject): { sharedKey: Uint8Array; ciphertext: Uint8Array };
  decapsulate(key: nodeCrypto.KeyObject, ciphertext: Uint8Array): Uint8Array;
}

const mlKem = 'encapsulate' in nodeCrypto ? (nodeCrypto as unknown as MlKem) : undefined;

/** False where node:crypto has no ML-KEM: the group is not to be offered then. */
export const hybridAvailable: boolean = mlKem !== undefined;

/** A server's half, as `CryptoProvider.keyShare`. */
export function hybridKeyShare(
  crypto: NativeCrypto,
  peerPublic: Uint8Array,
): { readonly publicKey: Uint8Array; readonly sharedSecret: Uint8Array } | null {
  if (mlKem === undefined || peerPublic.length !== ENCAPSULATION_KEY + X25519_LENGTH) return null;
  let encapsulated: ReturnType<MlKem['encapsulate']>;
  try {
    // The import makes the checks of FIPS 203 7.2, without which a key is not to be used.
    const der = Buffer.concat([SPKI_PREFIX, peerPublic.subarray(0, ENCAPSULATION_KEY)]);
    encapsulated = mlKem.encapsulate(nodeCrypto.createPublicKey({ key: der, format: 'der', type: 'spki' }));
  } catch {
    return null;
  }
  const curve = crypto.keyShare(X25519, peerPublic.subarray(ENCAPSULATION_KEY));
  if (curve === null) {
    encapsulated.sharedKey.fill(0);
    return null;
  }
  return {
    publicKey: concat(encapsulated.ciphertext, curve.publicKey),
    sharedSecret: joinSecrets(encapsulated.sharedKey, curve.sharedSecret),
  };
}

/** A client's half, as `CryptoProvider.generateKeyShare`. Throws RangeError where there is no ML-KEM. */
export function generateHybridKeyShare(crypto: NativeCrypto): EphemeralKey {
  if (mlKem === undefined) {
    throw new RangeError(
      `expected a group that node ${process.version} has, received X25519MLKEM768; it takes Node 24 or later`,
    );
  }
  return new HybridKey(mlKem, crypto);
}

class HybridKey implements EphemeralKey {
  readonly publicKey: Uint8Array;
  readonly #mlKem: MlKem;
  readonly #curve: EphemeralKey;
  #decapsulation: nodeCrypto.KeyObject | undefined;

  constructor(library: MlKem, crypto: NativeCrypto) {
    const { publicKey, privateKey } = library.generateKeyPairSync('ml-kem-768');
    this.#mlKem = library;
    this.#decapsulation = privateKey;
    this.#curve = crypto.generateKeyShare(X25519);
    const spki = publicKey.export({ format: 'der', type: 'spki' });
    this.publicKey = concat(spki.subarray(SPKI_PREFIX.length), this.#curve.publicKey);
  }

  agree(peerPublic: Uint8Array): Uint8Array | null {
    if (this.#decapsulation === undefined || peerPublic.length !== CIPHERTEXT + X25519_LENGTH) return null;
    const curve = this.#curve.agree(peerPublic.subarray(CIPHERTEXT));
    if (curve === null) return null;
    // A ciphertext that was changed gives another secret, not a failure (FIPS 203 6.3).
    return joinSecrets(
      this.#mlKem.decapsulate(this.#decapsulation, peerPublic.subarray(0, CIPHERTEXT)),
      curve,
    );
  }

  /** libcrypto clears the ML-KEM key when it is collected. */
  wipe(): void {
    this.#decapsulation = undefined;
    this.#curve.wipe();
  }
}

function concat(first: Uint8Array, second: Uint8Array): Uint8Array {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

function joinSecrets(first: Uint8Array, second: Uint8Array): Uint8Array {
  const both = concat(first, second);
  first.fill(0);
  second.fill(0);
  return both;
}
