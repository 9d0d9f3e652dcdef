/** The order of a certificate chain (RFC 8446 4.4.2): the leaf first, each next one certifying the one before. */
import { X509Certificate } from 'node:crypto';
import { SocryptError } from '../errors.ts';
import type { Certificate } from './certificate.ts';
import { sameBytes } from './der.ts';

export interface Chain {
  /** Leaf first; no self-signed root unless the leaf is all there is. Never empty. */
  readonly certificates: readonly [Certificate, ...Certificate[]];
  /** What was put right, one sentence each. */
  readonly notes: readonly string[];
}

/**
 * Puts `certificates` in order behind `leaf` (default: the first that issued none of the others). Alternative issuers
 * (cross-signing) all stay, in the order given. Throws ERR_SOCRYPT_CERTIFICATE_CHAIN when one has nothing to do with the
 * leaf, ERR_SOCRYPT_CERTIFICATE_MISSING when there is none.
 * RFC 5246 7.4.2: "The sender's certificate MUST come first in the list."
 * RFC 8446 4.4.2: "The sender's certificate MUST come in the first CertificateEntry in the list."
 */
export function orderChain(certificates: readonly Certificate[], source: string, leaf?: Certificate): Chain {
  const notes: string[] = [];
  const distinct = withoutRepetition(certificates);
  if (distinct.length < certificates.length) {
    notes.push(`${source}: ${certificates.length - distinct.length} repeated certificate(s) left out`);
  }
  const first = leaf ?? leafOf(distinct);
  if (first === undefined) {
    throw new SocryptError(
      'ERR_SOCRYPT_CERTIFICATE_MISSING',
      `${source}: expected a certificate, but there is none.`,
    );
  }

  const rest = distinct.filter((certificate) => certificate !== first);
  const ordered: [Certificate, ...Certificate[]] = [first];
  while (rest.length > 0) {
    const next = nextOf(ordered, rest);
    if (next === undefined) throw unrelated(first, rest, source);
    ordered.push(next);
    rest.splice(rest.indexOf(next), 1);
  }
  if (ordered.some((certificate, i) => certificate !== distinct[i])) {
    notes.push(
      `${source}: the certificates were out of order and are sent in order (leaf first, then each issuer)`,
    );
  }

  // RFC 8446 4.4.2: the root MAY be omitted; a peer that trusts it has it, and each handshake is shorter without it.
  const [head, ...issuers] = ordered;
  const sent = issuers.filter((certificate) => !isSelfSigned(certificate));
  if (sent.length < issuers.length) notes.push(`${source}: the self-signed root is not sent`);
  return { certificates: [head, ...sent], notes };
}

/** True when `issuer` signed `subject`: by name, by key identifier where both have one, and by signature. */
export function isIssuedBy(subject: Certificate, issuer: Certificate): boolean {
  if (!sameBytes(subject.issuerDer, issuer.subjectDer)) return false;
  const authority = subject.authorityKeyIdentifier;
  const key = issuer.subjectKeyIdentifier;
  if (authority !== undefined && key !== undefined && !sameBytes(authority, key)) return false;
  try {
    return new X509Certificate(subject.der).verify(new X509Certificate(issuer.der).publicKey);
  } catch {
    // An algorithm libcrypto does not do: not verified.
    return false;
  }
}

export function isSelfSigned(certificate: Certificate): boolean {
  return isIssuedBy(certificate, certificate);
}

function leafOf(certificates: readonly Certificate[]): Certificate | undefined {
  const issuedNone = (candidate: Certificate): boolean =>
    !certificates.some((other) => other !== candidate && isIssuedBy(other, candidate));
  return certificates.find(issuedNone) ?? certificates[0];
}

/** The issuer of the last certificate, or else of any before it. */
function nextOf(ordered: readonly Certificate[], rest: readonly Certificate[]): Certificate | undefined {
  for (const subject of ordered.toReversed()) {
    const issuer = rest.find((candidate) => isIssuedBy(subject, candidate));
    if (issuer !== undefined) return issuer;
  }
  return undefined;
}

function unrelated(leaf: Certificate, rest: readonly Certificate[], source: string): SocryptError {
  const strangers = rest.map((certificate) => `"${certificate.subject}"`).join(' and ');
  return new SocryptError(
    'ERR_SOCRYPT_CERTIFICATE_CHAIN',
    `${source}: expected a chain for "${leaf.subject}", issued by "${leaf.issuer}", but ${strangers} did not issue it ` +
      'or an issuer of it. Give the leaf certificate and its intermediates alone.',
  );
}

function withoutRepetition(certificates: readonly Certificate[]): Certificate[] {
  return certificates.filter(
    (certificate, i) => !certificates.slice(0, i).some((earlier) => sameBytes(earlier.der, certificate.der)),
  );
}
