/** The certificate authorities that this machine trusts. */
import { statSync } from 'node:fs';
import { rootCertificates } from 'node:tls';
import { SocryptError } from '../errors.ts';
import { type Certificate, parseCertificate } from '../x509/certificate.ts';
import { readPem } from '../x509/pem.ts';
import { TrustAnchors } from '../x509/verify/link.ts';
import { readBounded } from './files.ts';

/** Where distributions keep their bundle (the list of Go's crypto/x509); the first that is there is read. */
const BUNDLES: readonly string[] = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/tls/cacert.pem',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/cert.pem',
];
export const MAX_ROOTS = 2048;

let anchors: TrustAnchors | undefined;

/**
 * The roots of the file that SSL_CERT_FILE names, else of the system's bundle, else those that came with Node. Read once, at the
 * first call, which takes some hundred milliseconds. A root that does not parse is left out: it can vouch for nobody. Throws
 * ERR_SOCRYPT_FILE_UNREADABLE, ERR_SOCRYPT_FILE_TOO_LARGE, ERR_SOCRYPT_PEM_INVALID and ERR_SOCRYPT_ROOTS_MISSING.
 */
export function systemRoots(): TrustAnchors {
  anchors ??= readSystemRoots(process.env.SSL_CERT_FILE || undefined);
  return anchors;
}

/** As `systemRoots`, not remembered. `file`: in place of the system's bundle. */
export function readSystemRoots(file?: string): TrustAnchors {
  const path = file ?? BUNDLES.find((candidate) => statSync(candidate, { throwIfNoEntry: false })?.isFile());
  const source = path === undefined ? "Node's own list of roots" : `system roots ${path}`;
  const bytes =
    path === undefined ? new Uint8Array(Buffer.from(rootCertificates.join('\n'))) : readBounded(path, source);
  const roots = readPem(bytes, source, MAX_ROOTS).flatMap(({ label, der }) =>
    label === 'CERTIFICATE' ? readable(der, source) : [],
  );
  if (roots.length > 0) return new TrustAnchors(roots);
  throw new SocryptError(
    'ERR_SOCRYPT_ROOTS_MISSING',
    `${source}: expected certificates of authorities in PEM, but there are none. Install the package ca-certificates, or name a bundle in SSL_CERT_FILE.`,
  );
}

function readable(der: Uint8Array, source: string): Certificate[] {
  try {
    return [parseCertificate(der, source)];
  } catch {
    return [];
  }
}
