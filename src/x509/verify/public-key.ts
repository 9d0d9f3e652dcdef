/** Public keys of peers: which kinds are taken, and how large they may be. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import type { Certificate } from '../certificate.ts';
import { contentOf, isDer, sequenceOf, slice, TAG } from '../der.ts';

export type SignatureHash = 'sha256' | 'sha384' | 'sha512';
export type PublicKeyCurve = 'P-256' | 'P-384' | 'P-521';

export type PublicKeyFacts =
  | { readonly type: 'rsa'; readonly bits: number }
  /** id-RSASSA-PSS; `hash`: the only one its parameters allow, undefined for any. */
  | { readonly type: 'rsa-pss'; readonly bits: number; readonly hash: SignatureHash | undefined }
  | { readonly type: 'ec'; readonly curve: PublicKeyCurve }
  | { readonly type: 'ed25519' };

export interface PublicKey {
  readonly facts: PublicKeyFacts;
  readonly key: KeyObject;
}

/** A key as people call it, and what is wrong with it. */
export interface RefusedKey {
  readonly why: 'unsupported' | 'weak' | 'damaged';
  readonly came: string;
}

/** NIST SP 800-131A: below 2048 bits RSA is out. Above 8192 a verification costs what no peer may make us pay (as Go has it). */
const MIN_RSA_BITS = 2048;
const MAX_RSA_BITS = 8192;
/** The cost of a verification grows with the exponent, which the peer chooses; ring's bound (33 bits). */
const MAX_RSA_EXPONENT = 2n ** 33n - 1n;

// AlgorithmIdentifiers in the one form that DER and their RFCs give them; compared byte for byte.
/** RFC 4055 1.2: rsaEncryption, its parameters NULL and present. */
const RSA = '300d06092a864886f70d0101010500';
/** RFC 8410 3: id-Ed25519, its parameters absent. RFC 8422 5.9: "signed using EdDSA MUST comply with [RFC8410]". */
const ED25519 = '300506032b6570';
/** RFC 4055 1.2: id-RSASSA-PSS; its parameters, where there are any, are libcrypto's to read. */
const RSA_PSS_OID = '06092a864886f70d01010a';
/**
 * RFC 5480 2.1.1: id-ecPublicKey with namedCurve. `bytes`: of a coordinate. RFC 8422 5.9: "signed using ECDSA MUST
 * comply with [RFC3279] or another RFC that replaces or extends it"; RFC 8422 5.3: "ECC public keys MUST be encoded
 * in certificates as described in Section 5.9."
 */
const CURVES: Readonly<Record<string, { readonly curve: PublicKeyCurve; readonly bytes: number }>> = {
  '301306072a8648ce3d020106082a8648ce3d030107': { curve: 'P-256', bytes: 32 },
  '301006072a8648ce3d020106052b81040022': { curve: 'P-384', bytes: 48 },
  '301006072a8648ce3d020106052b81040023': { curve: 'P-521', bytes: 66 },
};
const HASHES: readonly string[] = ['sha256', 'sha384', 'sha512'] satisfies SignatureHash[];

/** What the certificate's key is; undefined for one that is not taken. Never throws. */
export function publicKeyOf(certificate: Pick<Certificate, 'spki'>): PublicKeyFacts | undefined {
  const read = readPublicKey(certificate.spki);
  return 'facts' in read ? read.facts : undefined;
}

/** A SubjectPublicKeyInfo (DER) as a key, or why it is none to verify with. Never throws. */
export function readPublicKey(spki: Uint8Array): PublicKey | RefusedKey {
  const [algorithm, subjectPublicKey] = sequenceOf(spki) ?? [];
  if (algorithm === undefined || subjectPublicKey?.tag !== TAG.bitString || !isDer(spki)) {
    return damaged('no SubjectPublicKeyInfo');
  }
  const bits = contentOf(spki, subjectPublicKey);
  // The first octet counts unused bits: none in any of these keys.
  if (bits[0] !== 0) return damaged('a key that is not whole octets');

  const identifier = Buffer.from(slice(spki, algorithm)).toString('hex');
  const named = CURVES[identifier];
  if (named !== undefined) {
    // RFC 8422 5.1.2: "MUST support the uncompressed format for all of their supported curves and MUST NOT support
    // other formats"; libcrypto would take compressed and hybrid ones too.
    if (bits[1] !== 4 || bits.length !== 2 + 2 * named.bytes) {
      return { why: 'unsupported', came: `an EC key whose point is not uncompressed (${named.curve})` };
    }
    return imported(spki, () => ({ type: 'ec', curve: named.curve }));
  }
  if (identifier === ED25519) return imported(spki, () => ({ type: 'ed25519' }));
  if (identifier === RSA) return imported(spki, rsaFacts);
  const oid = Buffer.from(contentOf(spki, algorithm)).toString('hex');
  if (oid.startsWith(RSA_PSS_OID)) return imported(spki, rsaFacts);
  return { why: 'unsupported', came: `a key with the AlgorithmIdentifier ${identifier.slice(0, 80)}` };
}

function imported(
  spki: Uint8Array,
  factsOf: (key: KeyObject) => PublicKeyFacts | RefusedKey,
): PublicKey | RefusedKey {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
  } catch {
    return damaged('a key that libcrypto does not take (a point off its curve, a damaged modulus)');
  }
  const facts = factsOf(key);
  return 'why' in facts ? facts : { facts, key };
}

function rsaFacts(key: KeyObject): PublicKeyFacts | RefusedKey {
  const { modulusLength: bits = 0, publicExponent = 0n, ...pss } = key.asymmetricKeyDetails ?? {};
  if (bits < MIN_RSA_BITS) return { why: 'weak', came: `an RSA key of ${bits} bits` };
  if (bits > MAX_RSA_BITS) return { why: 'unsupported', came: `an RSA key of ${bits} bits` };
  if (publicExponent < 3n || publicExponent > MAX_RSA_EXPONENT || publicExponent % 2n === 0n) {
    return { why: 'weak', came: 'an RSA key whose public exponent is even, below 3 or above 33 bits' };
  }
  if (key.asymmetricKeyType === 'rsa') return { type: 'rsa', bits };
  const { hashAlgorithm: hash, mgf1HashAlgorithm, saltLength = 0 } = pss;
  if (hash === undefined) return { type: 'rsa-pss', bits, hash: undefined };
  if (!isHash(hash) || mgf1HashAlgorithm !== hash || saltLength > Number(hash.slice(3)) / 8) {
    return { why: 'unsupported', came: `an RSA-PSS key restricted to ${hash}, MGF1 ${mgf1HashAlgorithm}` };
  }
  return { type: 'rsa-pss', bits, hash };
}

function isHash(name: string): name is SignatureHash {
  return HASHES.includes(name);
}

function damaged(came: string): RefusedKey {
  return { why: 'damaged', came };
}
