import { TlsError } from '../alerts.ts';
import { HandshakeType } from '../codepoints.ts';

/** A whole KeyUpdate message: header and one byte (RFC 8446 4.6.3). */
export const KEY_UPDATE_LENGTH = 5;

export function keyUpdateMessage(requestPeer: boolean): Uint8Array {
  return Uint8Array.of(HandshakeType.keyUpdate, 0, 0, 1, requestPeer ? 1 : 0);
}

/** Checks as much of a KeyUpdate as has come; a whole one gives whether the peer wants one in return. */
export function readKeyUpdate(bytes: Uint8Array): boolean | undefined {
  if (bytes.length > 0 && bytes[0] !== HandshakeType.keyUpdate) {
    throw new TlsError('unexpected_handshake_message');
  }
  for (let i = 1; i < Math.min(bytes.length, 4); i++) {
    if (bytes[i] !== (i === 3 ? 1 : 0)) throw new TlsError('bad_key_update');
  }
  // RFC 8446 5.1: "Handshake messages MUST NOT span key changes"; nothing follows a KeyUpdate under its key.
  if (bytes.length > KEY_UPDATE_LENGTH) throw new TlsError('handshake_bytes_before_key_change');
  if (bytes.length < KEY_UPDATE_LENGTH) return undefined;
  const request = bytes[4]!;
  if (request > 1) throw new TlsError('bad_key_update_request');
  return request === 1;
}
