/** Whether certificates of a path are revoked, by the lists at hand (RFC 5280 6.3). */

import { sameBytes } from '../der.ts';
import { covers, type RevocationList, serialKey } from './crl.ts';
import type { Link } from './link.ts';
import { type Refusal, refusal } from './refusal.ts';
import { checkAlgorithm, isSignedBy } from './signed.ts';

export interface RevocationPolicy {
  readonly lists: readonly RevocationList[];
  /** Which certificates must not be revoked: the leaf, or all but the trust anchor. Default 'chain'. */
  readonly check?: 'leaf' | 'chain';
  /** When no list at hand is about a certificate. Default 'refuse'. */
  readonly missing?: 'refuse' | 'accept';
  /** When each list about a certificate is past its nextUpdate (or before its thisUpdate). What it revokes stays revoked. Default 'refuse'. */
  readonly stale?: 'refuse' | 'accept';
}

/** A list is verified once for an issuer's key, however many handshakes ask. */
const verifiedBy = new WeakMap<RevocationList, { readonly spki: Uint8Array; readonly good: boolean }>();

/** `path`: leaf first, trust anchor last. */
export function checkRevocation(
  path: readonly Link[],
  policy: RevocationPolicy,
  now: Date,
): Refusal | undefined {
  const count = policy.check === 'leaf' ? 1 : path.length - 1;
  for (const [depth, subject] of path.slice(0, count).entries()) {
    // The issuer, and itself under an earlier key when the path goes through that (RFC 5280 6.3.3 (f): the list's own path
    // must end at the same anchor).
    // RFC 5280 6.3.3: "MUST be the same as the trust anchor used to validate the target certificate". RFC 5280 8:
    // "terminate at the same trust anchor".
    const issuers = path
      .slice(depth + 1)
      .filter((link) => sameBytes(link.certificate.subjectDer, subject.certificate.issuerDer));
    const refused = checkOne(subject, issuers, policy, now);
    if (refused !== undefined) return refused;
  }
  return undefined;
}

function checkOne(
  subject: Link,
  issuers: readonly Link[],
  policy: RevocationPolicy,
  now: Date,
): Refusal | undefined {
  const { certificate, who } = subject;
  const lists = policy.lists.filter(
    (list) =>
      sameBytes(list.issuerDer, certificate.issuerDer) &&
      covers(list, certificate) &&
      issuers.some((issuer) => isGenuine(list, issuer)),
  );
  const serial = serialKey(Buffer.from(certificate.serialNumber, 'hex'));
  if (lists.some(({ revoked }) => revoked.has(serial))) {
    return refusal('revoked', `${who}: its issuer revoked it (serial number ${certificate.serialNumber})`);
  }
  if (lists.length === 0) {
    if (policy.missing === 'accept') return undefined;
    return refusal(
      'revocation_unknown',
      `${who}: expected a revocation list of "${certificate.issuer}", signed by it, but there is none`,
    );
  }
  const time = now.getTime();
  const isCurrent = ({ thisUpdate, nextUpdate }: RevocationList): boolean =>
    thisUpdate.getTime() <= time && time <= nextUpdate.getTime();
  if (policy.stale === 'accept' || lists.some(isCurrent)) return undefined;
  const last = lists.reduce((a, b) => (a.nextUpdate.getTime() > b.nextUpdate.getTime() ? a : b));
  return refusal(
    'revocation_stale',
    `${who}: expected a current revocation list of "${certificate.issuer}", but the last is for ${last.thisUpdate.toISOString()} to ${last.nextUpdate.toISOString()}`,
  );
}

function isGenuine(list: RevocationList, issuer: Link): boolean {
  // RFC 5280 6.3.3 (f): "If a key usage extension is present in the CRL issuer's certificate, verify that the cRLSign bit is set."
  // RFC 5280 5.1.1.3: "when certificates and CRLs are digitally signed with the same CA private key".
  if (issuer.certificate.keyUsage?.includes('crlSign') === false) return false;
  const known = verifiedBy.get(list);
  if (known !== undefined && sameBytes(known.spki, issuer.certificate.spki)) return known.good;
  const good =
    checkAlgorithm(list, 'the list') === undefined && 'facts' in issuer.key && isSignedBy(list, issuer.key);
  verifiedBy.set(list, { spki: issuer.certificate.spki, good });
  return good;
}
