/** NewSessionTicket (RFC 5077 3.3). */
import { HandshakeType } from '../../codepoints.ts';
import { Reader } from '../reader.ts';
import type { Writer } from '../writer.ts';

export interface NewSessionTicket12 {
  /** Seconds; 0: the server does not say. */
  readonly lifetime: number;
  /** Empty: the server has changed its mind and there is none. */
  readonly ticket: Uint8Array;
}

export function writeNewSessionTicket12(writer: Writer, { lifetime, ticket }: NewSessionTicket12): void {
  const message = writer.openMessage(HandshakeType.newSessionTicket);
  writer.u32(lifetime);
  writer.vector(2, ticket);
  writer.closeMessage(message);
}

export function readNewSessionTicket12(body: Uint8Array): NewSessionTicket12 {
  const reader = new Reader(body);
  const lifetime = reader.u32();
  const ticket = reader.bytes16(0);
  reader.expectEnd();
  return { lifetime, ticket };
}
