/**
 * The handshake's cryptography by libcrypto through the addon: one call per step, no key objects in JavaScript, operands
 * and results in the memory of the addon's workbench.
 */
import { randomFillSync } from 'node:crypto';
import type { NativeCrypto, NativeGroup, NativeSuite, NativeWorkbench } from '../native.ts';
import type { CryptoProvider, HashName } from '../tls/index.ts';
import { verifySignature } from '../x509/verify/signature.ts';
import { generateHybridKeyShare, hybridKeyShare, X25519MLKEM768 } from './hybrid-key-exchange.ts';

/** One pool per provider: a draw of 32 bytes costs more in the call than in the bytes. */
const POOL_BYTES = 4096;
const NONCE = 12;
const TAG = 16;

const bits = (hash: HashName): number => (hash === 'sha256' ? 256 : 384);

/** Operands are put one after the other, a step takes their place with its result, and all of it is wiped. */
class Bench {
  readonly steps: NativeWorkbench;
  readonly #memory: Uint8Array;
  #used = 0;

  constructor(steps: NativeWorkbench) {
    this.steps = steps;
    this.#memory = steps.memory;
  }

  fits(...parts: readonly Uint8Array[]): boolean {
    let length = 0;
    for (const part of parts) length += part.length;
    return length + NONCE + TAG <= this.#memory.length;
  }

  /** Of a step that threw something may be left. */
  begin(): this {
    if (this.#used !== 0) this.clear();
    return this;
  }

  put(bytes: Uint8Array): this {
    this.#memory.set(bytes, this.#used);
    this.#used += bytes.length;
    return this;
  }

  /** A copy of a part of the result, in memory of its own. */
  read(from: number, length: number): Uint8Array {
    if (from + length > this.#used) this.#used = from + length;
    return this.#memory.slice(from, from + length);
  }

  /** The result from the start, and nothing stays here. */
  take(length: number): Uint8Array {
    const result = this.read(0, length);
    this.clear();
    return result;
  }

  clear(): void {
    this.#memory.fill(0, 0, this.#used);
    this.#used = 0;
  }
}

export function nativeCryptoProvider(crypto: NativeCrypto): CryptoProvider {
  const pool = new Uint8Array(POOL_BYTES);
  let used = POOL_BYTES;
  const bench = new Bench(crypto.workbench);
  const { steps } = bench;
  const labels = new Map<string, Uint8Array>();
  const labelBytes = (label: string): Uint8Array => {
    let bytes = labels.get(label);
    if (bytes === undefined) {
      bytes = Buffer.from(label, 'latin1');
      labels.set(label, bytes);
    }
    return bytes;
  };
  const hmac = (hash: HashName, key: Uint8Array, data: Uint8Array): Uint8Array => {
    if (!bench.fits(key, data)) return crypto.hmac(hash, key, data);
    bench.begin().put(key).put(data);
    return bench.take(steps.hmac(bits(hash), key.length, data.length));
  };
  return {
    randomBytes(length) {
      if (length > POOL_BYTES) return randomFillSync(new Uint8Array(length));
      if (used + length > POOL_BYTES) {
        randomFillSync(pool);
        used = 0;
      }
      const bytes = pool.slice(used, used + length);
      // Handed out once, so that a later read of the pool tells nothing about this handshake.
      pool.fill(0, used, used + length);
      used += length;
      return bytes;
    },
    keyShare(group, peerPublic) {
      if (group === X25519MLKEM768) return hybridKeyShare(crypto, peerPublic);
      if (!bench.fits(peerPublic)) return null;
      bench.begin().put(peerPublic);
      const length = steps.keyShare(group as NativeGroup, peerPublic.length);
      if (length < 0) {
        bench.clear();
        return null;
      }
      const publicKey = bench.read(0, length);
      // A field element, as long as a coordinate: of X25519 the share is one.
      const sharedSecret = bench.read(length, length === 32 ? 32 : (length - 1) / 2);
      bench.clear();
      return { publicKey, sharedSecret };
    },
    generateKeyShare: (group) =>
      group === X25519MLKEM768
        ? generateHybridKeyShare(crypto)
        : crypto.generateKeyShare(group as NativeGroup),
    hash(hash, data) {
      if (!bench.fits(data)) return crypto.hash(hash, data);
      return bench
        .begin()
        .put(data)
        .take(steps.hash(bits(hash), data.length));
    },
    hmac,
    // RFC 5869 2.2: PRK = HMAC-Hash(salt, IKM).
    hkdfExtract: hmac,
    hkdfExpandLabel(hash, secret, label, context, length) {
      if (length > 255) return crypto.hkdfExpandLabel(hash, secret, label, context, length);
      const name = labelBytes(label);
      bench.begin().put(secret).put(name).put(context);
      return bench.take(steps.expandLabel(bits(hash), secret.length, name.length, context.length, length));
    },
    handshakeStage(hash, keyLength, salt, sharedSecret, transcriptHash) {
      bench.begin().put(salt).put(transcriptHash).put(sharedSecret);
      return bench.take(steps.handshakeStage(bits(hash), keyLength, sharedSecret.length));
    },
    applicationStage(hash, keyLength, handshakeSecret, transcriptHash) {
      bench.begin().put(handshakeSecret).put(transcriptHash);
      return bench.take(steps.applicationStage(bits(hash), keyLength));
    },
    prf12: (hash, secret, label, seed, length) => crypto.prf12(hash, secret, label, seed, length),
    aeadSeal(suite, key, nonce, aad, plaintext) {
      if (!bench.fits(key, aad, plaintext))
        return crypto.aeadSeal(suite as NativeSuite, key, nonce, aad, plaintext);
      const at = key.length + NONCE + aad.length;
      bench.begin().put(key).put(nonce).put(aad).put(plaintext);
      const length = steps.seal(suite as NativeSuite, aad.length, plaintext.length);
      const sealed = bench.read(at, length + TAG);
      bench.clear();
      return sealed;
    },
    aeadOpen(suite, key, nonce, aad, sealed) {
      if (sealed.length < TAG) return null;
      if (!bench.fits(key, aad, sealed))
        return crypto.aeadOpen(suite as NativeSuite, key, nonce, aad, sealed);
      const at = key.length + NONCE + aad.length;
      bench.begin().put(key).put(nonce).put(aad).put(sealed);
      const length = steps.open(suite as NativeSuite, aad.length, sealed.length - TAG);
      const plaintext = length < 0 ? null : bench.read(at, length);
      bench.clear();
      return plaintext;
    },
    // node:crypto takes 80 us and more to read a public key; what the addon does not know is its.
    verify: (scheme, spki, data, signature) =>
      crypto.verify(scheme, spki, data, signature) ?? verifySignature(scheme, spki, data, signature),
    equal(a, b) {
      if (a.length !== b.length) return false;
      if (!bench.fits(a, b)) return crypto.equal(a, b);
      bench.begin().put(a).put(b);
      const same = steps.equal(a.length) === 1;
      bench.clear();
      return same;
    },
  };
}
