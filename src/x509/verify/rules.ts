/** What RFC 5280 6.1 asks of the certificates of a path, each by itself: of the leaf, and of those that issued it. */
import {
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_certificatePolicies,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_nameConstraints,
  id_ce_subjectAltName,
  id_ce_subjectKeyIdentifier,
} from '@peculiar/asn1-x509';
import type { Link } from './link.ts';
import { matchesName, referenceName } from './names.ts';
import { isRefusal, type Refusal, refusal } from './refusal.ts';
import { refusedKey } from './signed.ts';

/** What the leaf's key does in the handshake: prove a server, or a client. */
export type Purpose = 'serverAuth' | 'clientAuth';

const PURPOSE_OID: Readonly<Record<Purpose, string>> = {
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
};
const OID_ANY_EXTENDED_KEY_USAGE = '2.5.29.37.0';

/**
 * Extensions that may be critical here. certificatePolicies is among them since every policy is acceptable to TLS: no policy can make
 * a path invalid unless policyConstraints asks for one, and that, critical as RFC 5280 4.2.1.11 has it, is refused.
 */
const PROCESSED: ReadonlySet<string> = new Set([
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_certificatePolicies,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_nameConstraints,
  id_ce_subjectAltName,
  id_ce_subjectKeyIdentifier,
]);

export interface LeafRules {
  readonly purpose: Purpose;
  readonly serverName: string | undefined;
  readonly now: Date;
}

export function checkLeaf(leaf: Link, rules: LeafRules): Refusal | undefined {
  return (
    checkForm(leaf) ??
    checkValidity(leaf, rules.now) ??
    ('why' in leaf.key ? refusedKey(leaf.key, leaf.who) : undefined) ??
    checkCriticalExtensions(leaf) ??
    // RFC 8446 4.4.2.2: "the digitalSignature bit MUST be set if the Key Usage extension is present"
    // RFC 5246 7.4.2: "(the digitalSignature bit MUST be set if the key usage extension is present)"; RFC 5246 7.4.2:
    // "ECDSA-capable public key; the certificate MUST allow the key to be used for signing"; RFC 5246 7.4.6: "RSA
    // public key; the certificate MUST allow the key to be used for signing".
    checkKeyUsage(leaf, 'digitalSignature') ??
    // RFC 5280 4.2.1.12: "both extensions MUST be processed independently"; "If there is no purpose consistent with
    // both extensions, then the certificate MUST NOT be used".
    checkExtendedKeyUsage(leaf, rules.purpose) ??
    checkServerName(leaf, rules.serverName)
  );
}

/**
 * `issuer` above `path` (leaf first): RFC 5280 6.1.4. Trust anchors are held to the same, so that an expired root or one made for
 * another purpose is none. `issuer`'s signature and its name constraints are checked elsewhere.
 */
export function checkIssuer(
  issuer: Link,
  path: readonly Link[],
  rules: { readonly purpose: Purpose; readonly now: Date },
): Refusal | undefined {
  return (
    checkForm(issuer) ??
    checkValidity(issuer, rules.now) ??
    checkAuthority(issuer, path) ??
    checkKeyUsage(issuer, 'keyCertSign') ??
    checkExtendedKeyUsage(issuer, rules.purpose) ??
    checkCriticalExtensions(issuer)
  );
}

function checkForm({ certificate, who }: Link): Refusal | undefined {
  // RFC 5280 4.1.2.9: extensions "MUST only appear if the version is 3".
  return certificate.version !== 3 && certificate.extensions.size > 0
    ? refusal(
        'malformed',
        `${who}: expected version 3, since it has extensions, but it is version ${certificate.version}`,
      )
    : undefined;
}

/** RFC 5280 4.1.2.5: the period includes both of its ends. */
function checkValidity({ certificate, who }: Link, now: Date): Refusal | undefined {
  const { notBefore, notAfter } = certificate;
  // Not "now < notBefore": with an invalid clock nothing is valid.
  if (!(now.getTime() >= notBefore.getTime())) {
    return refusal('not_yet_valid', `${who}: it is valid from ${iso(notBefore)}, and it is ${iso(now)}`);
  }
  if (Math.floor(now.getTime() / 1000) > Math.floor(notAfter.getTime() / 1000)) {
    return refusal('expired', `${who}: it was valid until ${iso(notAfter)}, and it is ${iso(now)}`);
  }
  return undefined;
}

function checkAuthority({ certificate, who }: Link, path: readonly Link[]): Refusal | undefined {
  // RFC 5280 6.1.4 (k): a version 3 certificate with basicConstraints and cA, and nothing else, is an authority's.
  // RFC 5280 4.2.1.9: "the certified public key MUST NOT be used to verify certificate signatures".
  // RFC 5280 6.1.4: "(If certificate i is a version 1 or version 2 certificate, the" application verifies by other
  // means that it is an authority's, or rejects it: rejected.
  if (certificate.version !== 3 || !certificate.isCA) {
    return refusal(
      'issuer_not_ca',
      `${who}: expected an authority's (basicConstraints CA:TRUE), but it is none`,
    );
  }
  const limit = certificate.pathLength;
  if (limit === undefined) return undefined;
  // RFC 5280 4.2.1.9: "the maximum number of non-self-issued intermediate certificates that may follow".
  const between = path.slice(1).filter((link) => !link.isSelfIssued).length;
  return between <= limit
    ? undefined
    : refusal(
        'path_length_exceeded',
        `${who}: it allows ${limit} intermediate certificate(s) below it, and there are ${between}`,
      );
}

function checkKeyUsage(
  { certificate, who }: Link,
  use: 'digitalSignature' | 'keyCertSign',
): Refusal | undefined {
  // RFC 5280 4.2.1.3: "MUST NOT be used to verify signatures on certificates or CRLs unless the corresponding
  // keyCertSign or cRLSign bit is set".
  const uses = certificate.keyUsage;
  if (uses === undefined || uses.includes(use)) return undefined;
  return refusal(
    'key_usage',
    `${who}: expected the key usage ${use}, but it has ${uses.join(', ') || 'none'}`,
  );
}

/**
 * RFC 5280 4.2.1.12 for the leaf; an authority that lists purposes is limited to them, as in all browsers and CA/B BR
 * 7.1.2. RFC 5280 4.2.1.12: "the certificate MUST only be used for one of the purposes indicated".
 */
function checkExtendedKeyUsage({ certificate, who }: Link, purpose: Purpose): Refusal | undefined {
  const uses = certificate.extendedKeyUsage;
  if (
    uses === undefined ||
    uses.includes(PURPOSE_OID[purpose]) ||
    uses.includes(OID_ANY_EXTENDED_KEY_USAGE)
  ) {
    return undefined;
  }
  return refusal(
    'extended_key_usage',
    `${who}: expected the extended key usage ${purpose} (${PURPOSE_OID[purpose]}), but it has ${uses.slice(0, 8).join(', ')}`,
  );
}

/**
 * RFC 5280 4.2: "A certificate-using system MUST reject the certificate if it encounters a critical extension it does
 * not recognize". RFC 5280 6.1: "clients MUST reject the certificate if it contains an unsupported critical
 * extension". RFC 5280 4.2.1.11: policyConstraints is one: "applications that do not implement support for the
 * inhibitPolicyMapping field MUST reject the certificate".
 */
function checkCriticalExtensions({ certificate, who }: Link): Refusal | undefined {
  for (const [oid, { critical }] of certificate.extensions) {
    if (critical && !PROCESSED.has(oid)) {
      return refusal(
        'unknown_critical_extension',
        `${who}: its extension ${oid} is critical and not known here`,
      );
    }
  }
  return undefined;
}

function checkServerName(leaf: Link, serverName: string | undefined): Refusal | undefined {
  if (serverName === undefined) return undefined;
  const wanted = referenceName(serverName);
  if (wanted === undefined) {
    return refusal(
      'name_mismatch',
      `the name asked for, ${JSON.stringify(serverName.slice(0, 256))}, is no host name in ASCII (A-labels) and no IP address`,
    );
  }
  const { names } = leaf;
  if (isRefusal(names)) return names;
  if (matchesName(leaf.certificate, names, wanted)) return undefined;
  const { dnsNames, ipAddresses } = leaf.certificate;
  const has = [...dnsNames, ...ipAddresses].slice(0, 8).join(', ');
  return refusal(
    'name_mismatch',
    `${leaf.who}: expected one for ${wanted.kind === 'dns' ? wanted.name : serverName}, but it is for ${has || 'no host name or address (subjectAltName)'}`,
  );
}

function iso(date: Date): string {
  return Number.isNaN(date.getTime()) ? 'an unknown time' : date.toISOString();
}
