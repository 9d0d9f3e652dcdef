/** What the server proves itself with: certificate chains, their keys, and which of them a client gets. */
import { createPublicKey, verify as verifySignature } from 'node:crypto';
import { type ErrorCode, SocryptError } from '../errors.ts';
import { type Certificate, readCertificates } from '../x509/certificate.ts';
import { orderChain } from '../x509/chain.ts';
import { describeKey, type KeyDescription, type PrivateKey, readPrivateKey } from '../x509/private-key.ts';
import { readBounded } from './files.ts';
import { NameTable } from './name-table.ts';

/** A private key that signs and never shows itself; `native.crypto.importPrivateKey` makes them. */
export interface Signer {
  /** `scheme`: TLS SignatureScheme code point. */
  sign(scheme: number, data: Uint8Array): Uint8Array;
}

export interface KeyImporter {
  importPrivateKey(pkcs8: Uint8Array): Signer;
}

/** Files, or their contents (PEM or DER) as they would be in the files. */
export type CredentialSource =
  | { readonly certFile: string; readonly keyFile: string }
  | { readonly cert: string | Uint8Array; readonly key: string | Uint8Array };

export interface CredentialOptions {
  /** Who holds the key: `native.crypto`. */
  readonly crypto: KeyImporter;
  /** Take an expired certificate, with a warning. Default false. */
  readonly allowExpired?: boolean;
  /** Default: now. */
  readonly now?: Date;
}

export interface CredentialWarning {
  readonly code: ErrorCode;
  readonly message: string;
}

/** SignatureScheme code points, RFC 8446 4.2.3. */
const ECDSA_SECP256R1_SHA256 = 0x0403;
const ECDSA_SECP384R1_SHA384 = 0x0503;
const ED25519 = 0x0807;
const RSA_PSS_RSAE_SHA256 = 0x0804;
const RSA_PSS_RSAE_SHA384 = 0x0805;
const RSA_PSS_RSAE_SHA512 = 0x0806;

const DAY_MS = 24 * 60 * 60 * 1000;
const WARN_BEFORE_EXPIRY_MS = 14 * DAY_MS;
const OID_SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const OID_ANY_EXTENDED_KEY_USAGE = '2.5.29.37.0';

/** The schemes of TLS 1.3 that a key can sign with, the preferred one first. */
export function schemesOf(key: KeyDescription): readonly number[] {
  if (key.type === 'rsa') return [RSA_PSS_RSAE_SHA256, RSA_PSS_RSAE_SHA384, RSA_PSS_RSAE_SHA512];
  if (key.type === 'ed25519') return [ED25519];
  return [key.curve === 'P-256' ? ECDSA_SECP256R1_SHA256 : ECDSA_SECP384R1_SHA384];
}

/** One chain and its key. Immutable; the key itself cannot be reached. */
export class Credential {
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[];
  readonly schemes: readonly number[];
  readonly key: KeyDescription;
  /** Subject of the leaf, for people. */
  readonly subject: string;
  /** subjectAltName host names of the leaf, lower case, wildcards included. */
  readonly names: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly warnings: readonly CredentialWarning[];
  readonly #signer: Signer;

  constructor(
    certificates: readonly [Certificate, ...Certificate[]],
    key: KeyDescription,
    signer: Signer,
    warnings: readonly CredentialWarning[] = [],
  ) {
    const [leaf] = certificates;
    this.chain = Object.freeze(certificates.map((certificate) => certificate.der));
    this.schemes = Object.freeze([...schemesOf(key)]);
    this.key = Object.freeze({ ...key });
    this.subject = leaf.subject;
    this.names = Object.freeze([...leaf.dnsNames]);
    this.ipAddresses = Object.freeze([...leaf.ipAddresses]);
    this.notBefore = leaf.notBefore;
    this.notAfter = leaf.notAfter;
    this.warnings = Object.freeze([...warnings]);
    this.#signer = signer;
    Object.freeze(this);
  }

  /** Signs `data` as `scheme` (one of `schemes`) says. Throws ERR_SOCRYPT_KEY_SCHEME for another one. */
  sign(scheme: number, data: Uint8Array): Uint8Array {
    return this.#signer.sign(scheme, data);
  }
}

/**
 * Reads a chain and its key, checks that they belong together and that the key works. Throws SocryptError:
 * ERR_SOCRYPT_FILE_UNREADABLE, _FILE_TOO_LARGE, the codes of readCertificates, readPrivateKey and orderChain,
 * ERR_SOCRYPT_KEY_MISMATCH, ERR_SOCRYPT_CERTIFICATE_EXPIRED, ERR_SOCRYPT_CERTIFICATE_NOT_YET_VALID.
 */
export function loadCredential(source: CredentialSource, options: CredentialOptions): Credential {
  const names =
    'certFile' in source
      ? { cert: `certificate file ${source.certFile}`, key: `private key file ${source.keyFile}` }
      : { cert: 'certificate', key: 'private key' };
  const certBytes = 'certFile' in source ? readBounded(source.certFile, names.cert) : asBytes(source.cert);
  const certificates = readCertificates(certBytes, names.cert);
  const key = readKey(source, names.key);
  try {
    const leaf = leafFor(key, certificates, names);
    const chain = orderChain(certificates, names.cert, leaf);
    const warnings: CredentialWarning[] = chain.notes.map((message) => ({
      code: 'ERR_SOCRYPT_CERTIFICATE_CHAIN',
      message,
    }));
    checkTimes(chain.certificates, names.cert, options, warnings);
    checkUsage(leaf, names.cert, warnings);
    const signer = options.crypto.importPrivateKey(key.pkcs8);
    proveKey(signer, key, names);
    return new Credential(chain.certificates, key.description, signer, warnings);
  } finally {
    key.pkcs8.fill(0);
  }
}

function readKey(source: CredentialSource, name: string): PrivateKey {
  if ('key' in source && typeof source.key !== 'string') return readPrivateKey(source.key, name);
  const bytes = 'keyFile' in source ? readBounded(source.keyFile, name) : asBytes(source.key);
  try {
    return readPrivateKey(bytes, name);
  } finally {
    bytes.fill(0);
  }
}

function leafFor(
  key: PrivateKey,
  certificates: readonly Certificate[],
  names: { readonly cert: string; readonly key: string },
): Certificate {
  const own = createPublicKey({ key: Buffer.from(key.spki), format: 'der', type: 'spki' });
  for (const certificate of certificates) {
    // Compared as keys and not as bytes: an EC point may be compressed in one of the two.
    try {
      const theirs = createPublicKey({ key: Buffer.from(certificate.spki), format: 'der', type: 'spki' });
      if (theirs.equals(own)) return certificate;
    } catch {
      // A kind of key that libcrypto does not know is not ours.
    }
  }
  throw mismatch(
    names,
    `none of its ${certificates.length} certificate(s) has the public key of this ${describeKey(key.description)} key`,
    certificates,
  );
}

function mismatch(
  names: { readonly cert: string; readonly key: string },
  came: string,
  certificates: readonly Certificate[] = [],
): SocryptError {
  const subjects =
    certificates.length === 0 ? '' : ` (${certificates.map(({ subject }) => `"${subject}"`).join(', ')})`;
  return new SocryptError(
    'ERR_SOCRYPT_KEY_MISMATCH',
    `${names.key}: expected the key of the certificate in ${names.cert}, but ${came}${subjects}. ` +
      'Give the key that the certificate was requested with.',
  );
}

function checkTimes(
  certificates: readonly [Certificate, ...Certificate[]],
  source: string,
  options: CredentialOptions,
  warnings: CredentialWarning[],
): void {
  const now = (options.now ?? new Date()).getTime();
  for (const [depth, { subject, notBefore, notAfter }] of certificates.entries()) {
    const which = `${source}: ${depth === 0 ? 'the certificate' : 'the intermediate certificate'} of "${subject}"`;
    if (now > notAfter.getTime()) {
      const message = `${which}: expected a valid one, but it expired on ${notAfter.toISOString()}. Renew it (or serve it all the same with --allow-expired).`;
      if (options.allowExpired !== true) throw new SocryptError('ERR_SOCRYPT_CERTIFICATE_EXPIRED', message);
      warnings.push({ code: 'ERR_SOCRYPT_CERTIFICATE_EXPIRED', message });
    } else if (now < notBefore.getTime()) {
      throw new SocryptError(
        'ERR_SOCRYPT_CERTIFICATE_NOT_YET_VALID',
        `${which}: expected a valid one, but it is valid only from ${notBefore.toISOString()}, and this machine's clock ` +
          `says ${new Date(now).toISOString()}. Set the clock right, or wait.`,
      );
    } else if (notAfter.getTime() - now < WARN_BEFORE_EXPIRY_MS) {
      const days = Math.floor((notAfter.getTime() - now) / DAY_MS);
      warnings.push({
        code: 'ERR_SOCRYPT_CERTIFICATE_EXPIRES_SOON',
        message: `${which} expires in ${days} day(s), on ${notAfter.toISOString()}. Renew it.`,
      });
    }
  }
}

/** What clients hold against a certificate that we can still send. */
function checkUsage(leaf: Certificate, source: string, warnings: CredentialWarning[]): void {
  const warn = (what: string): void => {
    warnings.push({ code: 'ERR_SOCRYPT_CERTIFICATE_USAGE', message: `${source}: ${what}` });
  };
  const usages = leaf.extendedKeyUsage;
  if (
    usages !== undefined &&
    !usages.includes(OID_SERVER_AUTH) &&
    !usages.includes(OID_ANY_EXTENDED_KEY_USAGE)
  ) {
    warn('its extended key usage lacks serverAuth; clients will refuse it');
  }
  // RFC 8446 4.4.2.2
  if (leaf.keyUsage !== undefined && !leaf.keyUsage.includes('digitalSignature')) {
    warn('its key usage lacks digitalSignature, which TLS 1.3 needs; clients may refuse it');
  }
  if (leaf.dnsNames.length === 0 && leaf.ipAddresses.length === 0) {
    warn(
      'it has no subjectAltName host name or address; clients do not look at the common name and will refuse it',
    );
  }
  if (leaf.oddDnsNames.length > 0) warn(`these names can match no host: ${leaf.oddDnsNames.join(', ')}`);
}

/** One signature made and verified: a key whose private part is wrong would fail every handshake, not this start. */
function proveKey(
  signer: Signer,
  key: PrivateKey,
  names: { readonly cert: string; readonly key: string },
): void {
  const data = Buffer.from('socrypt: this key signs for its certificate');
  const scheme = schemesOf(key.description)[0]!;
  const publicKey = createPublicKey({ key: Buffer.from(key.spki), format: 'der', type: 'spki' });
  const hash =
    key.description.type === 'ed25519' ? null : scheme === ECDSA_SECP384R1_SHA384 ? 'sha384' : 'sha256';
  const verifier =
    key.description.type === 'rsa' ? { key: publicKey, padding: 6, saltLength: 32 } : publicKey;
  let good = false;
  try {
    good = verifySignature(hash, data, verifier, signer.sign(scheme, data));
  } catch {
    // A damaged RSA key can make signing itself fail.
  }
  if (!good) throw mismatch(names, 'a signature made with it does not verify');
}

function asBytes(content: string | Uint8Array): Uint8Array {
  return typeof content === 'string' ? new Uint8Array(Buffer.from(content, 'utf8')) : content;
}

/** ECDSA and Ed25519 before RSA: a signature costs a tenth, the chain is shorter. */
function preferenceOf(credential: Credential): number {
  if (credential.key.type === 'rsa') return 2;
  return credential.key.type === 'ec' ? 0 : 1;
}

export interface CredentialQuery {
  /** SNI host_name as it came, in any case; undefined or '' without SNI. */
  readonly serverName: string | undefined;
  /** The client's signature_algorithms. */
  readonly signatureSchemes: ArrayLike<number>;
}

/** Credentials by name. Immutable: a reload makes a new store. */
export class CredentialStore {
  readonly credentials: readonly Credential[];
  readonly #exact: NameTable<Credential>;
  /** By what follows the asterisk's label: "*.example.com" under "example.com". */
  readonly #wildcard: NameTable<Credential>;
  readonly #fallback: readonly Credential[];

  /** The first one is the default. Throws ERR_SOCRYPT_CREDENTIAL_MISSING for none. */
  constructor(credentials: readonly Credential[]) {
    const [first] = credentials;
    if (first === undefined) {
      throw new SocryptError(
        'ERR_SOCRYPT_CREDENTIAL_MISSING',
        'Expected at least one certificate with its key, but none is configured. Give --cert and --key.',
      );
    }
    this.credentials = Object.freeze([...credentials]);
    const byPreference = credentials.toSorted((a, b) => preferenceOf(a) - preferenceOf(b));
    const exact: [string, Credential][] = [];
    const wildcard: [string, Credential][] = [];
    for (const credential of byPreference) {
      for (const name of new Set(credential.names)) {
        if (name.startsWith('*.')) wildcard.push([name.slice(2), credential]);
        else exact.push([name, credential]);
      }
    }
    this.#exact = new NameTable(exact);
    this.#wildcard = new NameTable(wildcard);
    // The default's other half (RSA beside ECDSA) stands in for it where the client cannot take the default.
    const names = new Set(first.names);
    this.#fallback = byPreference.filter(
      (other) => other === first || other.names.some((name) => names.has(name)),
    );
    Object.freeze(this);
  }

  /**
   * The credential for a client: by exact name, else by wildcard, else the default; of several the first that the client
   * can verify, ECDSA before RSA. undefined: the client can verify none (RFC 8446 4.4.2.2: handshake_failure).
   * Allocates nothing.
   */
  select(query: CredentialQuery): Credential | undefined {
    const { serverName, signatureSchemes } = query;
    if (serverName !== undefined && serverName !== '') {
      const exact = firstUsable(this.#exact.find(serverName, 0), signatureSchemes);
      if (exact !== undefined) return exact;
      // RFC 9525 6.3: the asterisk stands for exactly one whole label, which is not empty.
      const dot = serverName.indexOf('.');
      if (dot > 0) {
        const wildcard = firstUsable(this.#wildcard.find(serverName, dot + 1), signatureSchemes);
        if (wildcard !== undefined) return wildcard;
      }
    }
    return firstUsable(this.#fallback, signatureSchemes);
  }
}

function firstUsable(
  credentials: readonly Credential[] | undefined,
  schemes: ArrayLike<number>,
): Credential | undefined {
  if (credentials === undefined) return undefined;
  for (let i = 0; i < credentials.length; i++) {
    const own = credentials[i]!.schemes;
    for (let j = 0; j < schemes.length; j++) {
      if (own.includes(schemes[j]!)) return credentials[i];
    }
  }
  return undefined;
}
