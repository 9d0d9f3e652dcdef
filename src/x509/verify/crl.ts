/** Certificate revocation lists (RFC 5280 5), as files hold them: PEM or DER. */
import {
  CertificateList,
  CRLDistributionPoints,
  type DistributionPointName,
  IssuingDistributionPoint,
  id_ce_authorityKeyIdentifier,
  id_ce_cRLDistributionPoints,
  id_ce_cRLNumber,
  id_ce_issuingDistributionPoint,
} from '@peculiar/asn1-x509';
import { SocryptError } from '../../errors.ts';
import { type Certificate, checkedTime, extensionsOf, nameText, signedParts } from '../certificate.ts';
import { childrenOf, contentOf, type DerElement, DerError, parseAs, slice, TAG } from '../der.ts';
import { decodePemOrDer } from '../pem.ts';
import type { Signed } from './signed.ts';

export interface RevocationList extends Signed {
  /** For people. */
  readonly issuer: string;
  readonly issuerDer: Uint8Array;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date;
  /** Serial numbers as `serialKey` writes them. */
  readonly revoked: ReadonlySet<string>;
  readonly scope: 'all' | 'leaves' | 'authorities';
  /** Of the certificates whose distribution point is one of these; undefined: of all. */
  readonly distributionPoints: ReadonlySet<string> | undefined;
}

const MAX_LISTS = 64;
const MAX_ENTRIES = 1_000_000;
const OID_ENTRY_REASON = '551d15';
const OID_ENTRY_INVALIDITY_DATE = '551d18';

/**
 * The lists in `bytes` (PEM: one or more blocks X509 CRL; DER: one). Throws ERR_SOCRYPT_PEM_INVALID, ERR_SOCRYPT_CRL_MISSING and
 * ERR_SOCRYPT_CRL_INVALID, the last also for lists that cannot be used alone (delta and indirect ones).
 */
export function readRevocationLists(bytes: Uint8Array, source: string): RevocationList[] {
  const encoded = decodePemOrDer(bytes, source, MAX_LISTS);
  if (encoded.format === 'der') return [parseRevocationList(encoded.der, source)];
  const blocks = encoded.format === 'pem' ? encoded.blocks.filter(({ label }) => label === 'X509 CRL') : [];
  if (blocks.length === 0) {
    throw new SocryptError(
      'ERR_SOCRYPT_CRL_MISSING',
      `${source}: expected a certificate revocation list in PEM (X509 CRL) or DER, but there is none. Give the list that the authority publishes.`,
    );
  }
  return blocks.map(({ der, line }) => parseRevocationList(der, `${source}, line ${line}`));
}

/** One list from DER. Throws ERR_SOCRYPT_CRL_INVALID. */
export function parseRevocationList(der: Uint8Array, source: string): RevocationList {
  try {
    return listOf(Uint8Array.from(der));
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    throw new SocryptError(
      'ERR_SOCRYPT_CRL_INVALID',
      `${source}: expected a complete X.509 v2 certificate revocation list, but ${error.message}. Check with: openssl crl -in FILE -noout -text.`,
      { cause: error },
    );
  }
}

function listOf(der: Uint8Array): RevocationList {
  const { tbs, ...signed } = signedParts(der);
  const fields = childrenOf(der, tbs) ?? [];
  // TBSCertList: version, signature, issuer, thisUpdate, nextUpdate, revokedCertificates OPTIONAL, [0] extensions OPTIONAL.
  const [version, algorithm, issuer, thisUpdate, nextUpdate] = fields;
  if (version?.tag !== TAG.integer || Buffer.from(contentOf(der, version)).toString('hex') !== '01') {
    throw new DerError('it is not version 2');
  }
  if (algorithm === undefined || issuer === undefined || thisUpdate === undefined)
    throw new DerError('it is too short');
  // RFC 5280 5.1.2.5: "Conforming CRL issuers MUST include the nextUpdate field in all CRLs."
  // RFC 5280 5.1.2.5: "MUST be able to process dates that are encoded in either UTCTime or GeneralizedTime".
  if (nextUpdate === undefined || (nextUpdate.tag !== 0x17 && nextUpdate.tag !== 0x18)) {
    throw new DerError('it has no nextUpdate');
  }
  const entries = fields[5]?.tag === TAG.sequence ? fields[5] : undefined;
  // The entries of a large list are walked raw: asn1-schema takes 30 us and 1 KB for each. The rest is what it parses.
  const list = parseAs(withoutEntries(der, tbs, entries), CertificateList).tbsCertList;
  const extensions = extensionsOf(list.crlExtensions ?? []);
  // RFC 5280 5.2.3: "MUST be able to handle CRLNumber values up to 20 octets": it is not looked at.
  // RFC 5280 B: "MUST be able to handle cRLNumber values up to 20 octets in length".
  const known: readonly string[] = [
    id_ce_issuingDistributionPoint,
    id_ce_cRLNumber,
    id_ce_authorityKeyIdentifier,
  ];
  // RFC 5280 5.2: "If a CRL contains a critical extension that the application cannot process, then the application
  // MUST NOT use that CRL".
  for (const [oid, { critical }] of extensions) {
    if (critical && !known.includes(oid))
      throw new DerError(`its extension ${oid} is critical and not known here`);
  }
  const point = extensions.get(id_ce_issuingDistributionPoint);
  return {
    ...signed,
    tbsSignatureAlgorithm: slice(der, algorithm),
    issuer: nameText(list.issuer),
    issuerDer: slice(der, issuer),
    // RFC 5280 5.1.2.4: "MUST be able to process dates that are encoded in either UTCTime or GeneralizedTime".
    thisUpdate: checkedTime(list.thisUpdate.getTime(), contentOf(der, thisUpdate)),
    nextUpdate: checkedTime(timeOf(list.nextUpdate), contentOf(der, nextUpdate)),
    revoked: entries === undefined ? new Set() : serialsOf(der, entries),
    ...(point === undefined ? { scope: 'all', distributionPoints: undefined } : scopeOf(point.value)),
  };
}

function timeOf(time: { getTime(): Date } | undefined): Date {
  if (time === undefined) throw new DerError('it has no nextUpdate');
  return time.getTime();
}

/** The same list with its entries left out, lengths written anew. */
function withoutEntries(der: Uint8Array, tbs: DerElement, entries: DerElement | undefined): Uint8Array {
  if (entries === undefined) return der;
  const content = Buffer.concat([
    der.subarray(tbs.contentStart, entries.start),
    der.subarray(entries.end, tbs.end),
  ]);
  const after = der.subarray(tbs.end);
  return sequence(Buffer.concat([sequence(content), after]));
}

function sequence(content: Uint8Array): Uint8Array {
  const head = Buffer.alloc(6);
  head[0] = TAG.sequence;
  const size = content.length;
  const octets = size < 0x80 ? 0 : Math.ceil(size.toString(16).length / 2);
  if (octets === 0) head[1] = size;
  else {
    head[1] = 0x80 | octets;
    head.writeUIntBE(size, 2, octets);
  }
  return Buffer.concat([head.subarray(0, 2 + octets), content]);
}

function serialsOf(der: Uint8Array, entries: DerElement): Set<string> {
  const serials = new Set<string>();
  for (const entry of childrenOf(der, entries) ?? [undefined]) {
    const [serial, date, extensions] = (entry && childrenOf(der, entry)) ?? [];
    if (serial?.tag !== TAG.integer || date === undefined) throw new DerError('an entry is damaged');
    if (serials.size >= MAX_ENTRIES) throw new DerError(`it has more than ${MAX_ENTRIES} entries`);
    if (extensions !== undefined) checkEntryExtensions(der, extensions);
    serials.add(serialKey(contentOf(der, serial)));
  }
  return serials;
}

/**
 * RFC 5280 5.3: "If a CRL contains a critical CRL entry extension that the application cannot process, then the application MUST
 * NOT use that CRL to determine the status of any certificates."
 */
function checkEntryExtensions(der: Uint8Array, extensions: DerElement): void {
  for (const extension of childrenOf(der, extensions) ?? []) {
    const [oid, critical] = childrenOf(der, extension) ?? [];
    if (oid === undefined || critical === undefined) throw new DerError('an entry is damaged');
    if (critical.tag !== 0x01 || contentOf(der, critical)[0] === 0) continue;
    const name = Buffer.from(contentOf(der, oid)).toString('hex');
    if (name !== OID_ENTRY_REASON && name !== OID_ENTRY_INVALIDITY_DATE) {
      throw new DerError('an entry has a critical extension that is not known here (an indirect list?)');
    }
  }
}

function scopeOf(value: Uint8Array): Pick<RevocationList, 'scope' | 'distributionPoints'> {
  const point = parseAs(value, IssuingDistributionPoint);
  if (point.indirectCRL || point.onlySomeReasons !== undefined || point.onlyContainsAttributeCerts) {
    throw new DerError('it is indirect, for attribute certificates or for some reasons only');
  }
  const names = point.distributionPoint === undefined ? undefined : urisOf(point.distributionPoint);
  if (names?.length === 0) throw new DerError('its distribution point is no URI');
  return {
    scope: point.onlyContainsUserCerts ? 'leaves' : point.onlyContainsCACerts ? 'authorities' : 'all',
    distributionPoints: names && new Set(names),
  };
}

function urisOf(point: DistributionPointName): string[] {
  return (point.fullName ?? []).flatMap(({ uniformResourceIdentifier: uri }) => uri ?? []);
}

/**
 * Whether the list is about the certificate at all. RFC 5280 6.3.3 (b)(2): the list's distribution point must be one of the
 * certificate's, else a list for some certificates would speak for the others of the same issuer.
 */
export function covers(list: RevocationList, certificate: Certificate): boolean {
  if (list.scope === 'leaves' && certificate.isCA) return false;
  if (list.scope === 'authorities' && !certificate.isCA) return false;
  if (list.distributionPoints === undefined) return true;
  const extension = certificate.extensions.get(id_ce_cRLDistributionPoints);
  if (extension === undefined) return false;
  try {
    const points = [...parseAs(extension.value, CRLDistributionPoints)];
    return points.some(
      // A point with a cRLIssuer is served by an indirect list.
      ({ distributionPoint, cRLIssuer, reasons }) =>
        distributionPoint !== undefined &&
        cRLIssuer === undefined &&
        reasons === undefined &&
        urisOf(distributionPoint).some((uri) => list.distributionPoints?.has(uri)),
    );
  } catch {
    return false;
  }
}

/** Content octets of a serial number as text that compares: hexadecimal without leading zero octets. */
export function serialKey(content: Uint8Array): string {
  const first = content.findIndex((octet) => octet !== 0);
  return Buffer.from(first < 0 ? [] : content.subarray(first)).toString('hex');
}
