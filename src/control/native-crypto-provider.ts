/** The handshake's cryptography by libcrypto through the addon: one call per step, no key objects in JavaScript. */
import { randomFillSync } from 'node:crypto';
import type { NativeCrypto, NativeGroup, NativeSuite } from '../native.ts';
import type { CryptoProvider } from '../tls/index.ts';
import { verifySignature } from '../x509/verify/signature.ts';
import { generateHybridKeyShare, hybridKeyShare, X25519MLKEM768 } from './hybrid-key-exchange.ts';

/** One pool per provider: a draw of 32 bytes costs more in the call than in the bytes. */
const POOL_BYTES = 4096;

export function nativeCryptoProvider(crypto: NativeCrypto): CryptoProvider {
  const pool = new Uint8Array(POOL_BYTES);
  let used = POOL_BYTES;
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
    keyShare: (group, peerPublic) =>
      group === X25519MLKEM768
        ? hybridKeyShare(crypto, peerPublic)
        : crypto.keyShare(group as NativeGroup, peerPublic),
    generateKeyShare: (group) =>
      group === X25519MLKEM768
        ? generateHybridKeyShare(crypto)
        : crypto.generateKeyShare(group as NativeGroup),
    hash: (hash, data) => crypto.hash(hash, data),
    hmac: (hash, key, data) => crypto.hmac(hash, key, data),
    hkdfExtract: (hash, salt, ikm) => crypto.hkdfExtract(hash, salt, ikm),
    hkdfExpandLabel: (hash, secret, label, context, length) =>
      crypto.hkdfExpandLabel(hash, secret, label, context, length),
    handshakeStage: (hash, keyLength, salt, sharedSecret, transcriptHash) =>
      crypto.handshakeStage(hash, keyLength, salt, sharedSecret, transcriptHash),
    applicationStage: (hash, keyLength, handshakeSecret, transcriptHash) =>
      crypto.applicationStage(hash, keyLength, handshakeSecret, transcriptHash),
    prf12: (hash, secret, label, seed, length) => crypto.prf12(hash, secret, label, seed, length),
    aeadSeal: (suite, key, nonce, aad, plaintext) =>
      crypto.aeadSeal(suite as NativeSuite, key, nonce, aad, plaintext),
    aeadOpen: (suite, key, nonce, aad, sealed) =>
      crypto.aeadOpen(suite as NativeSuite, key, nonce, aad, sealed),
    // node:crypto takes 80 us and more to read a public key; what the addon does not know is its.
    verify: (scheme, spki, data, signature) =>
      crypto.verify(scheme, spki, data, signature) ?? verifySignature(scheme, spki, data, signature),
    equal: (a, b) => crypto.equal(a, b),
  };
}
