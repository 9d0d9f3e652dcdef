import { TlsError } from '../alerts.ts';
import { Reader } from './reader.ts';

const OCSP = 1;

/** CertificateStatus (RFC 6066 8): the OCSPResponse, DER. RFC 8446 4.4.2.1: it comes in a leaf's extension. */
export function readCertificateStatus(reader: Reader): Uint8Array {
  if (reader.u8() !== OCSP) throw new TlsError('bad_certificate_status');
  const response = reader.bytes24(1);
  reader.expectEnd();
  return response;
}

/** A SignedCertificateTimestampList (RFC 6962 3.3), as it came: neither it nor any part may be empty. */
export function readSctList(reader: Reader): Uint8Array {
  const whole = reader.bytes(reader.remaining);
  const content = new Reader(whole);
  const list = content.nested16(1);
  content.expectEnd();
  while (list.remaining > 0) list.bytes16(1);
  return whole;
}
