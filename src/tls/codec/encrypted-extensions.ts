import { ExtensionType, HandshakeType } from '../codepoints.ts';
import { writeAlpn } from './extensions.ts';
import type { Writer } from './writer.ts';

export interface EncryptedExtensions {
  /** The chosen protocol; undefined: none is negotiated. */
  readonly alpn: string | undefined;
  /** RFC 6066 3: a server that used the name "SHALL include an extension of type server_name". */
  readonly acknowledgesServerName: boolean;
  /** Bytes of a record's inner plaintext that we take, type included (RFC 8449 4); undefined: not negotiated. */
  readonly recordSizeLimit: number | undefined;
}

// Not all extensions are answered. RFC 8446 4.2.9: "The server MUST NOT send a "psk_key_exchange_modes" extension."
// RFC 8446 4.2.6: "Servers MUST NOT send this extension.", post_handshake_auth.
export function writeEncryptedExtensions(writer: Writer, extensions: EncryptedExtensions): void {
  const message = writer.openMessage(HandshakeType.encryptedExtensions);
  const list = writer.open(2);
  if (extensions.acknowledgesServerName) {
    writer.u16(ExtensionType.serverName);
    writer.u16(0);
  }
  if (extensions.alpn !== undefined) writeAlpn(writer, extensions.alpn);
  if (extensions.recordSizeLimit !== undefined) {
    writer.u16(ExtensionType.recordSizeLimit);
    writer.u16(2);
    writer.u16(extensions.recordSizeLimit);
  }
  writer.close(list, 2);
  writer.closeMessage(message);
}
