import { HandshakeType } from '../codepoints.ts';
import type { Writer } from './writer.ts';

/** RFC 8446 4.4.4. */
export function writeFinished(writer: Writer, verifyData: Uint8Array): void {
  const message = writer.openMessage(HandshakeType.finished);
  writer.bytes(verifyData);
  writer.closeMessage(message);
}
