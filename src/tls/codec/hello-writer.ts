/** A ClientHello of our own (RFC 8446 4.1.2), of extensions whose bodies are made already. */
import { HandshakeType, TLS12 } from '../codepoints.ts';
import { Writer } from './writer.ts';

export interface Extension {
  readonly type: number;
  readonly body: Uint8Array;
}

export interface OutgoingHello {
  readonly random: Uint8Array;
  readonly sessionId: Uint8Array;
  readonly suites: readonly number[];
  /** In the order in which they go. */
  readonly extensions: readonly Extension[];
}

/** The whole message. */
export function writeClientHello(hello: OutgoingHello): Uint8Array {
  const writer = new Writer(512);
  const message = writer.openMessage(HandshakeType.clientHello);
  // RFC 8446 4.1.2: "the legacy_version field MUST be set to 0x0303". RFC 8446 D.5: "MUST NOT send a
  // ClientHello.legacy_version or ServerHello.legacy_version set to 0x0300 or less".
  writer.u16(TLS12);
  writer.bytes(hello.random);
  writer.vector(1, hello.sessionId);
  writer.list16(2, hello.suites);
  writer.vector(1, NO_COMPRESSION);
  const extensions = writer.open(2);
  for (const { type, body } of hello.extensions) {
    writer.u16(type);
    writer.vector(2, body);
  }
  writer.close(extensions, 2);
  writer.closeMessage(message);
  return writer.view();
}

const NO_COMPRESSION = Uint8Array.of(0);

/** An extension whose body `fill` writes. */
export function extension(type: number, fill?: (writer: Writer) => void): Extension {
  const writer = new Writer(64);
  fill?.(writer);
  return { type, body: writer.view() };
}
