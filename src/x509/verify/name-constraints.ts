/** nameConstraints of a certificate authority (RFC 5280 4.2.1.10), applied to the names below it. */
import { NameConstraints } from '@peculiar/asn1-x509';
import { isHostName, printable } from '../certificate.ts';
import { childrenOf, type DerElement, DerError, parseAs, sequenceOf } from '../der.ts';
import {
  type CanonicalName,
  canonicalName,
  type GeneralNameView,
  generalName,
  NameForm,
  type SubjectNames,
} from './names.ts';
import { type Refusal, refusal } from './refusal.ts';

export interface ConstraintSet {
  readonly permitted: Subtrees;
  readonly excluded: Subtrees;
  /** Forms constrained here that are not processed. */
  readonly unprocessed: ReadonlySet<number>;
}

interface Subtrees {
  readonly dns: readonly DnsSubtree[];
  readonly ip: readonly IpSubtree[];
  readonly directory: readonly CanonicalName[];
}
/** `strict`: written with a leading dot; the name itself is not in it (as Go, NSS and OpenSSL read it). */
interface DnsSubtree {
  readonly name: string;
  readonly strict: boolean;
}
interface IpSubtree {
  readonly network: Uint8Array;
  readonly mask: Uint8Array;
}

/** Comparisons left in a whole verification: names times constraints is what a peer could make large. */
export interface ComparisonBudget {
  comparisons: number;
}

const PERMITTED = 0xa0;
const EXCLUDED = 0xa1;

/** `der`: value of the extension. Throws DerError for what RFC 5280 forbids. */
export function parseNameConstraints(der: Uint8Array): ConstraintSet {
  const parsed = parseAs(der, NameConstraints);
  const all = [...(parsed.permittedSubtrees ?? []), ...(parsed.excludedSubtrees ?? [])];
  // RFC 5280 4.2.1.10: "the minimum MUST be zero, and maximum MUST be absent."
  // RFC 5280 4.2.1.10: of other values "MUST either process these fields or reject the certificate".
  if (all.some(({ minimum, maximum }) => minimum !== 0 || maximum !== undefined)) {
    throw new DerError('nameConstraints with a minimum or maximum');
  }
  const parts = sequenceOf(der) ?? [];
  // RFC 5280 4.2.1.10: "Conforming CAs MUST NOT issue certificates where name constraints is an empty sequence."
  // RFC 5280 4.2.1.10: "either the permittedSubtrees field or the excludedSubtrees MUST be present".
  if (all.length === 0) throw new DerError('empty nameConstraints');
  const basesOf = (tag: number): GeneralNameView[] =>
    parts
      .filter((part) => part.tag === tag)
      .flatMap((part) => childrenOf(der, part) ?? [])
      .map((subtree) => baseOf(der, subtree));
  const permitted = basesOf(PERMITTED);
  const excluded = basesOf(EXCLUDED);
  const processed: readonly number[] = [NameForm.dNSName, NameForm.iPAddress, NameForm.directoryName];
  const forms = [...permitted, ...excluded].map(({ form }) => form);
  return {
    permitted: subtreesOf(permitted),
    excluded: subtreesOf(excluded),
    unprocessed: new Set(forms.filter((form) => !processed.includes(form))),
  };
}

function baseOf(der: Uint8Array, subtree: DerElement): GeneralNameView {
  const [base] = childrenOf(der, subtree) ?? [];
  if (base === undefined) throw new DerError('an empty GeneralSubtree');
  return generalName(der, base);
}

function subtreesOf(bases: readonly GeneralNameView[]): Subtrees {
  const ofForm = (form: number): Uint8Array[] =>
    bases.filter((base) => base.form === form).map(({ value }) => value);
  return {
    dns: ofForm(NameForm.dNSName).map(dnsSubtree),
    ip: ofForm(NameForm.iPAddress).map(ipSubtree),
    directory: ofForm(NameForm.directoryName).map(canonicalName),
  };
}

function dnsSubtree(value: Uint8Array): DnsSubtree {
  const text = Buffer.from(value).toString('latin1').toLowerCase();
  const strict = text.startsWith('.');
  const name = strict ? text.slice(1) : text;
  // The empty one holds every name.
  if (text !== '' && (name.startsWith('*') || !isHostName(name))) {
    throw new DerError('a dNSName constraint that is no domain');
  }
  return { name, strict };
}

function ipSubtree(value: Uint8Array): IpSubtree {
  const half = value.length / 2;
  const mask = value.subarray(half);
  // RFC 5280 4.2.1.10: an address and a mask "in the style of RFC 4632 (CIDR)": ones, then zeros.
  // RFC 5280 4.2.1.10: "the iPAddress field MUST contain 32 octets similarly encoded"; "The syntax of iPAddress MUST
  // be as described".
  const bits = [...mask].map((octet) => octet.toString(2).padStart(8, '0')).join('');
  if ((half !== 4 && half !== 16) || !/^1*0*$/.test(bits)) {
    throw new DerError('an iPAddress constraint that is no network');
  }
  return { network: value.subarray(0, half), mask };
}

/** Of the certificate called `who`. undefined: nothing against it. */
export function checkNames(
  constraints: ConstraintSet,
  names: SubjectNames,
  who: string,
  budget: ComparisonBudget,
): Refusal | undefined {
  for (const form of constraints.unprocessed) {
    // RFC 5280 4.2.1.10: "the application MUST either process the constraint or reject the certificate."
    // RFC 5280 4.2.1.10: such are URIs, "then the application MUST reject the certificate", and x400Address: "MUST be
    // applied to any names of type x400Address".
    if (names.forms.has(form)) {
      return refusal(
        'unsupported_name_constraint',
        `${who} has a name of the form [${form}], which an issuer constrains; constraints on host names, addresses and directory names are understood`,
      );
    }
  }
  const { permitted, excluded } = constraints;
  const refuse = (name: string, how: string): Refusal =>
    refusal('name_constraint', `${who} has the name ${printable(name)}, which an issuer of it ${how}`);
  const judge = <Name, Subtree>(
    items: readonly Name[],
    allowed: readonly Subtree[],
    denied: readonly Subtree[],
    within: (name: Name, subtree: Subtree) => boolean,
    touches: (name: Name, subtree: Subtree) => boolean,
    text: (name: Name) => string,
  ): Refusal | undefined => {
    for (const name of items) {
      budget.comparisons -= allowed.length + denied.length;
      if (budget.comparisons < 0) {
        return refusal('path_too_complex', `${who}: there are too many names under too many constraints`);
      }
      if (denied.some((subtree) => touches(name, subtree))) return refuse(text(name), 'excludes');
      if (allowed.length > 0 && !allowed.some((subtree) => within(name, subtree))) {
        return refuse(text(name), 'does not permit');
      }
    }
    return undefined;
  };

  const odd = names.oddDnsNames[0];
  if (odd !== undefined && permitted.dns.length + excluded.dns.length > 0) {
    return refuse(odd, 'constrains, and which is no host name to compare');
  }
  return (
    judge(names.dnsNames, permitted.dns, excluded.dns, dnsWithin, dnsTouches, String) ??
    judge(names.ipAddresses, permitted.ip, excluded.ip, ipWithin, ipWithin, ipText) ??
    judge(
      names.directoryNames,
      permitted.directory,
      excluded.directory,
      directoryWithin,
      directoryWithin,
      (name) => name.join(','),
    )
  );
}

/**
 * Every host that `name` covers is in the subtree. RFC 5280 7.2: "a case-insensitive exact match on a label-by-label
 * basis".
 */
function dnsWithin(name: string, subtree: DnsSubtree): boolean {
  if (subtree.name === '') return true;
  const wildcard = name.startsWith('*.');
  const base = wildcard ? name.slice(2) : name;
  // What a wildcard covers has one label more than its base.
  return base === subtree.name ? wildcard || !subtree.strict : base.endsWith(`.${subtree.name}`);
}

/** Some host that `name` covers is in the subtree: "*.example" also covers "bad.example". */
function dnsTouches(name: string, subtree: DnsSubtree): boolean {
  if (dnsWithin(name, subtree)) return true;
  return (
    name.startsWith('*.') &&
    !subtree.strict &&
    subtree.name.slice(subtree.name.indexOf('.') + 1) === name.slice(2)
  );
}

function ipWithin(address: Uint8Array, { network, mask }: IpSubtree): boolean {
  if (address.length !== network.length) return false;
  return mask.every((bits, i) => (address[i]! & bits) === (network[i]! & bits));
}

function ipText(address: Uint8Array): string {
  return address.length === 4 ? address.join('.') : `address ${Buffer.from(address).toString('hex')}`;
}

// RFC 5280 4.2.1.10: "MUST be able to process name constraints that are imposed on the directoryName name form"; "an
// implementation MUST compare DN attributes".
function directoryWithin(name: CanonicalName, subtree: CanonicalName): boolean {
  return subtree.length <= name.length && subtree.every((rdn, i) => rdn === name[i]);
}
