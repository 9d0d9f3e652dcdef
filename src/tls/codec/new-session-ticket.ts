import { ExtensionType, HandshakeType } from '../codepoints.ts';
import { readExtensions } from './extensions.ts';
import { Reader } from './reader.ts';
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

/** Reads the body; its fields alias it. */
export function readNewSessionTicket(body: Uint8Array): NewSessionTicket {
  const reader = new Reader(body);
  const lifetime = reader.u32();
  const ageAdd = reader.bytes(4);
  const nonce = reader.bytes8(0);
  const ticket = reader.bytes16(1);
  // RFC 8446 4.6.1: "Clients MUST ignore unrecognized extensions."
  const extensions = readExtensions(reader.nested16(0), 'duplicate_extension_in_ticket');
  reader.expectEnd();
  const earlyData = extensions.get(ExtensionType.earlyData);
  earlyData?.u32();
  earlyData?.expectEnd();
  return { lifetime, ageAdd, nonce, ticket };
}
