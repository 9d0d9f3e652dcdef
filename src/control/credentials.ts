/** What the server proves itself with: certificate chains, their keys, and which of them a client gets. */
import { createPublicKey, verify as verifySignature } from 'node:crypto';
import { SocryptError } from '../errors.ts';
import { type Certificate, readCertificates } from '../x509/certificate.ts';
import { orderChain } from '../x509/chain.ts';
import { sameBytes } from '../x509/der.ts';
import { describeKey, type KeyDescription, type PrivateKey, readPrivateKey } from '../x509/private-key.ts';
import { schemesOfSignature } from '../x509/verify/signed.ts';
import {
  Credential,
  type CredentialParts,
  type CredentialWarning,
  ECDSA_SECP384R1_SHA384,
  type Signer,
  schemesOf,
} from './credential-store.ts';
import { readBounded } from './files.ts';
import { checkStaples, type Staples } from './staples.ts';

export {
  Credential,
  type CredentialParts,
  type CredentialQuery,
  CredentialStore,
  type CredentialWarning,
  type SharedCredential,
  type Signer,
  schemesOf,
} from './credential-store.ts';

export interface KeyImporter {
  importPrivateKey(pkcs8: Uint8Array): Signer;
}

/** Files, or their contents (PEM or DER) as they would be in the files. */
export type CredentialSource = (
  | {
      readonly certFile: string;
      readonly keyFile: string;
      /** What the files were given by, for messages: "--cert", "--key". */
      readonly options?: { readonly cert: string; readonly key: string };
    }
  | { readonly cert: string | Uint8Array; readonly key: string | Uint8Array }
) & {
  /** OCSP response for the certificate, DER. */
  readonly ocspFile?: string | undefined;
  /** SignedCertificateTimestampList (RFC 6962 3.3). */
  readonly sctFile?: string | undefined;
};

export interface CredentialOptions {
  /** Who holds the key: `native.crypto`. */
  readonly crypto: KeyImporter;
  /** Take an expired certificate, with a warning. Default false. */
  readonly allowExpired?: boolean;
  /** Default: now. */
  readonly now?: Date;
}

const DAY_MS = 24 * 60 * 60 * 1000;
const WARN_BEFORE_EXPIRY_MS = 14 * DAY_MS;
const OID_SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const OID_ANY_EXTENDED_KEY_USAGE = '2.5.29.37.0';

/**
 * Reads a chain and its key, checks that they belong together and that the key works. Throws SocryptError:
 * ERR_SOCRYPT_FILE_UNREADABLE, _FILE_TOO_LARGE, the codes of readCertificates, readPrivateKey and orderChain,
 * checkStaples, ERR_SOCRYPT_KEY_MISMATCH, ERR_SOCRYPT_CERTIFICATE_EXPIRED, ERR_SOCRYPT_CERTIFICATE_NOT_YET_VALID.
 */
export function loadCredential(source: CredentialSource, options: CredentialOptions): Credential {
  const names =
    'certFile' in source
      ? {
          cert: fileName('certificate', source.certFile, source.options?.cert),
          key: fileName('private key', source.keyFile, source.options?.key),
        }
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
    const staples = readStaples(source, names.cert, chain.certificates, options.now ?? new Date(), warnings);
    const signer = options.crypto.importPrivateKey(key.pkcs8);
    proveKey(signer, key, names);
    return new Credential(partsOf(chain.certificates, key.description, staples), signer, warnings);
  } finally {
    key.pkcs8.fill(0);
  }
}

function fileName(what: string, path: string, option: string | undefined): string {
  return `${what} file ${path}${option === undefined ? '' : ` (option ${option})`}`;
}

function partsOf(
  certificates: readonly [Certificate, ...Certificate[]],
  key: KeyDescription,
  staples: Staples,
): CredentialParts {
  const [leaf] = certificates;
  // RFC 8446 4.4.2.2: a self-signed certificate is not verified, and so may be signed in any way.
  const signed = certificates.filter(({ subjectDer, issuerDer }) => !sameBytes(subjectDer, issuerDer));
  return {
    chain: certificates.map((certificate) => certificate.der),
    key,
    subject: leaf.subject,
    names: leaf.dnsNames,
    ipAddresses: leaf.ipAddresses,
    notBefore: leaf.notBefore,
    notAfter: leaf.notAfter,
    chainSchemes: signed.map(({ signatureAlgorithm }) => schemesOfSignature(signatureAlgorithm)),
    issuers: certificates.map(({ issuerDer }) => issuerDer),
    ...staples,
  };
}

function readStaples(
  { ocspFile, sctFile }: CredentialSource,
  cert: string,
  chain: readonly [Certificate, ...Certificate[]],
  now: Date,
  warnings: CredentialWarning[],
): Staples {
  const names = { cert, ocsp: `--ocsp file ${ocspFile}`, sct: `--sct file ${sctFile}` };
  const given = {
    ocsp: ocspFile === undefined ? undefined : readBounded(ocspFile, names.ocsp),
    sct: sctFile === undefined ? undefined : readBounded(sctFile, names.sct),
  };
  return checkStaples(given, names, chain, now, warnings);
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
