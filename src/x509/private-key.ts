/** Private keys as operators have them: PKCS#8 (RFC 5958), SEC1 (RFC 5915), PKCS#1 (RFC 8017), each as PEM or DER. */
import { createECDH, createPrivateKey, createPublicKey, ECDH } from 'node:crypto';
import { ECPrivateKey } from '@peculiar/asn1-ecc';
import { PrivateKeyInfo } from '@peculiar/asn1-pkcs8';
import { RSAPrivateKey } from '@peculiar/asn1-rsa';
import { OctetString } from '@peculiar/asn1-schema';
import { AlgorithmIdentifier } from '@peculiar/asn1-x509';
import { type ErrorCode, SocryptError } from '../errors.ts';
import { contentOf, type DerElement, isDer, parseAs, sequenceOf, serialize, slice, TAG } from './der.ts';
import { decodePemOrDer, type PemBlock } from './pem.ts';

export type Curve = 'P-256' | 'P-384';

export type KeyDescription =
  | { readonly type: 'ec'; readonly curve: Curve }
  | { readonly type: 'rsa'; readonly bits: number }
  | { readonly type: 'ed25519' };

export interface PrivateKey {
  readonly description: KeyDescription;
  /** PKCS#8 DER in one form for each key: version 0, EC with its public key and without repeated parameters. Zeroise after use. */
  readonly pkcs8: Uint8Array;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
}

/** NIST SP 800-57: below 2048 bits RSA is out; above 16384 libcrypto does not verify (OPENSSL_RSA_MAX_MODULUS_BITS). */
const MIN_RSA_BITS = 2048;
const MAX_RSA_BITS = 16384;
const MAX_KEY_BYTES = 64 * 1024;

const OID_RSA = '1.2.840.113549.1.1.1';
const OID_EC = '1.2.840.10045.2.1';
const OID_ED25519 = '1.3.101.112';

/** Known so that the message can name them; none of them signs a TLS 1.3 handshake here. */
const OTHER_ALGORITHMS: Readonly<Record<string, string>> = {
  '1.2.840.113549.1.1.10': 'RSA restricted to PSS (id-RSASSA-PSS)',
  '1.2.840.10040.4.1': 'DSA',
  '1.2.840.113549.1.3.1': 'Diffie-Hellman',
  '1.3.101.110': 'X25519',
  '1.3.101.111': 'X448',
  '1.3.101.113': 'Ed448',
};

interface CurveFacts {
  readonly curve: Curve;
  readonly ecdh: string;
  readonly bytes: number;
  readonly oid: string;
}
const CURVES: readonly CurveFacts[] = [
  { curve: 'P-256', ecdh: 'prime256v1', bytes: 32, oid: '1.2.840.10045.3.1.7' },
  { curve: 'P-384', ecdh: 'secp384r1', bytes: 48, oid: '1.3.132.0.34' },
];
const OTHER_CURVES: Readonly<Record<string, string>> = {
  '1.3.132.0.35': 'P-521',
  '1.3.132.0.33': 'P-224',
  '1.3.132.0.10': 'secp256k1',
  '1.2.840.10045.3.1.1': 'P-192',
  '1.3.36.3.3.2.8.1.1.7': 'brainpoolP256r1',
};

const WANTED = 'an unencrypted private key (PKCS#8, SEC1 or PKCS#1) in PEM or DER';
const KEY_LABELS: ReadonlySet<string> = new Set(['PRIVATE KEY', 'EC PRIVATE KEY', 'RSA PRIVATE KEY']);

/** 'EC P-256', 'RSA 2048', 'Ed25519'. */
export function describeKey(key: KeyDescription): string {
  if (key.type === 'ec') return `EC ${key.curve}`;
  return key.type === 'rsa' ? `RSA ${key.bits}` : 'Ed25519';
}

/**
 * The one private key in `bytes`. `source` names the input in messages ("private key /etc/key.pem").
 * Throws ERR_SOCRYPT_PEM_INVALID, ERR_SOCRYPT_KEY_MISSING (nothing here is a key), _KEY_AMBIGUOUS (several), _KEY_ENCRYPTED,
 * _KEY_INVALID (damaged), _KEY_TYPE, _KEY_CURVE and _KEY_WEAK. `bytes` stays as it is and is the caller's to zeroise.
 */
export function readPrivateKey(bytes: Uint8Array, source: string): PrivateKey {
  const encoded = decodePemOrDer(bytes, source);
  if (encoded.format === 'der') return parsePrivateKey(encoded.der, source);
  const blocks = encoded.format === 'pem' ? encoded.blocks : [];
  try {
    return fromBlocks(blocks, source);
  } finally {
    for (const block of blocks) block.der.fill(0);
  }
}

function fromBlocks(blocks: readonly PemBlock[], source: string): PrivateKey {
  const keys = blocks.filter(
    (block) => KEY_LABELS.has(block.label) || block.label === 'ENCRYPTED PRIVATE KEY',
  );
  const [key] = keys;
  if (key === undefined) throw missing(blocks, source);
  if (keys.length > 1) {
    throw failure(
      'ERR_SOCRYPT_KEY_AMBIGUOUS',
      source,
      `it holds ${keys.length} private keys`,
      'Keep one key in a file',
    );
  }
  if (key.encrypted || key.label === 'ENCRYPTED PRIVATE KEY') throw encryptedKey(source);
  const parameters = blocks.find((block) => block.label === 'EC PARAMETERS');
  return parsePrivateKey(key.der, source, parameters?.der);
}

function missing(blocks: readonly PemBlock[], source: string): SocryptError {
  const labels = [...new Set(blocks.map((block) => block.label))];
  const openssh = labels.includes('OPENSSH PRIVATE KEY');
  const came = labels.length === 0 ? 'it is neither PEM nor DER' : `it holds only ${labels.join(', ')}`;
  const advice = openssh
    ? 'An SSH key has no certificate; give the key that the certificate was made with'
    : labels.includes('CERTIFICATE')
      ? 'Check that certificate and key are not interchanged'
      : 'Give the key that the certificate was made with';
  return failure('ERR_SOCRYPT_KEY_MISSING', source, came, advice);
}

function encryptedKey(source: string): SocryptError {
  return failure(
    'ERR_SOCRYPT_KEY_ENCRYPTED',
    source,
    'it is encrypted',
    'Decrypt it (openssl pkey -in KEY -out NEWKEY) and let only the server read the file',
  );
}

/** One DER structure; `ecParameters`: an EC PARAMETERS block that stood beside it. */
function parsePrivateKey(der: Uint8Array, source: string, ecParameters?: Uint8Array): PrivateKey {
  if (der.length > MAX_KEY_BYTES || !isDer(der)) throw damaged(source);
  try {
    return byShape(der, source, ecParameters);
  } catch (error) {
    // What the parsers say may quote the key; the code and our own words are enough.
    throw error instanceof SocryptError ? error : damaged(source);
  }
}

function byShape(der: Uint8Array, source: string, ecParameters: Uint8Array | undefined): PrivateKey {
  const fields = sequenceOf(der);
  if (fields === undefined) throw damaged(source);
  const shape = fields.slice(0, 3).map((field) => field.tag);
  const [first, second, third] = shape;
  if (first === TAG.integer && second === TAG.sequence && third === TAG.octetString) {
    return fromPkcs8(der, fields, source);
  }
  if (first === TAG.integer && second === TAG.octetString)
    return fromSec1(der, source, curveOfBlock(ecParameters, source));
  if (first === TAG.integer && second === TAG.integer) return fromPkcs1(der, source);
  if (first === TAG.sequence && second === TAG.octetString) throw encryptedKey(source);
  if (first === TAG.sequence && second === TAG.sequence && third === TAG.bitString) {
    throw failure(
      'ERR_SOCRYPT_KEY_MISSING',
      source,
      'it is a certificate',
      'Check that certificate and key are not interchanged',
    );
  }
  if (first === TAG.integer && second === TAG.sequence) {
    throw failure(
      'ERR_SOCRYPT_KEY_MISSING',
      source,
      'it looks like PKCS#12',
      'Convert it: openssl pkcs12 -in FILE -nodes -out both.pem',
    );
  }
  throw damaged(source);
}

function fromPkcs8(der: Uint8Array, fields: readonly DerElement[], source: string): PrivateKey {
  // Version 1 (RFC 5958) adds a public key that the older schema does not know, and attributes say nothing we use.
  const essential = Buffer.concat(fields.slice(0, 3).map((field) => slice(der, field)));
  const info = sequenceFrom(essential);
  essential.fill(0);
  let inner: Uint8Array | undefined;
  try {
    if (
      contentOf(der, fields[0]!).some((octet, i, all) => (i === all.length - 1 ? octet > 1 : octet !== 0))
    ) {
      throw damaged(source);
    }
    const parsed = withVersionZero(info);
    inner = new Uint8Array(parsed.privateKey.buffer);
    const algorithm = parsed.privateKeyAlgorithm;
    switch (algorithm.algorithm) {
      case OID_RSA:
        return fromPkcs1(inner, source);
      case OID_EC:
        return fromSec1(inner, source, curveFrom(algorithm.parameters, source));
      case OID_ED25519:
        return fromEd25519(inner, source);
      default: {
        const name = OTHER_ALGORITHMS[algorithm.algorithm] ?? `algorithm ${algorithm.algorithm}`;
        throw unsupportedType(name, source);
      }
    }
  } finally {
    info.fill(0);
    inner?.fill(0);
  }
}

function withVersionZero(info: Uint8Array): PrivateKeyInfo {
  const version = sequenceOf(info)![0]!;
  info[version.end - 1] = 0;
  return parseAs(info, PrivateKeyInfo, true);
}

function fromPkcs1(der: Uint8Array, source: string): PrivateKey {
  const key = parseAs(der, RSAPrivateKey, true);
  try {
    if (key.version !== 0) throw unsupportedType('RSA with more than two primes', source);
    const bits = bitLength(key.modulus);
    if (bits < MIN_RSA_BITS) {
      throw failure(
        'ERR_SOCRYPT_KEY_WEAK',
        source,
        `it is RSA with ${bits} bits, and ${MIN_RSA_BITS} are the least`,
        'Make a new key and have a certificate issued for it (openssl ecparam -name prime256v1 -genkey -noout -out KEY)',
      );
    }
    if (bits > MAX_RSA_BITS)
      throw unsupportedType(`RSA with ${bits} bits (at most ${MAX_RSA_BITS} work)`, source);
    return accepted(
      { type: 'rsa', bits },
      new AlgorithmIdentifier({ algorithm: OID_RSA, parameters: null }),
      der,
    );
  } finally {
    const secrets = [
      key.privateExponent,
      key.prime1,
      key.prime2,
      key.exponent1,
      key.exponent2,
      key.coefficient,
    ];
    for (const secret of secrets) new Uint8Array(secret).fill(0);
  }
}

function fromSec1(der: Uint8Array, source: string, outer: CurveFacts | undefined): PrivateKey {
  const key = parseAs(der, ECPrivateKey, true);
  const stored = new Uint8Array(key.privateKey.buffer);
  let scalar: Uint8Array | undefined;
  try {
    if (key.version !== 1) throw damaged(source);
    if (key.parameters !== undefined && key.parameters.namedCurve === undefined) throw explicitCurve(source);
    const inner = key.parameters === undefined ? undefined : curveByOid(key.parameters.namedCurve!, source);
    const facts = inner ?? outer;
    if (facts === undefined) {
      throw failure(
        'ERR_SOCRYPT_KEY_CURVE',
        source,
        'the key does not say its curve',
        'Write it again: openssl ec -in KEY -out NEWKEY',
      );
    }
    if (inner !== undefined && outer !== undefined && inner !== outer) throw damaged(source);
    scalar = fixedLength(stored, facts.bytes);
    if (scalar === undefined) throw damaged(source);
    const ecdh = createECDH(facts.ecdh);
    ecdh.setPrivateKey(scalar);
    const point = ecdh.getPublicKey();
    if (key.publicKey !== undefined && !uncompressed(key.publicKey, facts).equals(point))
      throw damaged(source);

    const algorithm = new AlgorithmIdentifier({ algorithm: OID_EC, parameters: oidBytes(facts) });
    const canonical = serialize(
      new ECPrivateKey({ privateKey: new OctetString(scalar), publicKey: toArrayBuffer(point) }),
    );
    try {
      return accepted({ type: 'ec', curve: facts.curve }, algorithm, canonical);
    } finally {
      canonical.fill(0);
    }
  } finally {
    stored.fill(0);
    scalar?.fill(0);
  }
}

function fromEd25519(der: Uint8Array, source: string): PrivateKey {
  // RFC 8410 7: CurvePrivateKey ::= OCTET STRING
  if (der.length !== 34 || der[0] !== TAG.octetString || der[1] !== 32) throw damaged(source);
  return accepted({ type: 'ed25519' }, new AlgorithmIdentifier({ algorithm: OID_ED25519 }), der);
}

/** The key as libcrypto writes it, which makes one form of each and takes none that it could not use. */
function accepted(
  description: KeyDescription,
  privateKeyAlgorithm: AlgorithmIdentifier,
  inner: Uint8Array,
): PrivateKey {
  const secret = new OctetString(Uint8Array.from(inner));
  const draft = serialize(new PrivateKeyInfo({ privateKeyAlgorithm, privateKey: secret }));
  new Uint8Array(secret.buffer).fill(0);
  try {
    const key = createPrivateKey({ key: Buffer.from(draft.buffer), format: 'der', type: 'pkcs8' });
    const spki = createPublicKey(key).export({ type: 'spki', format: 'der' });
    const pkcs8 = key.export({ type: 'pkcs8', format: 'der' });
    const own = Uint8Array.from(pkcs8);
    pkcs8.fill(0);
    return { description, pkcs8: own, spki: Uint8Array.from(spki) };
  } finally {
    draft.fill(0);
  }
}

function curveOfBlock(parameters: Uint8Array | undefined, source: string): CurveFacts | undefined {
  return parameters === undefined ? undefined : curveFrom(toArrayBuffer(parameters), source);
}

/** `parameters`: ECParameters, DER, of which only namedCurve will do (RFC 5480 2.1.1). */
function curveFrom(parameters: ArrayBuffer | null | undefined, source: string): CurveFacts | undefined {
  if (parameters === undefined || parameters === null) return undefined;
  const bytes = new Uint8Array(parameters);
  if (bytes[0] === TAG.sequence) throw explicitCurve(source);
  if (bytes[0] !== TAG.objectIdentifier) throw damaged(source);
  return curveByOid(parseAs(sequenceFrom(bytes), AlgorithmIdentifier).algorithm, source);
}

function curveByOid(oid: string, source: string): CurveFacts {
  const facts = CURVES.find((known) => known.oid === oid);
  if (facts !== undefined) return facts;
  throw failure(
    'ERR_SOCRYPT_KEY_CURVE',
    source,
    `its curve is ${OTHER_CURVES[oid] ?? oid}, and P-256 and P-384 are the curves supported`,
    'Make a P-256 key and have a certificate issued for it',
  );
}

function explicitCurve(source: string): SocryptError {
  return failure(
    'ERR_SOCRYPT_KEY_CURVE',
    source,
    'it spells its curve out instead of naming it, which RFC 5480 forbids',
    'Name the curve: openssl ec -in KEY -param_enc named_curve -out NEWKEY',
  );
}

function oidBytes(facts: CurveFacts): ArrayBuffer {
  const sequence = serialize(new AlgorithmIdentifier({ algorithm: facts.oid }));
  return toArrayBuffer(
    contentOf(sequence, { tag: TAG.sequence, start: 0, contentStart: 2, end: sequence.length }),
  );
}

function uncompressed(point: ArrayBuffer, facts: CurveFacts): Buffer {
  return ECDH.convertKey(Buffer.from(point), facts.ecdh) as Buffer;
}

/** A SEQUENCE around `content` (shorter than 64 KiB + a few). */
function sequenceFrom(content: Uint8Array): Uint8Array {
  const size = content.length;
  const octets = size < 0x80 ? 0 : size < 0x100 ? 1 : size < 0x10000 ? 2 : 3;
  const sequence = new Uint8Array(2 + octets + size);
  sequence[0] = TAG.sequence;
  sequence[1] = octets === 0 ? size : 0x80 | octets;
  for (let i = 0; i < octets; i++) sequence[2 + i] = (size >> (8 * (octets - 1 - i))) & 0xff;
  sequence.set(content, 2 + octets);
  return sequence;
}

function fixedLength(bytes: Uint8Array, length: number): Uint8Array | undefined {
  const excess = bytes.length - length;
  if (excess > 0 && bytes.subarray(0, excess).some((octet) => octet !== 0)) return undefined;
  const fixed = new Uint8Array(length);
  fixed.set(bytes.subarray(Math.max(excess, 0)), Math.max(-excess, 0));
  return fixed;
}

/** Of a DER INTEGER's content; 0 when negative. */
function bitLength(integer: ArrayBuffer): number {
  const bytes = new Uint8Array(integer);
  if ((bytes[0] ?? 0x80) >= 0x80) return 0;
  const first = bytes.findIndex((octet) => octet !== 0);
  return first < 0 ? 0 : (bytes.length - first) * 8 - (Math.clz32(bytes[first]!) - 24);
}

function toArrayBuffer(bytes: Uint8Array): ArrayBuffer {
  return Uint8Array.from(bytes).buffer;
}

function failure(code: ErrorCode, source: string, came: string, advice: string): SocryptError {
  return new SocryptError(code, `${source}: expected ${WANTED}, but ${came}. ${advice}.`);
}

function unsupportedType(name: string, source: string): SocryptError {
  return failure(
    'ERR_SOCRYPT_KEY_TYPE',
    source,
    `it is ${name}; EC (P-256, P-384), RSA (2048 bits and more) and Ed25519 are supported`,
    'Make a key of one of these types and have a certificate issued for it',
  );
}

function damaged(source: string): SocryptError {
  return failure(
    'ERR_SOCRYPT_KEY_INVALID',
    source,
    'its content is damaged',
    'Check it: openssl pkey -in KEY -check -noout',
  );
}
