import { HandshakeType } from '../../codepoints.ts';
import type { Writer } from '../writer.ts';

/** RFC 5246 7.4.2: DER, leaf first; neither a request context nor extensions. */
export function writeCertificate12(writer: Writer, chain: readonly Uint8Array[]): void {
  const message = writer.openMessage(HandshakeType.certificate);
  const list = writer.open(3);
  for (const certificate of chain) writer.vector(3, certificate);
  writer.close(list, 3);
  writer.closeMessage(message);
}
