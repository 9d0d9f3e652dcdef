import { ExtensionType, HandshakeType, TLS12, UNCOMPRESSED_POINT } from '../../codepoints.ts';
import { writeAlpn } from '../extensions.ts';
import type { Writer } from '../writer.ts';

/**
 * A server's hello (RFC 5246 7.4.1.3); each extension answers one that the client has sent. RFC 5246 7.4.1.4: "MUST
 * NOT appear in the ServerHello unless the same extension type appeared in the corresponding ClientHello". RFC 5246
 * 7.4.1.4.1: of signature_algorithms "Servers MUST NOT send this extension."
 */
export interface ServerHello12 {
  readonly random: Uint8Array;
  readonly sessionId: Uint8Array;
  readonly suite: number;
  readonly acknowledgesServerName: boolean;
  readonly alpn: string | undefined;
  readonly extendedMasterSecret: boolean;
  readonly secureRenegotiation: boolean;
  readonly pointFormats: boolean;
  /** A NewSessionTicket will come (RFC 5077 3.2). */
  readonly sessionTicket: boolean;
  /** A CertificateStatus will come (RFC 6066 8). */
  readonly staples: boolean;
  /** SignedCertificateTimestampList (RFC 6962 3.3.1). */
  readonly sctList: Uint8Array | undefined;
  /** Bytes of plaintext that we take in a record (RFC 8449). */
  readonly recordSizeLimit: number | undefined;
}

export function writeServerHello12(writer: Writer, hello: ServerHello12): void {
  const message = writer.openMessage(HandshakeType.serverHello);
  // RFC 8446 4.2.1: "MUST set ServerHello.version and MUST NOT send the "supported_versions" extension".
  writer.u16(TLS12);
  writer.bytes(hello.random);
  writer.vector(1, hello.sessionId);
  writer.u16(hello.suite);
  writer.u8(0); // compression_method
  const extensions = writer.open(2);
  if (hello.acknowledgesServerName) writeEmpty(writer, ExtensionType.serverName);
  if (hello.secureRenegotiation) {
    // RFC 5746 3.6: in an initial handshake renegotiated_connection is empty.
    writer.u16(ExtensionType.renegotiationInfo);
    writer.u16(1);
    writer.u8(0);
  }
  // RFC 7627 5.2: "it MUST include the extension in its ServerHello message", in an abbreviated handshake too, RFC
  // 7627 5.3: "the server MUST include the "extended_master_secret" extension in its ServerHello"; without the
  // client's, RFC 7627 5.2: "it MUST NOT include the extension in the ServerHello".
  if (hello.extendedMasterSecret) writeEmpty(writer, ExtensionType.extendedMasterSecret);
  if (hello.sessionTicket) writeEmpty(writer, ExtensionType.sessionTicket);
  // RFC 6066 8: "MUST have included an extension of type "status_request" with empty "extension_data"".
  if (hello.staples) writeEmpty(writer, ExtensionType.statusRequest);
  if (hello.sctList !== undefined) {
    writer.u16(ExtensionType.signedCertificateTimestamp);
    writer.vector(2, hello.sctList);
  }
  if (hello.recordSizeLimit !== undefined) {
    writer.u16(ExtensionType.recordSizeLimit);
    writer.u16(2);
    writer.u16(hello.recordSizeLimit);
  }
  if (hello.pointFormats) {
    writer.u16(ExtensionType.ecPointFormats);
    writer.u16(2);
    writer.u8(1);
    // RFC 8422 5.2: "when used, MUST contain the value 0 (uncompressed)".
    writer.u8(UNCOMPRESSED_POINT);
  }
  if (hello.alpn !== undefined) writeAlpn(writer, hello.alpn);
  // RFC 5246 7.4.1.4 lets the list be absent, not empty.
  if (writer.length === extensions) writer.undo(extensions - 2);
  else writer.close(extensions, 2);
  writer.closeMessage(message);
}

function writeEmpty(writer: Writer, type: number): void {
  writer.u16(type);
  writer.u16(0);
}
