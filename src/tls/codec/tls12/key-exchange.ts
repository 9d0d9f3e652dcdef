/** ServerKeyExchange, ServerHelloDone and ClientKeyExchange of ECDHE (RFC 8422 5.4, 5.7). */
import { TlsError } from '../../alerts.ts';
import { HandshakeType } from '../../codepoints.ts';
import { Reader } from '../reader.ts';
import { Writer } from '../writer.ts';

/** ECCurveType (RFC 8422 5.4): the only one that is left. */
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

export interface ServerKeyExchange {
  readonly group: number;
  readonly publicKey: Uint8Array;
  /** ServerECDHParams as they came: what is signed. */
  readonly params: Uint8Array;
  readonly scheme: number;
  readonly signature: Uint8Array;
}

export function readServerKeyExchange(body: Uint8Array): ServerKeyExchange {
  const reader = new Reader(body);
  if (reader.u8() !== NAMED_CURVE) throw new TlsError('bad_curve_type');
  const group = reader.u16();
  const publicKey = reader.bytes8(1);
  const params = body.subarray(0, body.length - reader.remaining);
  const scheme = reader.u16();
  const signature = reader.bytes16(0);
  reader.expectEnd();
  return { group, publicKey, params, scheme, signature };
}

export function writeServerHelloDone(writer: Writer): void {
  writer.closeMessage(writer.openMessage(HandshakeType.serverHelloDone));
}

export function writeClientKeyExchange(writer: Writer, publicKey: Uint8Array): void {
  const message = writer.openMessage(HandshakeType.clientKeyExchange);
  writer.vector(1, publicKey);
  writer.closeMessage(message);
}

/** The client's point; whether it is one is for the key agreement to say. */
export function readClientKeyExchange(body: Uint8Array): Uint8Array {
  const reader = new Reader(body);
  const point = reader.bytes8(1);
  reader.expectEnd();
  return point;
}
