import { TlsError } from '../alerts.ts';
import { HandshakeType } from '../codepoints.ts';
import { type Aligned, alignedAt } from '../handshake-joiner.ts';

/** A whole KeyUpdate message: header and one byte (RFC 8446 4.6.3). */
export const KEY_UPDATE_LENGTH = 5;

export function keyUpdateMessage(requestPeer: boolean): Uint8Array {
  return Uint8Array.of(HandshakeType.keyUpdate, 0, 0, 1, requestPeer ? 1 : 0);
}

export interface KeyUpdate {
  /** The peer wants one in return. */
  readonly requestsUpdate: boolean;
  readonly aligned: Aligned;
}

/** Checks as much of a KeyUpdate as has come; undefined: its end has not. */
export function readKeyUpdate(bytes: Uint8Array): KeyUpdate | undefined {
  // RFC 8446 4.1.2: "receives a ClientHello at any other time, it MUST terminate the connection with an
  // "unexpected_message" alert". RFC 8446 4.6.2: of an unasked CertificateRequest, "MUST send an "unexpected_message"
  // fatal alert".
  if (bytes.length > 0 && bytes[0] !== HandshakeType.keyUpdate) {
    throw new TlsError('unexpected_handshake_message');
  }
  for (let i = 1; i < Math.min(bytes.length, 4); i++) {
    if (bytes[i] !== (i === 3 ? 1 : 0)) throw new TlsError('bad_key_update');
  }
  if (bytes.length < KEY_UPDATE_LENGTH) return undefined;
  // Nothing follows a KeyUpdate under its key.
  const aligned = alignedAt(bytes.length - KEY_UPDATE_LENGTH);
  const request = bytes[4]!;
  // RFC 8446 4.6.3: "If an implementation receives any other value, it MUST terminate the connection with an
  // "illegal_parameter" alert."
  if (request > 1) throw new TlsError('bad_key_update_request');
  return { requestsUpdate: request === 1, aligned };
}
