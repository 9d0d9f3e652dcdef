/** Signatures on certificates and lists: which algorithms are taken, and whether one is an issuer's. */
import { sameBytes } from '../der.ts';
import type { PublicKey, RefusedKey } from './public-key.ts';
import { type Refusal, refusal } from './refusal.ts';
import { verifyWithKey } from './signature.ts';

interface Algorithm {
  readonly name: string;
  readonly key: 'rsa' | 'ec' | 'ed25519';
  /** SignatureScheme that says the same; for an RSA-PSS key, `pssKeyScheme`. */
  readonly scheme: number;
  readonly pssKeyScheme?: number;
}

const RSA_PREFIX = '2a864886f70d0101';
/**
 * RSASSA-PSS-params with one hash throughout and a salt of its length (RFC 4055 3.1), in the form that all write. RFC
 * 8446 4.2.3: "When used in certificate signatures, the algorithm parameters MUST be DER encoded."
 */
function pss(hash: string, saltLength: string): string {
  const digest = `300d06096086480165030402${hash}0500`;
  return `304106092a864886f70d01010a3034a00f${digest}a11c301a06092a864886f70d010108${digest}a2030201${saltLength}`;
}

/** By AlgorithmIdentifier, DER in hexadecimal. RFC 4055 5: parameters of sha256WithRSAEncryption NULL or absent, both are taken. */
const ALGORITHMS: ReadonlyMap<string, Algorithm> = new Map<string, Algorithm>([
  ...(['0b', '0c', '0d'] as const).flatMap((last, i): [string, Algorithm][] => {
    const algorithm: Algorithm = {
      name: `sha${['256', '384', '512'][i]}WithRSAEncryption`,
      key: 'rsa',
      scheme: 0x0401 + (i << 8),
    };
    return [
      [`300d0609${RSA_PREFIX}${last}0500`, algorithm],
      [`300b0609${RSA_PREFIX}${last}`, algorithm],
    ];
  }),
  ...(['02', '03', '04'] as const).map((last, i): [string, Algorithm] => [
    `300a06082a8648ce3d0403${last}`,
    { name: `ecdsa-with-SHA${['256', '384', '512'][i]}`, key: 'ec', scheme: 0x0403 + (i << 8) },
  ]),
  ['300506032b6570', { name: 'Ed25519', key: 'ed25519', scheme: 0x0807 }],
  [pss('01', '20'), { name: 'RSASSA-PSS SHA-256', key: 'rsa', scheme: 0x0804, pssKeyScheme: 0x0809 }],
  [pss('02', '30'), { name: 'RSASSA-PSS SHA-384', key: 'rsa', scheme: 0x0805, pssKeyScheme: 0x080a }],
  [pss('03', '40'), { name: 'RSASSA-PSS SHA-512', key: 'rsa', scheme: 0x0806, pssKeyScheme: 0x080b }],
]);

/**
 * Known so that the message can name them. RFC 8446 4.4.2.4: "any signature algorithm using an MD5 hash MUST abort
 * the handshake with a "bad_certificate" alert".
 */
const REFUSED_ALGORITHMS: readonly (readonly [prefix: string, name: string])[] = [
  [`300d0609${RSA_PREFIX}04`, 'md5WithRSAEncryption'],
  [`300d0609${RSA_PREFIX}05`, 'sha1WithRSAEncryption'],
  ['300906072a8648ce3d0401', 'ecdsa-with-SHA1'],
];

/** What certificates and lists have in common. */
export interface Signed {
  readonly tbsDer: Uint8Array;
  readonly tbsSignatureAlgorithm: Uint8Array;
  readonly signatureAlgorithm: Uint8Array;
  readonly signature: Uint8Array;
}

/** What is wrong with the algorithm of a signature, apart from its key. */
export function checkAlgorithm(signed: Signed, who: string): Refusal | undefined {
  // RFC 5280 4.1.1.2: "This field MUST contain the same algorithm identifier as the signature field in the sequence tbsCertificate".
  // RFC 5280 4.1.2.3: "This field MUST contain the same algorithm identifier as the signatureAlgorithm field". RFC
  // 5280 5.1.2.2: "as the signatureAlgorithm field in the sequence CertificateList".
  // RFC 5280 5.1.1.2: the same "as the signature field in the sequence tbsCertList".
  if (!sameBytes(signed.tbsSignatureAlgorithm, signed.signatureAlgorithm)) {
    return refusal(
      'signature_algorithm_mismatch',
      `${who}: expected one signature algorithm, but the signed part names another than stands beside the signature`,
    );
  }
  const hex = Buffer.from(signed.signatureAlgorithm).toString('hex');
  if (ALGORITHMS.has(hex)) return undefined;
  const name = REFUSED_ALGORITHMS.find(([prefix]) => hex.startsWith(prefix))?.[1];
  return refusal(
    'unsupported_signature_algorithm',
    `${who}: expected a signature by RSA (PKCS#1 or PSS) or ECDSA with SHA-256, SHA-384 or SHA-512, or Ed25519, but it is ${name ?? `by the AlgorithmIdentifier ${hex.slice(0, 80)}`}`,
  );
}

/** True when `key` made the signature of what `checkAlgorithm` has nothing against. */
export function isSignedBy(signed: Signed, key: PublicKey): boolean {
  const algorithm = ALGORITHMS.get(Buffer.from(signed.signatureAlgorithm).toString('hex'));
  if (algorithm === undefined) return false;
  const scheme = key.facts.type === 'rsa-pss' ? algorithm.pssKeyScheme : algorithm.scheme;
  return scheme !== undefined && verifyWithKey(scheme, key, signed.tbsDer, signed.signature);
}

/** Hashes that are not taken from peers, but that clients may take from us. */
const SHA1_SCHEMES: readonly (readonly [prefix: string, scheme: number])[] = [
  [`300d0609${RSA_PREFIX}05`, 0x0201],
  ['300906072a8648ce3d0401', 0x0203],
];

/** The SignatureSchemes that say the same as an AlgorithmIdentifier (DER), of which there may be two; empty: none does. */
export function schemesOfSignature(algorithmIdentifier: Uint8Array): readonly number[] {
  const hex = Buffer.from(algorithmIdentifier).toString('hex');
  const algorithm = ALGORITHMS.get(hex);
  if (algorithm === undefined) {
    return SHA1_SCHEMES.filter(([prefix]) => hex.startsWith(prefix)).map(([, scheme]) => scheme);
  }
  const { scheme, pssKeyScheme } = algorithm;
  return pssKeyScheme === undefined ? [scheme] : [scheme, pssKeyScheme];
}

export function refusedKey({ why, came }: RefusedKey, who: string): Refusal {
  const reason = { unsupported: 'unsupported_key', weak: 'weak_key', damaged: 'malformed' } as const;
  return refusal(
    reason[why],
    `${who}: expected an RSA key of 2048 to 8192 bits, a P-256, P-384 or P-521 key or an Ed25519 key, but it has ${came}`,
  );
}
