/** Verification of a peer's certificate chain (RFC 5280 6): a search for a path from its leaf to a trust anchor. */
import { SocryptError } from '../../errors.ts';
import { type Certificate, MAX_CERTIFICATE_BYTES, parseCertificate } from '../certificate.ts';
import { countElements, sameBytes } from '../der.ts';
import { type KnownIntermediates, Link, type TrustAnchors } from './link.ts';
import { type ComparisonBudget, checkNames } from './name-constraints.ts';
import { isRefusal, type Refusal, refusal } from './refusal.ts';
import { checkRevocation, type RevocationPolicy } from './revocation.ts';
import { checkIssuer, checkLeaf, type Purpose } from './rules.ts';
import { checkAlgorithm, isSignedBy, refusedKey } from './signed.ts';

export interface VerifyOptions {
  /** DER: the leaf first, then others in any order; what leads nowhere is passed over. */
  readonly chain: readonly Uint8Array[];
  readonly anchors: TrustAnchors;
  readonly purpose: Purpose;
  /** Host name (A-labels) or IP address that the leaf must be for; undefined: none is compared. */
  readonly serverName?: string | undefined;
  readonly now: Date;
  readonly revocation?: RevocationPolicy | undefined;
  /** Kept by the caller from one verification to the next. */
  readonly known?: KnownIntermediates | undefined;
}

export type Verdict =
  /** `path`: leaf first, trust anchor last; the leaf alone when it is itself an anchor. */
  { readonly ok: true; readonly path: readonly Certificate[] } | ({ readonly ok: false } & Refusal);

/** What a peer may make us do. A chain of the web has 2 to 4 certificates of 200 elements and 1 to 2 KB each. */
export const LIMITS = {
  certificates: 16,
  chainBytes: 128 * 1024,
  /** DER elements: parsing costs 20 us for each. */
  chainElements: 6_000,
  /** In a row, between the leaf and the anchor. */
  intermediates: 8,
  /** As in Go's crypto/x509 and rustls-webpki. */
  signatureChecks: 100,
  candidates: 1_000,
  nameComparisons: 250_000,
} as const;

/** Whether the peer is who it says. Never throws for what is in `chain`; takes bounded time. */
export function verifyChain(options: VerifyOptions): Verdict {
  try {
    const links = readChain(options.chain, options.known);
    const outcome = isRefusal(links) ? links : search(links, options);
    if (isRefusal(outcome)) return { ok: false, ...outcome };
    for (const link of outcome.slice(1)) options.known?.add(link);
    return { ok: true, path: outcome.map(({ certificate }) => certificate) };
  } catch (error) {
    return {
      ok: false,
      ...refusal('internal_error', `verification failed: ${error instanceof Error ? error.name : 'unknown'}`),
    };
  }
}

function readChain(
  chain: readonly Uint8Array[],
  known: KnownIntermediates | undefined,
): readonly [Link, ...Link[]] | Refusal {
  if (chain.length > LIMITS.certificates) {
    return refusal(
      'chain_too_large',
      `expected at most ${LIMITS.certificates} certificates, but there are ${chain.length}`,
    );
  }
  const bytes = chain.reduce((sum, { length }) => sum + length, 0);
  if (bytes > LIMITS.chainBytes || chain.some(({ length }) => length > MAX_CERTIFICATE_BYTES)) {
    return refusal(
      'chain_too_large',
      `expected at most ${LIMITS.chainBytes} bytes, ${MAX_CERTIFICATE_BYTES} in one certificate, but there are ${bytes}`,
    );
  }
  let elements = LIMITS.chainElements;
  for (const der of chain) elements -= countElements(der, elements);
  if (elements < 0) {
    return refusal(
      'chain_too_large',
      `expected at most ${LIMITS.chainElements} DER elements, but there are more`,
    );
  }

  const links: Link[] = [];
  for (const [index, der] of chain.entries()) {
    try {
      const link =
        (index > 0 ? known?.find(der) : undefined) ?? new Link(parseCertificate(der, 'certificate'), false);
      if (!links.some(({ certificate }) => sameBytes(certificate.der, link.certificate.der)))
        links.push(link);
    } catch (error) {
      if (!(error instanceof SocryptError)) throw error;
      return refusal(
        'malformed',
        `certificate ${index + 1} of ${chain.length}: expected X.509, but it is damaged`,
      );
    }
  }
  // RFC 8446 4.4.2: "potentially extraneous certificates and arbitrary orderings from any TLS version, with the
  // exception of the end-entity certificate which MUST be first".
  const [leaf, ...others] = links;
  return leaf === undefined
    ? refusal('no_certificate', 'expected a certificate, but none came')
    : [leaf, ...others];
}

function search(
  [leaf, ...others]: readonly [Link, ...Link[]],
  options: VerifyOptions,
): readonly Link[] | Refusal {
  const { purpose, serverName, now, anchors } = options;
  const refused = checkLeaf(leaf, { purpose, serverName, now });
  if (refused !== undefined) return refused;
  // A certificate that is itself trusted needs nobody to vouch for it.
  const { der, subjectDer } = leaf.certificate;
  if (anchors.find(der, subjectDer) !== undefined) return [leaf];
  return new Search(others, options).from(leaf);
}

/** Which refusal says most when no path was found: one of a true issuer, then one of a namesake, then that there is none. */
const RANK: Partial<Record<Refusal['reason'], number>> = { unknown_issuer: 0, bad_signature: 1 };
const RANK_OF_OTHERS = 2;

/** Depth first, from the leaf upwards, the most promising issuer first. */
class Search {
  readonly #others: readonly Link[];
  readonly #options: VerifyOptions;
  readonly #budget: ComparisonBudget = { comparisons: LIMITS.nameComparisons };
  readonly #signatures = new Map<Link, Map<Link, boolean>>();
  #signatureChecks = 0;
  #candidates = 0;
  #refused: Refusal | undefined;
  #isExhausted = false;

  constructor(others: readonly Link[], options: VerifyOptions) {
    this.#others = others;
    this.#options = options;
  }

  from(leaf: Link): readonly Link[] | Refusal {
    return (
      this.#extend([leaf]) ??
      this.#refused ??
      refusal('unknown_issuer', `${leaf.who}: no path leads to a trusted root`)
    );
  }

  #extend(path: readonly Link[]): readonly Link[] | undefined {
    const subject = path[path.length - 1]!;
    const algorithm = checkAlgorithm(subject.certificate, subject.who);
    if (algorithm !== undefined) return this.#refuse(algorithm);
    const candidates = this.#issuersOf(subject, path);
    if (candidates.length === 0) this.#refuse(noIssuer(subject));
    for (const issuer of candidates) {
      const found = this.#try(issuer, path);
      if (found !== undefined || this.#isExhausted) return found;
    }
    return undefined;
  }

  #try(issuer: Link, path: readonly Link[]): readonly Link[] | undefined {
    if (++this.#candidates > LIMITS.candidates)
      return this.#refuse(tooComplex(`${LIMITS.candidates} candidates`));
    if (!issuer.isAnchor && path.length > LIMITS.intermediates) {
      return this.#refuse(
        refusal(
          'path_too_long',
          `expected at most ${LIMITS.intermediates} intermediate certificates, but there are more`,
        ),
      );
    }
    const refused =
      this.#checkSignature(path[path.length - 1]!, issuer) ?? checkIssuer(issuer, path, this.#options);
    if (refused !== undefined) return this.#refuse(refused);
    const constrained = this.#checkConstraints(issuer, path);
    if (constrained !== undefined) return this.#refuse(constrained);

    const longer = [...path, issuer];
    if (!issuer.isAnchor) return this.#extend(longer);
    const { revocation, now } = this.#options;
    const revoked = revocation && checkRevocation(longer, revocation, now);
    return revoked === undefined ? longer : this.#refuse(revoked);
  }

  /**
   * By name; the key identifiers only say whom to try first (RFC 4158 3.5.12), anchors before what the peer sent. RFC
   * 5280 4.1.2.4: "to perform name chaining for certification path validation".
   */
  #issuersOf(subject: Link, path: readonly Link[]): Link[] {
    const { issuerDer, authorityKeyIdentifier: wanted } = subject.certificate;
    const named = [
      ...this.#options.anchors.named(issuerDer),
      ...this.#others.filter(({ certificate }) => sameBytes(certificate.subjectDer, issuerDer)),
    ];
    const distance = ({ certificate: { subjectKeyIdentifier: own } }: Link): number => {
      if (wanted === undefined || own === undefined) return 1;
      return sameBytes(wanted, own) ? 0 : 2;
    };
    return (
      named
        // RFC 5280 6.1: "A certificate MUST NOT appear more than once in a prospective certification path."
        .filter((link) => !path.some((member) => member.isSameEntity(link)))
        .toSorted((a, b) => distance(a) - distance(b))
    );
  }

  #checkSignature(subject: Link, issuer: Link): Refusal | undefined {
    const { key } = issuer;
    if ('why' in key) return refusedKey(key, issuer.who);
    let known = this.#signatures.get(subject);
    if (known === undefined) {
      known = new Map();
      this.#signatures.set(subject, known);
    }
    let good = known.get(issuer);
    if (good === undefined) {
      if (++this.#signatureChecks > LIMITS.signatureChecks) {
        return tooComplex(`${LIMITS.signatureChecks} signature checks`);
      }
      good = isSignedBy(subject.certificate, key);
      known.set(issuer, good);
    }
    if (good) return undefined;
    return refusal(
      'bad_signature',
      `${subject.who}: expected the signature of "${issuer.certificate.subject}", but it does not verify with that key`,
    );
  }

  /**
   * RFC 5280 6.1.3 (b), (c): all names below, except those of self-issued intermediates. RFC 5280 4.2.1.10: "within
   * which all subject names in subsequent certificates in a certification path MUST be located"; RFC 5280 6.1.2: "a
   * set of subtrees within which all subject names in subsequent certificates in the certification path MUST fall".
   */
  #checkConstraints(issuer: Link, path: readonly Link[]): Refusal | undefined {
    const { constraints } = issuer;
    if (constraints === undefined || isRefusal(constraints)) return constraints;
    for (const [depth, link] of path.entries()) {
      if (depth > 0 && link.isSelfIssued) continue;
      const { names } = link;
      const refused = isRefusal(names) ? names : checkNames(constraints, names, link.who, this.#budget);
      if (refused !== undefined) return refused;
    }
    return undefined;
  }

  #refuse(refused: Refusal): undefined {
    const rank = ({ reason }: Refusal): number => RANK[reason] ?? RANK_OF_OTHERS;
    if (this.#isExhausted) return undefined;
    if (refused.reason === 'path_too_complex') this.#isExhausted = true;
    if (this.#isExhausted || this.#refused === undefined || rank(refused) > rank(this.#refused))
      this.#refused = refused;
    return undefined;
  }
}

function tooComplex(within: string): Refusal {
  return refusal('path_too_complex', `expected a path to be found within ${within}, but none was`);
}

function noIssuer({ certificate, who, isSelfIssued }: Link): Refusal {
  const came = isSelfIssued
    ? 'it is self-signed'
    : `its issuer "${certificate.issuer}" is neither trusted nor among the certificates sent`;
  return refusal('unknown_issuer', `${who}: expected one issued under a trusted root, but ${came}`);
}
