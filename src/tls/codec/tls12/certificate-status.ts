import { HandshakeType } from '../../codepoints.ts';
import type { Writer } from '../writer.ts';

/** CertificateStatusType. */
const OCSP = 1;

/** RFC 6066 8: in TLS 1.2 a message of its own, behind the Certificate. `ocspResponse`: DER. */
export function writeCertificateStatus(writer: Writer, ocspResponse: Uint8Array): void {
  const message = writer.openMessage(HandshakeType.certificateStatus);
  writer.u8(OCSP);
  writer.vector(3, ocspResponse);
  writer.closeMessage(message);
}
