import { joinBytes } from '../bytes.ts';
import { ExtensionType, HandshakeType } from '../codepoints.ts';
import { readExtensions } from './extensions.ts';
import { Reader } from './reader.ts';
import type { Writer } from './writer.ts';

/** What may go with the leaf, when the peer has asked for it (RFC 8446 4.4.2.1). */
export interface LeafExtensions {
  /** DER OCSPResponse. */
  readonly ocspResponse?: Uint8Array | undefined;
  /** SignedCertificateTimestampList (RFC 6962 3.3). */
  readonly sctList?: Uint8Array | undefined;
}

/**
 * A Certificate message (RFC 8446 4.4.2): DER, leaf first, an empty request context, as in every handshake that is
 * not post-handshake authentication.
 */
export function writeCertificate(
  writer: Writer,
  chain: readonly Uint8Array[],
  leaf: LeafExtensions = {},
): void {
  const message = writer.openMessage(HandshakeType.certificate);
  writer.u8(0);
  const list = writer.open(3);
  for (const [depth, certificate] of chain.entries()) {
    writer.vector(3, certificate);
    const extensions = writer.open(2);
    if (depth === 0) writeLeafExtensions(writer, leaf);
    writer.close(extensions, 2);
  }
  writer.close(list, 3);
  writer.closeMessage(message);
}

// RFC 8446 4.4.2.1: "the body of the "status_request" extension from the server MUST be a CertificateStatus
// structure".
function writeLeafExtensions(writer: Writer, { ocspResponse, sctList }: LeafExtensions): void {
  if (ocspResponse !== undefined) {
    writer.u16(ExtensionType.statusRequest);
    const status = writer.open(2);
    writer.u8(OCSP);
    writer.vector(3, ocspResponse);
    writer.close(status, 2);
  }
  if (sctList !== undefined) {
    writer.u16(ExtensionType.signedCertificateTimestamp);
    writer.vector(2, sctList);
  }
}

/** CertificateStatusType (RFC 6066 8). */
const OCSP = 1;

export function writeCertificateVerify(writer: Writer, scheme: number, signature: Uint8Array): void {
  const message = writer.openMessage(HandshakeType.certificateVerify);
  writer.u16(scheme);
  const data = writer.open(2);
  writer.bytes(signature);
  writer.close(data, 2);
  writer.closeMessage(message);
}

export interface CertificateEntry {
  /** DER. */
  readonly certificate: Uint8Array;
  readonly extensions: ReadonlyMap<number, Reader>;
}

export interface CertificateMessage {
  readonly requestContext: Uint8Array;
  /** Leaf first; may be empty when it is a client's. */
  readonly entries: readonly CertificateEntry[];
}

/** Its form; which extensions may be there is the states' business. */
export function readCertificate(body: Uint8Array): CertificateMessage {
  const reader = new Reader(body);
  const requestContext = reader.bytes8(0);
  const list = reader.nested24(0);
  reader.expectEnd();
  const entries: CertificateEntry[] = [];
  while (list.remaining > 0) {
    entries.push({ certificate: list.bytes24(1), extensions: readExtensions(list.nested16(0)) });
  }
  return { requestContext, entries };
}

export interface CertificateVerify {
  readonly scheme: number;
  readonly signature: Uint8Array;
}

export function readCertificateVerify(body: Uint8Array): CertificateVerify {
  const reader = new Reader(body);
  const scheme = reader.u16();
  const signature = reader.bytes16(0);
  reader.expectEnd();
  return { scheme, signature };
}

const ascii = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));
const contextFor = (role: string) =>
  Uint8Array.of(...new Uint8Array(64).fill(0x20), ...ascii(`TLS 1.3, ${role} CertificateVerify`), 0);
const CONTEXTS = { client: contextFor('client'), server: contextFor('server') };

/** What a peer of this role signs: 64 spaces, the context string, a zero, the transcript hash (RFC 8446 4.4.3). */
export function signatureInput(role: 'client' | 'server', transcriptHash: Uint8Array): Uint8Array {
  return joinBytes([CONTEXTS[role], transcriptHash]);
}
