/** One certificate as a member of paths; what is read of it beyond `Certificate` is read once, when it is first needed. */
import { id_ce_nameConstraints } from '@peculiar/asn1-x509';
import type { Certificate } from '../certificate.ts';
import { DerError, sameBytes } from '../der.ts';
import { type ConstraintSet, parseNameConstraints } from './name-constraints.ts';
import { type SubjectNames, subjectNamesOf } from './names.ts';
import { type PublicKey, type RefusedKey, readPublicKey } from './public-key.ts';
import { type Refusal, refusal } from './refusal.ts';

export class Link {
  readonly certificate: Certificate;
  readonly isAnchor: boolean;
  readonly isSelfIssued: boolean;
  #key: PublicKey | RefusedKey | undefined;
  #names: SubjectNames | Refusal | undefined;
  #constraints: ConstraintSet | Refusal | undefined;

  constructor(certificate: Certificate, isAnchor: boolean) {
    this.certificate = certificate;
    this.isAnchor = isAnchor;
    this.isSelfIssued = sameBytes(certificate.subjectDer, certificate.issuerDer);
  }

  /** For messages: `the certificate "CN=x"`. */
  get who(): string {
    return `the certificate "${this.certificate.subject}"`;
  }

  get key(): PublicKey | RefusedKey {
    this.#key ??= readPublicKey(this.certificate.spki);
    return this.#key;
  }

  get names(): SubjectNames | Refusal {
    this.#names ??= this.#read('names', () => subjectNamesOf(this.certificate));
    return this.#names;
  }

  get constraints(): ConstraintSet | Refusal | undefined {
    const extension = this.certificate.extensions.get(id_ce_nameConstraints);
    if (extension === undefined) return undefined;
    this.#constraints ??= this.#read('name constraints', () => parseNameConstraints(extension.value));
    return this.#constraints;
  }

  /** The same subject with the same key, whoever certified it: twice in a path is a loop. */
  isSameEntity(other: Link): boolean {
    return (
      sameBytes(this.certificate.subjectDer, other.certificate.subjectDer) &&
      sameBytes(this.certificate.spki, other.certificate.spki)
    );
  }

  #read<T>(what: string, read: () => T): T | Refusal {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof DerError)) throw error;
      return refusal('malformed', `${this.who}: expected ${what} as RFC 5280 has them, but they are damaged`);
    }
  }
}

/** The certificates that are trusted for what they are. Immutable; made once and shared by verifications. */
export class TrustAnchors {
  readonly links: readonly Link[];
  readonly #bySubject = new Map<string, Link[]>();

  constructor(certificates: Iterable<Certificate>) {
    const links: Link[] = [];
    for (const certificate of certificates) {
      if (this.find(certificate.der, certificate.subjectDer) !== undefined) continue;
      const link = new Link(certificate, true);
      links.push(link);
      const key = keyOf(certificate.subjectDer);
      const others = this.#bySubject.get(key);
      if (others === undefined) this.#bySubject.set(key, [link]);
      else others.push(link);
    }
    this.links = links;
  }

  /** Those with this subject (DER). */
  named(subjectDer: Uint8Array): readonly Link[] {
    return this.#bySubject.get(keyOf(subjectDer)) ?? [];
  }

  /** The one that is this very certificate. */
  find(der: Uint8Array, subjectDer: Uint8Array): Link | undefined {
    return this.named(subjectDer).find((link) => sameBytes(link.certificate.der, der));
  }
}

const MAX_KNOWN = 64;
const MAX_KNOWN_BYTES = 8 * 1024;

/**
 * Intermediates of earlier good paths, read. Being known means nothing for trust: it spares the parse, which is most of what a
 * verification costs. Only good paths put some in, so that a peer without a certificate cannot push others out.
 */
export class KnownIntermediates {
  /** The one used longest ago first. */
  readonly #links = new Map<string, Link>();

  find(der: Uint8Array): Link | undefined {
    return der.length <= MAX_KNOWN_BYTES ? this.#links.get(keyOf(der)) : undefined;
  }

  add(link: Link): void {
    if (link.isAnchor || link.certificate.der.length > MAX_KNOWN_BYTES) return;
    const key = keyOf(link.certificate.der);
    this.#links.delete(key);
    this.#links.set(key, link);
    if (this.#links.size > MAX_KNOWN) {
      for (const oldest of this.#links.keys()) {
        this.#links.delete(oldest);
        return;
      }
    }
  }
}

function keyOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
