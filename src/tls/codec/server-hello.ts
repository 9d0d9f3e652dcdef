import { ExtensionType, HandshakeType, TLS12, TLS13 } from '../codepoints.ts';
import { type Extensions, readExtensions } from './extensions.ts';
import { Reader } from './reader.ts';
import type { Writer } from './writer.ts';

/** SHA-256 of "HelloRetryRequest": the random that marks a ServerHello as one (RFC 8446 4.1.3). */
const HELLO_RETRY_RANDOM = Uint8Array.of(
  0xcf,
  0x21,
  0xad,
  0x74,
  0xe5,
  0x9a,
  0x61,
  0x11,
  0xbe,
  0x1d,
  0x8c,
  0x02,
  0x1e,
  0x65,
  0xb8,
  0x91,
  0xc2,
  0xa2,
  0x11,
  0x16,
  0x7a,
  0xbb,
  0x8c,
  0x5e,
  0x07,
  0x9e,
  0x09,
  0xe2,
  0xc8,
  0xa8,
  0x33,
  0x9c,
);

export interface ServerHello {
  readonly random: Uint8Array;
  /** The client's legacy_session_id, echoed. */
  readonly sessionId: Uint8Array;
  readonly suite: number;
  readonly group: number;
  readonly publicKey: Uint8Array;
  /** Which of the client's PSKs is used. */
  readonly selectedIdentity: number | undefined;
}

// RFC 8446 4.1.3: "The ServerHello MUST only include extensions which are required to establish the cryptographic
// context".
export function writeServerHello(writer: Writer, hello: ServerHello): void {
  const message = openHello(writer, hello.random, hello.sessionId, hello.suite);
  const extensions = writer.open(2);
  if (hello.selectedIdentity !== undefined) {
    writer.u16(ExtensionType.preSharedKey);
    writer.u16(2);
    writer.u16(hello.selectedIdentity);
  }
  writer.u16(ExtensionType.keyShare);
  const share = writer.open(2);
  writer.u16(hello.group);
  const key = writer.open(2);
  writer.bytes(hello.publicKey);
  writer.close(key, 2);
  writer.close(share, 2);
  closeHello(writer, extensions, message);
}

export interface HelloRetryRequest {
  readonly sessionId: Uint8Array;
  readonly suite: number;
  readonly group: number;
  /** What the client brings back, so that nobody has to remember its first hello. */
  readonly cookie: Uint8Array;
}

/** Asks for a share of `group` (RFC 8446 4.1.4). */
export function writeHelloRetryRequest(writer: Writer, request: HelloRetryRequest): void {
  const message = openHello(writer, HELLO_RETRY_RANDOM, request.sessionId, request.suite);
  const extensions = writer.open(2);
  writer.u16(ExtensionType.keyShare);
  writer.u16(2);
  writer.u16(request.group);
  writer.u16(ExtensionType.cookie);
  const cookie = writer.open(2);
  writer.vector(2, request.cookie);
  writer.close(cookie, 2);
  closeHello(writer, extensions, message);
}

function openHello(writer: Writer, random: Uint8Array, sessionId: Uint8Array, suite: number): number {
  const message = writer.openMessage(HandshakeType.serverHello);
  // RFC 8446 4.1.3: "the legacy_version field MUST be set to 0x0303". RFC 8446 4.2.1: "It MUST set the
  // ServerHello.legacy_version field to 0x0303".
  writer.u16(TLS12);
  writer.bytes(random);
  writer.u8(sessionId.length);
  writer.bytes(sessionId);
  writer.u16(suite);
  writer.u8(0); // legacy_compression_method
  return message;
}

// RFC 8446 4.1: "All TLS 1.3 ServerHello messages MUST contain the "supported_versions" extension"; RFC 8446 4.1.4:
// "The server's extensions MUST contain "supported_versions""; RFC 8446 4.2.1: "MUST respond by sending a
// "supported_versions" extension containing the selected version value (0x0304)".
function closeHello(writer: Writer, extensions: number, message: number): void {
  writer.u16(ExtensionType.supportedVersions);
  writer.u16(2);
  writer.u16(TLS13);
  writer.close(extensions, 2);
  writer.closeMessage(message);
}

/** A ServerHello of TLS 1.2 or 1.3, or a HelloRetryRequest, as it came. Byte fields alias the message. */
export interface ReceivedServerHello {
  readonly legacyVersion: number;
  readonly random: Uint8Array;
  /** RFC 8446 4.1.3: a HelloRetryRequest is a ServerHello with a random of its own. */
  readonly isRetryRequest: boolean;
  readonly sessionId: Uint8Array;
  readonly suite: number;
  readonly compressionMethod: number;
  readonly extensions: Extensions;
}

/** Reads the body: its form only. */
export function readServerHello(body: Uint8Array): ReceivedServerHello {
  const reader = new Reader(body);
  const legacyVersion = reader.u16();
  const random = reader.bytes(32);
  // RFC 8446 4.1.3: "implementations MUST first examine the Random value".
  const isRetryRequest = HELLO_RETRY_RANDOM.every((byte, i) => byte === random[i]);
  const sessionId = reader.bytes8(0, 32);
  const suite = reader.u16();
  const compressionMethod = reader.u8();
  const duplicate = isRetryRequest ? 'duplicate_extension_in_retry' : 'duplicate_extension';
  // RFC 5246 7.4.1.3: before TLS 1.3 the message may end here.
  const extensions: Extensions =
    reader.remaining === 0 ? new Map() : readExtensions(reader.nested16(0), duplicate);
  reader.expectEnd();
  return { legacyVersion, random, isRetryRequest, sessionId, suite, compressionMethod, extensions };
}
