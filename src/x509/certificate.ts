/** X.509 certificates (RFC 5280), read into the few facts a server needs. */
import { X509Certificate } from 'node:crypto';
import {
  AuthorityKeyIdentifier,
  BasicConstraints,
  ExtendedKeyUsage,
  type Extension,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_ce_subjectKeyIdentifier,
  KeyUsage,
  type KeyUsageType,
  type Name,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
  Certificate as X509Structure,
} from '@peculiar/asn1-x509';
import { SocryptError } from '../errors.ts';
import { childrenOf, contentOf, type DerElement, DerError, parseAs, sequenceOf, slice, TAG } from './der.ts';
import { decodePemOrDer } from './pem.ts';

export interface Certificate {
  /** The whole certificate as it goes on the wire. */
  readonly der: Uint8Array;
  /** Names for people, RFC 4514 style but in the order of the certificate: "C=SE, O=Example, CN=example.com". */
  readonly subject: string;
  readonly issuer: string;
  /** Of the subject, for messages; names are matched by subjectAltName alone (RFC 9525 2). */
  readonly commonName: string | undefined;
  readonly subjectDer: Uint8Array;
  readonly issuerDer: Uint8Array;
  /** Lower-case hexadecimal. */
  readonly serialNumber: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** subjectAltName dNSName entries in lower case; those that are no host names are in `oddDnsNames`. */
  readonly dnsNames: readonly string[];
  readonly oddDnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  readonly isCA: boolean;
  /** basicConstraints pathLenConstraint; undefined: none. */
  readonly pathLength: number | undefined;
  /** undefined: the extension is absent, every use is allowed. */
  readonly keyUsage: readonly KeyUsageType[] | undefined;
  /** Object identifiers; undefined: absent, every use is allowed. */
  readonly extendedKeyUsage: readonly string[] | undefined;
  readonly subjectKeyIdentifier: Uint8Array | undefined;
  readonly authorityKeyIdentifier: Uint8Array | undefined;
  readonly version: 1 | 2 | 3;
  /** By object identifier. */
  readonly extensions: ReadonlyMap<string, CertificateExtension>;
  /** TBSCertificate, DER: what the signature covers. */
  readonly tbsDer: Uint8Array;
  /** AlgorithmIdentifiers, DER: the signed one, and the one beside the signature (RFC 5280 4.1.1.2). */
  readonly tbsSignatureAlgorithm: Uint8Array;
  readonly signatureAlgorithm: Uint8Array;
  /** The signature itself, whole octets. */
  readonly signature: Uint8Array;
}

export interface CertificateExtension {
  readonly critical: boolean;
  /** Content of extnValue: DER. */
  readonly value: Uint8Array;
}

/** Far above any real certificate; with it the record layer's 2^24 bound on a Certificate message is never near. */
export const MAX_CERTIFICATE_BYTES = 64 * 1024;
const MAX_CERTIFICATES = 16;
const MAX_NAME_TEXT = 256;

const CERTIFICATE_LABELS: ReadonlySet<string> = new Set(['CERTIFICATE', 'X509 CERTIFICATE']);

/**
 * All certificates in `bytes` (PEM: one to `most`; DER: one), in their order. Throws ERR_SOCRYPT_PEM_INVALID,
 * ERR_SOCRYPT_CERTIFICATE_MISSING (nothing here is a certificate) and ERR_SOCRYPT_CERTIFICATE_INVALID (damaged, too many, too large).
 */
export function readCertificates(
  bytes: Uint8Array,
  source: string,
  most: number = MAX_CERTIFICATES,
): Certificate[] {
  const encoded = decodePemOrDer(bytes, source, most === MAX_CERTIFICATES ? undefined : most);
  if (encoded.format === 'der') return [parseCertificate(encoded.der, source)];
  const blocks = encoded.format === 'pem' ? encoded.blocks : [];
  const wanted = blocks.filter((block) => CERTIFICATE_LABELS.has(block.label));
  for (const block of blocks) {
    if (!wanted.includes(block)) block.der.fill(0);
  }
  if (wanted.length === 0) throw missing(new Set(blocks.map((block) => block.label)), source);
  if (wanted.length > most) {
    throw invalid(source, `it holds ${wanted.length}, and ${most} are the most it may hold`);
  }
  return wanted.map((block) => parseCertificate(block.der, `${source}, line ${block.line}`));
}

/** One certificate from DER. Throws ERR_SOCRYPT_CERTIFICATE_INVALID, or _MISSING when it is something else. */
export function parseCertificate(der: Uint8Array, source: string): Certificate {
  if (der.length > MAX_CERTIFICATE_BYTES) {
    throw invalid(source, `it has ${der.length} bytes, and ${MAX_CERTIFICATE_BYTES} are the most`);
  }
  try {
    const own = Uint8Array.from(der);
    const certificate = viewOf(own);
    // A second, separate parser: what OpenSSL does not take as a certificate, peers do not either.
    new X509Certificate(own);
    return certificate;
  } catch (error) {
    if (error instanceof SocryptError) throw error;
    throw invalid(source, 'its content is damaged or is something else', error);
  }
}

function viewOf(der: Uint8Array): Certificate {
  const tbs = parseAs(der, X509Structure).tbsCertificate;
  const raw = rawFields(der);
  const extensions = extensionsOf(tbs.extensions ?? []);
  function find<T>(oid: string, schema: new () => T): T | undefined {
    const extension = extensions.get(oid);
    return extension === undefined ? undefined : parseAs(extension.value, schema);
  }

  const dnsNames: string[] = [];
  const oddDnsNames: string[] = [];
  const ipAddresses: string[] = [];
  for (const name of find(id_ce_subjectAltName, SubjectAlternativeName) ?? []) {
    if (name.dNSName !== undefined) {
      const lower = name.dNSName.toLowerCase();
      if (isHostName(lower)) dnsNames.push(lower);
      else oddDnsNames.push(printable(name.dNSName));
    } else if (name.iPAddress !== undefined) {
      ipAddresses.push(name.iPAddress);
    }
  }

  const basic = find(id_ce_basicConstraints, BasicConstraints);
  const usages = find(id_ce_extKeyUsage, ExtendedKeyUsage);
  const subjectKeyIdentifier = find(id_ce_subjectKeyIdentifier, SubjectKeyIdentifier);
  const authorityKeyIdentifier = find(id_ce_authorityKeyIdentifier, AuthorityKeyIdentifier)?.keyIdentifier;
  return {
    der,
    subject: nameText(tbs.subject),
    issuer: nameText(tbs.issuer),
    commonName: commonNameOf(tbs.subject),
    subjectDer: raw.subject,
    issuerDer: raw.issuer,
    // RFC 5280 4.1.2.2: "MUST be able to handle serialNumber values up to 20 octets"; so RFC 5280 B: "MUST be able to
    // handle serialNumber values up to 20 octets in length".
    serialNumber: Buffer.from(tbs.serialNumber).toString('hex'),
    notBefore: checkedTime(tbs.validity.notBefore.getTime(), raw.notBefore),
    notAfter: checkedTime(tbs.validity.notAfter.getTime(), raw.notAfter),
    dnsNames,
    oddDnsNames,
    ipAddresses,
    spki: raw.spki,
    isCA: basic?.cA ?? false,
    pathLength: basic?.pathLenConstraint,
    keyUsage: find(id_ce_keyUsage, KeyUsage)?.toJSON(),
    extendedKeyUsage: usages && [...usages],
    subjectKeyIdentifier: subjectKeyIdentifier && new Uint8Array(subjectKeyIdentifier.buffer),
    authorityKeyIdentifier: authorityKeyIdentifier && new Uint8Array(authorityKeyIdentifier.buffer),
    version: versionOf(tbs.version),
    extensions,
    tbsDer: raw.tbs,
    tbsSignatureAlgorithm: raw.tbsSignatureAlgorithm,
    signatureAlgorithm: raw.signatureAlgorithm,
    signature: raw.signature,
  };
}

/** Of a certificate or a list. RFC 5280 4.2: "A certificate MUST NOT include more than one instance of a particular extension." */
export function extensionsOf(list: Iterable<Extension>): ReadonlyMap<string, CertificateExtension> {
  const extensions = new Map<string, CertificateExtension>();
  for (const { extnID, critical, extnValue } of list) {
    if (extensions.has(extnID)) throw new DerError(`extension ${extnID} twice`);
    extensions.set(extnID, { critical, value: new Uint8Array(extnValue.buffer) });
  }
  return extensions;
}

/** Slices compared byte for byte, which what asn1-schema serialises again need not be. */
function rawFields(der: Uint8Array): RawFields {
  const { tbs, tbsDer, signatureAlgorithm, signature } = signedParts(der);
  const fields = childrenOf(der, tbs);
  // version [0] is absent in a version 1 certificate.
  const from = fields?.[0]?.tag === 0xa0 ? 1 : 0;
  const part = (index: number): DerElement => {
    const field = fields?.[from + index];
    if (field === undefined) throw new DerError('TBSCertificate is too short');
    return field;
  };
  const [notBefore, notAfter] = childrenOf(der, part(3)) ?? [];
  if (notBefore === undefined || notAfter === undefined) throw new DerError('Validity is too short');
  return {
    tbs: tbsDer,
    tbsSignatureAlgorithm: slice(der, part(1)),
    signatureAlgorithm,
    signature,
    issuer: slice(der, part(2)),
    notBefore: contentOf(der, notBefore),
    notAfter: contentOf(der, notAfter),
    subject: slice(der, part(4)),
    spki: slice(der, part(5)),
  };
}

/** SEQUENCE { toBeSigned, signatureAlgorithm, signatureValue }: the shape of certificates and of lists. Throws DerError. */
export function signedParts(der: Uint8Array): SignedParts {
  const [tbs, algorithm, value, ...more] = sequenceOf(der) ?? [];
  if (tbs === undefined || algorithm === undefined || value?.tag !== TAG.bitString || more.length > 0) {
    throw new DerError('not a signed structure');
  }
  const bits = contentOf(der, value);
  if (bits[0] !== 0) throw new DerError('a signature that is not whole octets');
  return {
    tbs,
    tbsDer: slice(der, tbs),
    signatureAlgorithm: slice(der, algorithm),
    signature: bits.subarray(1),
  };
}

interface SignedParts {
  readonly tbs: DerElement;
  readonly tbsDer: Uint8Array;
  readonly signatureAlgorithm: Uint8Array;
  readonly signature: Uint8Array;
}

// RFC 5280 4.1.2.1: "conforming implementations MUST recognize version 3 certificates".
function versionOf(value: number): 1 | 2 | 3 {
  if (value === 0 || value === 1 || value === 2) return (value + 1) as 1 | 2 | 3;
  throw new DerError(`version ${value}`);
}

interface RawFields {
  readonly tbs: Uint8Array;
  readonly tbsSignatureAlgorithm: Uint8Array;
  readonly signatureAlgorithm: Uint8Array;
  readonly signature: Uint8Array;
  readonly issuer: Uint8Array;
  /** Content octets. */
  readonly notBefore: Uint8Array;
  readonly notAfter: Uint8Array;
  readonly subject: Uint8Array;
  readonly spki: Uint8Array;
}

/**
 * A dNSName that can match: LDH labels (and the underscore that some have), an asterisk only as the whole leftmost
 * label (RFC 9525 6.3). Internationalised names are A-labels here.
 */
export function isHostName(name: string): boolean {
  if (name.length === 0 || name.length > 253) return false;
  return /^(?:\*\.)?[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_][a-z0-9_-]{0,62})*$/.test(name);
}

const ATTRIBUTES: Readonly<Record<string, string>> = {
  '2.5.4.3': 'CN',
  '2.5.4.5': 'serialNumber',
  '2.5.4.6': 'C',
  '2.5.4.7': 'L',
  '2.5.4.8': 'ST',
  '2.5.4.10': 'O',
  '2.5.4.11': 'OU',
  '0.9.2342.19200300.100.1.25': 'DC',
  '1.2.840.113549.1.9.1': 'emailAddress',
};

export function nameText(name: Name): string {
  const text = name
    .flatMap((rdn) => [...rdn].map(({ type, value }) => `${ATTRIBUTES[type] ?? type}=${value.toString()}`))
    .join(', ');
  return text === '' ? '(no subject)' : printable(text);
}

function commonNameOf(name: Name): string | undefined {
  for (const rdn of name) {
    for (const { type, value } of rdn) {
      if (type === '2.5.4.3') return printable(value.toString());
    }
  }
  return undefined;
}

/** Names reach terminals and logs: no control characters, no bidirectional overrides, bounded. */
export function printable(text: string): string {
  const clean = text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '?');
  return clean.length > MAX_NAME_TEXT ? `${clean.slice(0, MAX_NAME_TEXT)}…` : clean;
}

/**
 * asn1-schema takes the 31st of February for a day in March; RFC 5280 4.1.2.5 has one form, to the second, in UTC.
 * RFC 5280 4.1.2.5: "MUST be able to process validity dates that are encoded in either UTCTime or GeneralizedTime";
 * RFC 5280 4.1.2.5: "MUST be expressed in Greenwich Mean Time (Zulu) and MUST include seconds"; RFC 5280 4.1.2.5.2:
 * "MUST NOT include fractional seconds". The century is asn1js's to say. RFC 5280 4.1.2.5.1: "MUST interpret the year
 * field (YY) as follows"; "the year SHALL be interpreted as 19YY"; "the year SHALL be interpreted as 20YY". For lists
 * RFC 5280 5.1.2: "Where encoded as UTCTime … MUST be specified and interpreted as defined in Section 4.1.2.5.1";
 * "Where encoded as GeneralizedTime … MUST be specified and interpreted as defined in Section 4.1.2.5.2".
 */
export function checkedTime(date: Date, content: Uint8Array): Date {
  const text = Buffer.from(content).toString('latin1');
  const form = /^(?:\d\d)?\d{12}Z$/.test(text) && !Number.isNaN(date.getTime());
  const digits = form ? date.toISOString().slice(0, 19).replace(/\D/g, '') : '';
  if (!digits.endsWith(text.slice(0, -1)) || digits === '') throw new DerError('not a time');
  return date;
}

function missing(labels: ReadonlySet<string>, source: string): SocryptError {
  const keys = [...labels].filter((label) => label.endsWith('PRIVATE KEY'));
  const came = labels.size === 0 ? 'it is neither PEM nor DER' : `it holds only ${[...labels].join(', ')}`;
  const advice = labels.has('PKCS7')
    ? 'Convert it: openssl pkcs7 -in FILE -print_certs -out chain.pem'
    : labels.has('TRUSTED CERTIFICATE')
      ? 'Convert it: openssl x509 -in FILE -out cert.pem'
      : labels.has('CERTIFICATE REQUEST')
        ? 'A request is not a certificate yet; give what the authority sent back'
        : keys.length > 0
          ? 'Check that certificate and key are not interchanged'
          : 'Give the certificate, followed by the intermediate certificates';
  return new SocryptError(
    'ERR_SOCRYPT_CERTIFICATE_MISSING',
    `${source}: expected a certificate in PEM or DER, but ${came}. ${advice}.`,
  );
}

function invalid(source: string, came: string, cause?: unknown): SocryptError {
  return new SocryptError(
    'ERR_SOCRYPT_CERTIFICATE_INVALID',
    `${source}: expected X.509 certificates in PEM or DER, but ${came}. Check with: openssl x509 -in FILE -noout -text.`,
    cause === undefined ? undefined : { cause },
  );
}
