/** The tickets that a client may resume its session with (RFC 8446 4.6.1). */
import type { HandshakeInfo } from '../api.ts';
import { writeNewSessionTicket } from '../codec/new-session-ticket.ts';
import type { Writer } from '../codec/writer.ts';
import { TLS13 } from '../codepoints.ts';
import type { ResumptionSecret } from '../schedule/key-schedule.ts';
import type { SessionTickets } from '../session/api.ts';
import { contextOf } from '../session/binding.ts';
import { MAX_LIFETIME } from '../session/resumable.ts';
import { encodeSessionState } from '../session/session-state.ts';
import type { Connection } from './state.ts';

export interface TicketFacts {
  /** RFC 8446 4.6.1: a client takes tickets when it does a PSK mode that we do. */
  readonly wanted: boolean;
  /** SHA-256 of the leaf the server is known by. */
  readonly identity: Uint8Array;
  /** When the full handshake was, milliseconds since the Unix epoch; undefined: just now. */
  readonly authenticatedAt: number | undefined;
}

/** A resumed session has a ticket left of those it was begun with; it gets one for the one it used up. */
const AFTER_RESUMPTION = 1;

/** Writes the messages and says how many there are. */
export function issueTickets(
  connection: Connection,
  secret: ResumptionSecret,
  info: HandshakeInfo,
  facts: TicketFacts,
  writer: Writer,
): number {
  const { tickets } = connection.config;
  if (tickets === undefined || !facts.wanted) return 0;
  const wanted = info.resumption === 'resumed' ? AFTER_RESUMPTION : tickets.count;
  for (let issued = 0; issued < wanted; issued++) {
    if (!issue(connection, tickets, secret, info, facts, issued, writer)) return issued;
  }
  return wanted;
}

function issue(
  connection: Connection,
  tickets: SessionTickets,
  secret: ResumptionSecret,
  info: HandshakeInfo,
  facts: TicketFacts,
  number: number,
  writer: Writer,
): boolean {
  const now = tickets.now();
  const authenticatedAt = facts.authenticatedAt ?? now;
  const left = MAX_LIFETIME - Math.ceil((now - authenticatedAt) / 1000);
  const lifetime = Math.min(tickets.lifetime, left);
  if (lifetime <= 0) return false;
  // RFC 8446 4.6.1: a nonce "unique across all tickets issued on this connection".
  const nonce = Uint8Array.of(number);
  const psk = secret.psk(nonce);
  const state = encodeSessionState({
    version: TLS13,
    suite: info.suite,
    group: info.group,
    scheme: info.scheme,
    issuedAt: now,
    authenticatedAt,
    lifetime,
    secret: psk,
    serverName: info.serverName,
    alpn: info.alpn,
    identity: facts.identity,
    context: contextOf(connection.config),
    peerCertificates: info.peerCertificates,
  });
  psk.fill(0);
  const ticket = state && tickets.seal('ticket', state);
  state?.fill(0);
  if (ticket === undefined) return false;
  // RFC 8446 4.6.1: "ticket_age_add: A securely generated, random 32-bit value".
  // RFC 8446 4.6.1: "The server MUST generate a fresh value for each ticket it sends."
  writeNewSessionTicket(writer, { lifetime, ageAdd: connection.provider.randomBytes(4), nonce, ticket });
  return true;
}
