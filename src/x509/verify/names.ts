/**
 * Names as the rules of RFC 5280 compare them. asn1-schema has already taken the structures; here they are looked at as raw
 * slices, since its iPAddress is text that forgets the mask's form, and its Name does not keep the string types.
 */
import { id_ce_subjectAltName } from '@peculiar/asn1-x509';
import { type Certificate, isHostName } from '../certificate.ts';
import { childrenOf, contentOf, type DerElement, DerError, readElement, slice, TAG } from '../der.ts';

/** Context tags of GeneralName (RFC 5280 4.2.1.6). */
export const NameForm = {
  otherName: 0,
  rfc822Name: 1,
  dNSName: 2,
  x400Address: 3,
  directoryName: 4,
  ediPartyName: 5,
  uniformResourceIdentifier: 6,
  iPAddress: 7,
  registeredID: 8,
} as const;

export interface GeneralNameView {
  /** One of NameForm. */
  readonly form: number;
  /** The value: for directoryName the Name (DER), for the others the content octets. */
  readonly value: Uint8Array;
}

/** Each RDN as canonical text; two names are the same when all their RDNs are (RFC 5280 7.1). */
export type CanonicalName = readonly string[];

/** All names of a certificate that constraints may be about. */
export interface SubjectNames {
  /** Lower case. */
  readonly dnsNames: readonly string[];
  readonly oddDnsNames: readonly string[];
  /** 4 or 16 octets; other lengths are in `forms` alone. */
  readonly ipAddresses: readonly Uint8Array[];
  /** The subject, when it is not empty, and directoryName entries. */
  readonly directoryNames: readonly CanonicalName[];
  /** Each form that occurs, an emailAddress in the subject counting as rfc822Name. */
  readonly forms: ReadonlySet<number>;
}

const OID_EMAIL_ADDRESS = '2a864886f70d010901';

/** Throws DerError. */
export function subjectNamesOf(certificate: Certificate): SubjectNames {
  const extension = certificate.extensions.get(id_ce_subjectAltName);
  const general = extension === undefined ? [] : generalNames(extension.value);
  const subject = canonicalName(certificate.subjectDer);
  const ofForm = (form: number): Uint8Array[] =>
    general.filter((name) => name.form === form).map(({ value }) => value);

  const forms = new Set(general.map(({ form }) => form));
  const directoryNames = ofForm(NameForm.directoryName).map(canonicalName);
  // RFC 5280 4.2.1.10: "MUST be applied to the subject field in the certificate (when the certificate includes a
  // non-empty subject field) and to any names of type directoryName".
  if (subject.length > 0) {
    forms.add(NameForm.directoryName);
    directoryNames.push(subject);
  }
  // RFC 5280 4.2.1.10: "the rfc822Name constraint MUST be applied to the attribute of type emailAddress".
  if (subject.some((rdn) => rdn.includes(`${OID_EMAIL_ADDRESS}=`))) forms.add(NameForm.rfc822Name);
  return {
    dnsNames: certificate.dnsNames,
    oddDnsNames: certificate.oddDnsNames,
    ipAddresses: ofForm(NameForm.iPAddress),
    directoryNames,
    forms,
  };
}

/** `der`: GeneralNames. Throws DerError. */
export function generalNames(der: Uint8Array): GeneralNameView[] {
  const outer = wholeOf(der);
  return elementsOf(der, outer).map((element) => generalName(der, element));
}

/** Throws DerError. */
export function generalName(bytes: Uint8Array, element: DerElement): GeneralNameView {
  if ((element.tag & 0xc0) !== 0x80) throw new DerError('not a GeneralName');
  const form = element.tag & 0x1f;
  if (form !== NameForm.directoryName) return { form, value: contentOf(bytes, element) };
  // Name is a CHOICE, so its tag is explicit.
  const [name, ...more] = elementsOf(bytes, element);
  if (name?.tag !== TAG.sequence || more.length > 0) throw new DerError('not a directoryName');
  return { form, value: slice(bytes, name) };
}

/**
 * Any attributes. RFC 5280 4.1.2.4: "MUST be prepared to receive certificates with issuer names containing the set of
 * attribute types", "MUST be prepared to receive the following standard attribute types", "MUST be prepared to receive
 * the domainComponent attribute". RFC 5280 4.1.2.6: "MUST be prepared to receive subject names". Throws DerError.
 */
export function canonicalName(der: Uint8Array): CanonicalName {
  return elementsOf(der, wholeOf(der)).map((rdn) => {
    const attributes = elementsOf(der, rdn).map((attribute) => {
      const [type, value] = elementsOf(der, attribute);
      if (type === undefined || value === undefined) throw new DerError('not an attribute');
      return `${Buffer.from(contentOf(der, type)).toString('hex')}=${canonicalValue(der, value)}`;
    });
    return attributes.toSorted().join('+');
  });
}

/**
 * RFC 5280 7.1: strings of different types compare as text, without regard to case and to the number of blanks. RFC
 * 5280 4.2.1.10: "implementations MUST perform the DN comparison rules specified in Section 7.1".
 */
function canonicalValue(der: Uint8Array, element: DerElement): string {
  const text = textOf(element.tag, Buffer.from(contentOf(der, element)));
  if (text === undefined) return `#${Buffer.from(slice(der, element)).toString('hex')}`;
  // The separators of this form are escaped, so that no value can look like two.
  // RFC 5280 7.1: "MUST support name comparisons using caseIgnoreMatch".
  const folded = text.normalize('NFKC').toLowerCase().trim().replace(/\s+/gu, ' ');
  return `"${folded.replace(/["\\]/g, '\\$&')}"`;
}

/** undefined: no string type, or not the characters that the type allows. */
function textOf(tag: number, content: Buffer): string | undefined {
  switch (tag) {
    // RFC 5280 7.1: "MUST support UTF8String and PrintableString".
    case 0x0c: {
      const text = content.toString('utf8');
      return Buffer.from(text, 'utf8').equals(content) ? text : undefined;
    }
    case 0x13: // PrintableString
    case 0x16: // IA5String
      return content.every((octet) => octet < 0x80) ? content.toString('latin1') : undefined;
    case 0x14: // TeletexString, read as Latin-1 as OpenSSL reads it
      return content.toString('latin1');
    case 0x1e: // BMPString
      return content.length % 2 === 0 ? Buffer.from(content).swap16().toString('utf16le') : undefined;
    default:
      return undefined;
  }
}

/** The name that a peer is to have: a host name in lower-case ASCII, or the octets of an address. */
export type ReferenceName =
  | { readonly kind: 'dns'; readonly name: string }
  | { readonly kind: 'ip'; readonly octets: Uint8Array };

/** undefined: neither a host name in A-labels nor an IP address. A final dot is taken off (RFC 9525 6.3 compares without). */
export function referenceName(text: string): ReferenceName | undefined {
  const octets = ipOctets(text);
  if (octets !== undefined) return { kind: 'ip', octets };
  const name = text.toLowerCase().replace(/\.$/, '');
  return name.startsWith('*') || !isHostName(name) ? undefined : { kind: 'dns', name };
}

/** RFC 9525 6.2-6.5: subjectAltName alone; the subject's common name is never looked at. */
export function matchesName(certificate: Certificate, names: SubjectNames, wanted: ReferenceName): boolean {
  if (wanted.kind === 'ip') {
    return names.ipAddresses.some((octets) => Buffer.compare(octets, wanted.octets) === 0);
  }
  const dot = wanted.name.indexOf('.');
  const parent = wanted.name.slice(dot + 1);
  // RFC 9525 6.3: the asterisk is the whole left-most label and stands for one. "*.com" covers nobody's own names: as in
  // NSS, OpenSSL and webpki, two labels must follow.
  const wildcard = dot > 0 && parent.includes('.') ? `*.${parent}` : undefined;
  // RFC 5280 7.2: both in lower case: "a case-insensitive exact match on the entire DNS name".
  return certificate.dnsNames.some((name) => name === wanted.name || name === wildcard);
}

/** 4 or 16 octets of an address in text; undefined for what is none (or has a zone). */
function ipOctets(text: string): Uint8Array | undefined {
  if (/^\d{1,3}(?:\.\d{1,3}){3}$/.test(text)) {
    const octets = text.split('.').map(Number);
    const plain = octets.every((octet) => octet < 256) && octets.join('.') === text;
    return plain ? Uint8Array.from(octets) : undefined;
  }
  if (!text.includes(':')) return undefined;
  let host: string;
  try {
    // WHATWG URL writes each IPv6 address in one form: pairs of octets in hexadecimal, at most one "::".
    host = new URL(`http://[${text}]/`).hostname.slice(1, -1);
  } catch {
    return undefined;
  }
  const [head = '', tail] = host.split('::');
  const groups = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((g) => Number.parseInt(g, 16));
  const before = groups(head);
  const after = groups(tail ?? '');
  const all = [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after];
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}

function wholeOf(der: Uint8Array): DerElement {
  const outer = readElement(der, 0, der.length);
  if (outer?.tag !== TAG.sequence || outer.end !== der.length) throw new DerError('not a SEQUENCE');
  return outer;
}

function elementsOf(der: Uint8Array, parent: DerElement): DerElement[] {
  const children = childrenOf(der, parent);
  if (children === undefined) throw new DerError('not DER');
  return children;
}
