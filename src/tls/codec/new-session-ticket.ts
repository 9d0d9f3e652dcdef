import { HandshakeType } from '../codepoints.ts';
import type { Writer } from './writer.ts';

export interface NewSessionTicket {
  /** Seconds. */
  readonly lifetime: number;
  /** Four bytes. */
  readonly ageAdd: Uint8Array;
  readonly nonce: Uint8Array;
  readonly ticket: Uint8Array;
}

/** RFC 8446 4.6.1; without extensions, since early data is not taken. */
export function writeNewSessionTicket(writer: Writer, ticket: NewSessionTicket): void {
  const message = writer.openMessage(HandshakeType.newSessionTicket);
  writer.u32(ticket.lifetime);
  writer.bytes(ticket.ageAdd);
  writer.vector(1, ticket.nonce);
  writer.vector(2, ticket.ticket);
  writer.u16(0);
  writer.closeMessage(message);
}
