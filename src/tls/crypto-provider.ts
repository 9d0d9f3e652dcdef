/**
 * The cryptography a handshake needs. Synchronous: each call is short, and a handshake that yields between
 * two of them would have to be re-entrant. Only signing, which may be slow or elsewhere, is an event.
 */

export type HashName = 'sha256' | 'sha384';

/** A key of our own for one exchange, while the peer's share has not come. */
export interface EphemeralKey {
  readonly publicKey: Uint8Array;
  /** The shared secret, the caller's to wipe; null: the peer's share is invalid, as in `keyShare`. */
  agree(peerPublic: Uint8Array): Uint8Array | null;
  /** Forgets the private key, as far as the implementation can. */
  wipe(): void;
}

export interface CryptoProvider {
  /** `length` bytes from a cryptographically secure source. */
  randomBytes(length: number): Uint8Array;
  /**
   * Makes an ephemeral key of the NamedGroup and combines it with the peer's share. null: the share is invalid
   * (wrong length, not on the curve, or an all-zero X25519 result, RFC 8446 7.4.2).
   */
  keyShare(
    group: number,
    peerPublic: Uint8Array,
  ): { readonly publicKey: Uint8Array; readonly sharedSecret: Uint8Array } | null;
  /** The half of `keyShare` that a client needs: its share goes out before the server's comes. */
  generateKeyShare(group: number): EphemeralKey;
  hash(hash: HashName, data: Uint8Array): Uint8Array;
  hmac(hash: HashName, key: Uint8Array, data: Uint8Array): Uint8Array;
  hkdfExtract(hash: HashName, salt: Uint8Array, ikm: Uint8Array): Uint8Array;
  /** RFC 8446 7.1; `label` without the "tls13 " prefix. */
  hkdfExpandLabel(
    hash: HashName,
    secret: Uint8Array,
    label: string,
    context: Uint8Array,
    length: number,
  ): Uint8Array;
  /** RFC 5246 5, the PRF with P_hash: `length` bytes. */
  prf12(hash: HashName, secret: Uint8Array, label: string, seed: Uint8Array, length: number): Uint8Array;
  /**
   * Optional, for speed: the handshake stage of RFC 8446 7.1 in one call. Handshake Secret; client secret, finished
   * key, key, iv; server secret, finished key, key, iv; in a row in memory of their own, which the caller wipes.
   * `salt`: Derive-Secret(Early Secret, "derived", "").
   */
  handshakeStage?(
    hash: HashName,
    keyLength: number,
    salt: Uint8Array,
    sharedSecret: Uint8Array,
    transcriptHash: Uint8Array,
  ): Uint8Array;
  /**
   * Optional, the same for the application stage: Master Secret; client secret, key, iv; server secret, key, iv;
   * exporter master secret.
   */
  applicationStage?(
    hash: HashName,
    keyLength: number,
    handshakeSecret: Uint8Array,
    transcriptHash: Uint8Array,
  ): Uint8Array;
  /** Returns ciphertext || tag. */
  aeadSeal(
    suite: number,
    key: Uint8Array,
    nonce: Uint8Array,
    aad: Uint8Array,
    plaintext: Uint8Array,
  ): Uint8Array;
  /** `sealed` is ciphertext || tag; null: it does not verify (also when shorter than a tag). */
  aeadOpen(
    suite: number,
    key: Uint8Array,
    nonce: Uint8Array,
    aad: Uint8Array,
    sealed: Uint8Array,
  ): Uint8Array | null;
  /**
   * True when `signature` is that of the key `spki` (SubjectPublicKeyInfo, DER) over `data` in the SignatureScheme. Everything
   * else is false and nothing throws. Which scheme may be used with which key and version is the caller's to check.
   */
  verify(scheme: number, spki: Uint8Array, data: Uint8Array, signature: Uint8Array): boolean;
  /** Constant time in the content; false on different lengths. */
  equal(a: Uint8Array, b: Uint8Array): boolean;
}
