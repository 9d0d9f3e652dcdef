import { HandshakeType } from '../codepoints.ts';
import type { Writer } from './writer.ts';

/** A server's Certificate message (RFC 8446 4.4.2): DER, leaf first, no extensions, an empty request context. */
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

const ascii = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));
const SERVER_CONTEXT = Uint8Array.of(
  ...new Uint8Array(64).fill(0x20),
  ...ascii('TLS 1.3, server CertificateVerify'),
  0,
);

/** What a server signs: 64 spaces, the context string, a zero, the transcript hash (RFC 8446 4.4.3). */
export function serverSignatureInput(transcriptHash: Uint8Array): Uint8Array {
  const input = new Uint8Array(SERVER_CONTEXT.length + transcriptHash.length);
  input.set(SERVER_CONTEXT);
  input.set(transcriptHash, SERVER_CONTEXT.length);
  return input;
}
