import { joinBytes } from '../bytes.ts';
import { HandshakeType } from '../codepoints.ts';
import { readExtensions } from './extensions.ts';
import { Reader } from './reader.ts';
import type { Writer } from './writer.ts';

/**
 * A Certificate message (RFC 8446 4.4.2): DER, leaf first, no extensions, an empty request context, as in every
 * handshake that is not post-handshake authentication.
 */
export function writeCertificate(writer: Writer, chain: readonly Uint8Array[]): void {
  const message = writer.openMessage(HandshakeType.certificate);
  writer.u8(0);
  const list = writer.open(3);
  for (const certificate of chain) {
    const data = writer.open(3);
    writer.bytes(certificate);
    writer.close(data, 3);
    writer.u16(0);
  }
  writer.close(list, 3);
  writer.closeMessage(message);
}

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
