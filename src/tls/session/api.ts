/** Sessions as a server is configured with them: whoever holds the keys gives these functions. */
import type { Purpose } from './sealed.ts';

/** Seals and opens with keys that it alone knows; must not throw. */
export interface Sealer {
  /** Milliseconds since the Unix epoch, by the clock that those who share the keys have. */
  now(): number;
  /** undefined: not now; the ticket or cookie is left out. */
  seal(purpose: Purpose, plaintext: Uint8Array): Uint8Array | undefined;
  /** undefined: of a key that is unknown (or no longer in use), or damaged. The result is the caller's to wipe. */
  open(purpose: Purpose, sealed: Uint8Array): Uint8Array | undefined;
}

export interface SessionTickets extends Sealer {
  /** NewSessionTicket messages after a handshake, 1 to 8. */
  readonly count: number;
  /** Seconds, 1 to 604800 (RFC 8446 4.6.1: not more than 7 days). */
  readonly lifetime: number;
  /** Asked once for a ticket that is about to resume a session; false: it has done so before and may not again. */
  claim(ticket: Uint8Array): boolean;
}

/** Why a session that a client offered was not resumed; the handshake goes on in full. */
export type ResumptionRefusal =
  /** The key is not known (any more), or the ticket is damaged. */
  | 'unknown_ticket'
  | 'expired'
  /** Made for another version, hash, server name, protocol, certificate or policy. */
  | 'other_version'
  | 'other_suite'
  | 'other_server_name'
  | 'other_alpn'
  | 'other_identity'
  | 'other_context'
  /** The client does not do psk_dhe_ke. */
  | 'no_dhe'
  /** A single-use ticket came again, or their table is full. */
  | 'used'
  /** The certificate that the client had then is refused now. */
  | 'peer_refused';

/** How a handshake came about; `none`: nothing was offered. */
export type Resumption = 'none' | 'resumed' | ResumptionRefusal;
