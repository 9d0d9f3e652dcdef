/** What is stapled to a certificate, in the handshake: an OCSP response and signed certificate timestamps. */
import { type ErrorCode, SocryptError } from '../errors.ts';
import type { Certificate } from '../x509/certificate.ts';
import { DerError } from '../x509/der.ts';
import { ocspStatusOf } from '../x509/ocsp.ts';
import type { CredentialWarning } from './credential-store.ts';

export interface Staples {
  /** DER OCSPResponse. */
  readonly ocspResponse: Uint8Array | undefined;
  /** Its nextUpdate, from which on it is not stapled any more; undefined: it says none. */
  readonly ocspUntil: Date | undefined;
  /** SignedCertificateTimestampList (RFC 6962 3.3). */
  readonly sctList: Uint8Array | undefined;
}

/** Bytes; real responses have up to 4 KB with a responder's certificate. */
const MAX_OCSP_BYTES = 64 * 1024;
/** Bytes; a timestamp has some 120. In TLS 1.2 it shares the 64 KiB of a hello's extensions. */
const MAX_SCT_BYTES = 16 * 1024;
/** How far the responder's clock may be ahead of ours. */
const CLOCK_SKEW_MS = 5 * 60 * 1000;
/** id-pe-tlsfeature (RFC 7633), "must-staple". */
const OID_TLS_FEATURE = '1.3.6.1.5.5.7.1.24';

/**
 * Checks what is to be stapled to the first certificate of the chain. A response that would only harm (it has ended, or does not call the certificate good)
 * is left out, with a warning. Throws ERR_SOCRYPT_OCSP_INVALID, ERR_SOCRYPT_OCSP_MISMATCH and ERR_SOCRYPT_SCT_INVALID.
 */
export function checkStaples(
  given: { readonly ocsp: Uint8Array | undefined; readonly sct: Uint8Array | undefined },
  names: { readonly cert: string; readonly ocsp: string; readonly sct: string },
  [leaf, issuer]: readonly [Certificate, ...Certificate[]],
  now: Date,
  warnings: CredentialWarning[],
): Staples {
  const ocsp = given.ocsp && checkOcsp(given.ocsp, names, [leaf, issuer], now, warnings);
  if (ocsp === undefined && leaf.extensions.has(OID_TLS_FEATURE)) {
    warnings.push({
      code: 'ERR_SOCRYPT_CERTIFICATE_USAGE',
      message: `${names.cert}: it asks for a stapled OCSP response (RFC 7633), and there is none; clients may refuse it. Give one with --ocsp.`,
    });
  }
  if (given.sct !== undefined) checkSctList(given.sct, names.sct);
  return { ocspResponse: ocsp?.response, ocspUntil: ocsp?.until, sctList: given.sct };
}

function checkOcsp(
  response: Uint8Array,
  names: { readonly cert: string; readonly ocsp: string },
  [leaf, issuer]: readonly [Certificate, Certificate | undefined],
  now: Date,
  warnings: CredentialWarning[],
): { readonly response: Uint8Array; readonly until: Date | undefined } | undefined {
  const fail = (code: ErrorCode, came: string, cause?: unknown): SocryptError =>
    new SocryptError(
      code,
      `${names.ocsp}: expected a successful OCSP response in DER for the certificate in ${names.cert}, but ${came}. ` +
        'Make one with: openssl ocsp -issuer CA -cert CERT -url URL -respout FILE.',
      { cause },
    );
  if (response.length > MAX_OCSP_BYTES) {
    throw fail(
      'ERR_SOCRYPT_OCSP_INVALID',
      `it has ${response.length} bytes, and ${MAX_OCSP_BYTES} are the most`,
    );
  }
  let found: ReturnType<typeof ocspStatusOf>;
  try {
    found = ocspStatusOf(response, leaf, issuer);
  } catch (error) {
    if (error instanceof DerError) throw fail('ERR_SOCRYPT_OCSP_INVALID', error.message, error);
    throw error;
  }
  if (found === undefined) {
    throw fail(
      'ERR_SOCRYPT_OCSP_MISMATCH',
      `it speaks of other ones than the serial number ${leaf.serialNumber} of "${leaf.issuer}"`,
    );
  }
  const { status, thisUpdate, nextUpdate } = found;
  const leaveOut = (code: ErrorCode, why: string): undefined => {
    warnings.push({
      code,
      message: `${names.ocsp}: ${why}; it is not stapled. Fetch a new one, and reload.`,
    });
  };
  if (status !== 'good') return leaveOut('ERR_SOCRYPT_OCSP_STATUS', `it calls the certificate ${status}`);
  if (nextUpdate !== undefined && nextUpdate.getTime() <= now.getTime()) {
    return leaveOut('ERR_SOCRYPT_OCSP_EXPIRED', `it was good until ${nextUpdate.toISOString()} (nextUpdate)`);
  }
  if (thisUpdate.getTime() > now.getTime() + CLOCK_SKEW_MS) {
    return leaveOut(
      'ERR_SOCRYPT_OCSP_NOT_YET_VALID',
      `it is good only from ${thisUpdate.toISOString()} (thisUpdate), by this machine's clock`,
    );
  }
  return { response, until: nextUpdate };
}

/**
 * RFC 6962 3.3: SerializedSCT sct_list<1..2^16-1>, each an opaque<1..2^16-1>. What is in them the logs have signed and
 * clients judge; of version 1 the frame is looked at, so that no wrong file gets to them.
 */
function checkSctList(list: Uint8Array, name: string): void {
  const fail = (came: string): SocryptError =>
    new SocryptError(
      'ERR_SOCRYPT_SCT_INVALID',
      `${name}: expected a SignedCertificateTimestampList (RFC 6962 3.3, TLS encoding: two bytes of length, then each timestamp after two of its own), but ${came}. Give what the logs answered, so encoded.`,
    );
  if (list.length > MAX_SCT_BYTES)
    throw fail(`it has ${list.length} bytes, and ${MAX_SCT_BYTES} are the most`);
  const view = new DataView(list.buffer, list.byteOffset, list.length);
  if (list.length < 2 || view.getUint16(0) !== list.length - 2) throw fail('its length is not what it says');
  if (list.length === 2) throw fail('it is empty');
  for (let at = 2; at < list.length; ) {
    const end = at + 2 + (at + 2 <= list.length ? view.getUint16(at) : 0);
    if (at + 2 >= end || end > list.length)
      throw fail(`the timestamp at byte ${at} is not as long as it says`);
    if (!isTimestamp(view, at + 2, end)) throw fail(`the timestamp at byte ${at} is none of version 1`);
    at = end;
  }
}

const SCT_VERSION_1 = 0;
/** Version, LogID and time stamp (RFC 6962 3.2). */
const SCT_HEAD = 1 + 32 + 8;

/** RFC 6962 3.2: extensions<0..2^16-1>, then hash, signature algorithm and signature<0..2^16-1> to the end. */
function isTimestamp(view: DataView, from: number, end: number): boolean {
  if (view.getUint8(from) !== SCT_VERSION_1 || from + SCT_HEAD + 2 > end) return false;
  const signature = from + SCT_HEAD + 2 + view.getUint16(from + SCT_HEAD) + 2;
  return signature + 2 <= end && signature + 2 + view.getUint16(signature) === end;
}
