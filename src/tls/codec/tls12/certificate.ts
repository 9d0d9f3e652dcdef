import { HandshakeType } from '../../codepoints.ts';
import { Reader } from '../reader.ts';
import type { Writer } from '../writer.ts';

/** RFC 5246 7.4.2: DER, leaf first; neither a request context nor extensions. */
export function writeCertificate12(writer: Writer, chain: readonly Uint8Array[]): void {
  const message = writer.openMessage(HandshakeType.certificate);
  const list = writer.open(3);
  for (const certificate of chain) writer.vector(3, certificate);
  writer.close(list, 3);
  writer.closeMessage(message);
}

/** DER, leaf first; may be empty when it is a client's. */
export function readCertificate12(body: Uint8Array): Uint8Array[] {
  const reader = new Reader(body);
  const list = reader.nested24(0);
  reader.expectEnd();
  const chain: Uint8Array[] = [];
  while (list.remaining > 0) chain.push(list.bytes24(1));
  return chain;
}
