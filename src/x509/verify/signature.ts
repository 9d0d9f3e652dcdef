/** Signatures of peers, by TLS SignatureScheme (RFC 8446 4.2.3). */
import { constants, verify } from 'node:crypto';
import { type PublicKey, type PublicKeyFacts, readPublicKey, type SignatureHash } from './public-key.ts';

interface SchemeFacts {
  readonly code: number;
  readonly key: PublicKeyFacts['type'];
  /** undefined: the signature algorithm hashes for itself. */
  readonly hash: SignatureHash | undefined;
  readonly pss: boolean;
  /** The curve that TLS 1.3 ties the scheme to; in TLS 1.2 it says nothing about the curve. */
  readonly curve?: string;
}

// RFC 8446 9.1: "MUST support digital signatures with rsa_pkcs1_sha256 (for certificates), rsa_pss_rsae_sha256 (for
// CertificateVerify and certificates), and ecdsa_secp256r1_sha256". RFC 8446 4.2.3: "They MUST NOT be offered or
// negotiated by any implementation."; "MD5 [SLOTH], SHA-224, and DSA MUST NOT be used".
// RFC 8422 5.10: "A secure hash function such as SHA-256, SHA-384, or SHA-512 … MUST be used"; RFC 8422 5.10: "EdDSA
// signatures MUST have HashAlgorithm of 8 (Intrinsic)."
const SCHEMES: readonly SchemeFacts[] = [
  { code: 0x0403, key: 'ec', hash: 'sha256', pss: false, curve: 'P-256' },
  { code: 0x0503, key: 'ec', hash: 'sha384', pss: false, curve: 'P-384' },
  { code: 0x0603, key: 'ec', hash: 'sha512', pss: false, curve: 'P-521' },
  { code: 0x0807, key: 'ed25519', hash: undefined, pss: false },
  { code: 0x0804, key: 'rsa', hash: 'sha256', pss: true },
  { code: 0x0805, key: 'rsa', hash: 'sha384', pss: true },
  { code: 0x0806, key: 'rsa', hash: 'sha512', pss: true },
  { code: 0x0809, key: 'rsa-pss', hash: 'sha256', pss: true },
  { code: 0x080a, key: 'rsa-pss', hash: 'sha384', pss: true },
  { code: 0x080b, key: 'rsa-pss', hash: 'sha512', pss: true },
  { code: 0x0401, key: 'rsa', hash: 'sha256', pss: false },
  { code: 0x0501, key: 'rsa', hash: 'sha384', pss: false },
  { code: 0x0601, key: 'rsa', hash: 'sha512', pss: false },
];

/** Every scheme that `verifySignature` knows, the preferred first. */
export const SIGNATURE_SCHEMES: readonly number[] = SCHEMES.map(({ code }) => code);

/**
 * True when `signature` is the key's over `data` in this scheme. False for everything else: an unknown scheme, a key of another
 * kind, a weak or damaged key, a signature that is not strict DER or not as long as it must be. Never throws.
 *
 * The curve is not asked for here, since TLS 1.2 allows each hash with each curve: `schemesForKey` says what goes together.
 */
export function verifySignature(
  scheme: number,
  spki: Uint8Array,
  data: Uint8Array,
  signature: Uint8Array,
): boolean {
  const facts = SCHEMES.find(({ code }) => code === scheme);
  if (facts === undefined) return false;
  const key = readPublicKey(spki);
  return 'facts' in key && verifyWith(key, facts, data, signature);
}

/** As `verifySignature`, with a key that was read before. */
export function verifyWithKey(
  scheme: number,
  key: PublicKey,
  data: Uint8Array,
  signature: Uint8Array,
): boolean {
  const facts = SCHEMES.find(({ code }) => code === scheme);
  return facts !== undefined && verifyWith(key, facts, data, signature);
}

function verifyWith(
  { facts, key }: PublicKey,
  scheme: SchemeFacts,
  data: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (!fits(facts, scheme)) return false;
  try {
    // By libcrypto. RFC 8422 5.10: "All ECDSA computations MUST be performed according to ANSI X9.62", "All EdDSA
    // computations MUST be performed according to [RFC8032]".
    if (!scheme.pss) return verify(scheme.hash, data, key, signature);
    // RFC 8446 4.2.3: "The length of the Salt MUST be equal to the length of the output of the digest algorithm."
    // RFC 8446 4.2.3: "The length of the Salt MUST be equal to the length of the digest algorithm."
    const pss = {
      key,
      padding: constants.RSA_PKCS1_PSS_PADDING,
      saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
    };
    return verify(scheme.hash, data, pss, signature);
  } catch {
    return false;
  }
}

/**
 * The schemes in which a peer with this key may sign its handshake, the preferred first.
 * RFC 8446 4.2.3: in TLS 1.3 an ECDSA scheme names its curve, and PKCS#1 v1.5 is for certificates alone.
 * RFC 8446 4.2.3: in TLS 1.2 "implementations MUST be prepared to accept a signature that uses any curve that they
 * advertised".
 */
export function schemesForKey(key: PublicKeyFacts, version: '1.2' | '1.3'): readonly number[] {
  const suits = (scheme: SchemeFacts): boolean =>
    fits(key, scheme) &&
    (version === '1.2' ||
      (key.type === 'ec' ? scheme.curve === key.curve : key.type !== 'rsa' || scheme.pss));
  return SCHEMES.filter(suits).map(({ code }) => code);
}

// RFC 8446 4.2.3: "it MUST use the rsaEncryption OID", "it MUST use the RSASSA-PSS OID": the types of key tell them
// apart; "MUST also be of appropriate type for the signature algorithms they are used with".
// RFC 8422 5.9: "EdDSA keys using the Ed25519 algorithm MUST use the ed25519 signature algorithm"; RFC 8422 5.9:
// "MUST NOT be used with ECDSA".
function fits(key: PublicKeyFacts, scheme: SchemeFacts): boolean {
  if (key.type !== scheme.key) return false;
  return key.type !== 'rsa-pss' || key.hash === undefined || key.hash === scheme.hash;
}
