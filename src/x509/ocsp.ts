/**
 * OCSP responses (RFC 6960) as a server staples them: whether one speaks of a certificate, what it says and for how long. Who
 * signed it is for the client to judge, which gets it as it is.
 */
import { createHash } from 'node:crypto';
import { type Certificate, checkedTime } from './certificate.ts';
import { childrenOf, contentOf, type DerElement, DerError, isDer, sequenceOf, TAG } from './der.ts';
import { serialKey } from './verify/crl.ts';

export interface OcspStatus {
  readonly status: 'good' | 'revoked' | 'unknown';
  readonly thisUpdate: Date;
  /** undefined: newer information is available all the time (RFC 6960 4.2.2.1). */
  readonly nextUpdate: Date | undefined;
}

/** RFC 6960 4.2.1: OCSPResponseStatus. */
const STATUSES: Readonly<Record<number, string>> = {
  0: 'successful',
  1: 'malformedRequest',
  2: 'internalError',
  3: 'tryLater',
  5: 'sigRequired',
  6: 'unauthorized',
};
const ENUMERATED = 0x0a;
const CONTEXT = 0xa0;
const GENERALIZED_TIME = 0x18;
/** id-pkix-ocsp-basic, the one type of response there is. */
const OID_BASIC = '2b0601050507300101';
/** CertStatus, implicit tags: good and unknown are NULL, revoked is constructed. */
const CERT_STATUS: ReadonlyMap<number, OcspStatus['status']> = new Map([
  [0x80, 'good'],
  [0xa1, 'revoked'],
  [0x82, 'unknown'],
]);
/** Of CertID.hashAlgorithm, its object identifier. */
const HASHES: ReadonlyMap<string, string> = new Map([
  ['2b0e03021a', 'sha1'],
  ['608648016503040201', 'sha256'],
  ['608648016503040202', 'sha384'],
  ['608648016503040203', 'sha512'],
]);

/**
 * What the response (DER) says about the certificate; undefined: it speaks of others alone. `issuer`: whose key the response must
 * mean; undefined: it is not at hand, and the name has to do. Throws DerError for what is no
 * basic response, or one whose responseStatus is not successful.
 */
export function ocspStatusOf(
  der: Uint8Array,
  certificate: Pick<Certificate, 'issuerDer' | 'serialNumber'>,
  issuer: Pick<Certificate, 'spki'> | undefined,
): OcspStatus | undefined {
  for (const single of singleResponses(der)) {
    const [certId, status, thisUpdate, ...rest] = childrenOf(der, single) ?? [];
    if (certId?.tag !== TAG.sequence || status === undefined || thisUpdate?.tag !== GENERALIZED_TIME) {
      throw new DerError('one of its answers is damaged');
    }
    if (!speaksOf(der, certId, certificate, issuer)) continue;
    const said = CERT_STATUS.get(status.tag);
    if (said === undefined) throw new DerError('its status of the certificate is none that there is');
    const next = rest[0]?.tag === CONTEXT ? only(der, rest[0]) : undefined;
    return {
      status: said,
      thisUpdate: timeOf(der, thisUpdate),
      nextUpdate: next && timeOf(der, next),
    };
  }
  return undefined;
}

/** RFC 6960 4.2.1, from OCSPResponse down to ResponseData.responses. */
function singleResponses(der: Uint8Array): DerElement[] {
  const [status, responseBytes] = sequenceOf(der) ?? [];
  if (status?.tag !== ENUMERATED || !isDer(der)) throw new DerError('it is no OCSPResponse');
  const code = contentOf(der, status)[0] ?? -1;
  if (code !== 0) throw new DerError(`its responseStatus is ${STATUSES[code] ?? code}`);
  // RFC 6960 4.2.1: "If the value of responseStatus is one of the error conditions, the responseBytes field is not set."
  const [type, response] =
    responseBytes?.tag === CONTEXT ? (childrenOf(der, only(der, responseBytes)) ?? []) : [];
  if (type === undefined || response?.tag !== TAG.octetString) throw new DerError('it holds no response');
  if (hex(contentOf(der, type)) !== OID_BASIC) throw new DerError('it is of another type than basic');
  // An OCTET STRING hides what is in it from isDer.
  const basic = der.subarray(response.contentStart, response.end);
  if (!isDer(basic)) throw new DerError('its BasicOCSPResponse is not DER');
  const [outer] = childrenOf(der, response) ?? [];
  const [data, , signature] = (outer?.tag === TAG.sequence && childrenOf(der, outer)) || [];
  if (data?.tag !== TAG.sequence || signature?.tag !== TAG.bitString) {
    throw new DerError('its BasicOCSPResponse is too short');
  }
  const fields = childrenOf(der, data) ?? [];
  // version [0] is absent in version 1; responderID and producedAt come before the answers.
  const responses = fields[fields[0]?.tag === CONTEXT ? 3 : 2];
  const singles = responses?.tag === TAG.sequence ? childrenOf(der, responses) : undefined;
  if (singles === undefined) throw new DerError('it holds no answers');
  return singles;
}

function speaksOf(
  der: Uint8Array,
  certId: DerElement,
  { issuerDer, serialNumber }: Pick<Certificate, 'issuerDer' | 'serialNumber'>,
  issuer: Pick<Certificate, 'spki'> | undefined,
): boolean {
  const [algorithm, issuerName, issuerKey, serial] = childrenOf(der, certId) ?? [];
  if (
    algorithm === undefined ||
    issuerName === undefined ||
    issuerKey === undefined ||
    serial?.tag !== TAG.integer
  ) {
    throw new DerError('one of its answers is damaged');
  }
  if (serialKey(contentOf(der, serial)) !== serialKey(Buffer.from(serialNumber, 'hex'))) return false;
  const [oid] = childrenOf(der, algorithm) ?? [];
  const hash = oid && HASHES.get(hex(contentOf(der, oid)));
  // A hash that is not known here may all the same be known to clients.
  if (hash === undefined) return true;
  const isHashOf = (element: DerElement, bytes: Uint8Array) =>
    createHash(hash).update(bytes).digest('hex') === hex(contentOf(der, element));
  if (!isHashOf(issuerName, issuerDer)) return false;
  return issuer === undefined || isHashOf(issuerKey, keyBitsOf(issuer.spki));
}

/** RFC 6960 4.1.1: issuerKeyHash is over "the value (excluding tag and length) of the subject public key field". */
function keyBitsOf(spki: Uint8Array): Uint8Array {
  const bits = sequenceOf(spki)?.[1];
  return bits === undefined ? spki : contentOf(spki, bits).subarray(1);
}

function only(der: Uint8Array, explicit: DerElement): DerElement {
  const [inner, ...more] = childrenOf(der, explicit) ?? [];
  if (inner === undefined || more.length > 0) throw new DerError('one of its fields is damaged');
  return inner;
}

/** RFC 6960 4.2.2.1: GeneralizedTime as RFC 5280 4.1.2.5.2 has it: in UTC, to the second. */
function timeOf(der: Uint8Array, element: DerElement): Date {
  const content = contentOf(der, element);
  const [, year, month, day, hour, minute, second] =
    /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(Buffer.from(content).toString('latin1')) ?? [];
  return checkedTime(new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`), content);
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
