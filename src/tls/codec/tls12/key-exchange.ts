/** ServerKeyExchange, ServerHelloDone and ClientKeyExchange of ECDHE (RFC 8422 5.4, 5.7). */
import { HandshakeType } from '../../codepoints.ts';
import { Reader } from '../reader.ts';
import { Writer } from '../writer.ts';

/** ECCurveType. */
const NAMED_CURVE = 3;

/** ServerECDHParams, by themselves since they are what is signed. */
export function encodeEcdhParams(group: number, publicKey: Uint8Array): Uint8Array {
  const writer = new Writer(4 + publicKey.length);
  writer.u8(NAMED_CURVE);
  writer.u16(group);
  writer.vector(1, publicKey);
  return writer.view();
}

/** `params`: what encodeEcdhParams gave. */
export function writeServerKeyExchange(
  writer: Writer,
  params: Uint8Array,
  scheme: number,
  signature: Uint8Array,
): void {
  const message = writer.openMessage(HandshakeType.serverKeyExchange);
  writer.bytes(params);
  writer.u16(scheme);
  writer.vector(2, signature);
  writer.closeMessage(message);
}

export function writeServerHelloDone(writer: Writer): void {
  writer.closeMessage(writer.openMessage(HandshakeType.serverHelloDone));
}

/** The client's point; whether it is one is for the key agreement to say. */
export function readClientKeyExchange(body: Uint8Array): Uint8Array {
  const reader = new Reader(body);
  const point = reader.bytes8(1);
  reader.expectEnd();
  return point;
}
