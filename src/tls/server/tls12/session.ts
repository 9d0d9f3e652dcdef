/** The session that a handshake leaves behind: a ticket for the client, or an entry under its id here. */
import { writeNewSessionTicket12 } from '../../codec/tls12/new-session-ticket.ts';
import type { Writer } from '../../codec/writer.ts';
import { TLS12 } from '../../codepoints.ts';
import type { MasterSecret } from '../../schedule/master-secret.ts';
import { contextOf } from '../../session/binding.ts';
import { MAX_LIFETIME } from '../../session/resumable.ts';
import { encodeSessionState } from '../../session/session-state.ts';
import type { Connection } from '../state.ts';
import type { Agreed } from './agreed.ts';

export interface SessionFacts {
  /** A NewSessionTicket has been promised. */
  readonly ticket: boolean;
  /** Id of a session to keep here; empty: none is. */
  readonly sessionId: Uint8Array;
  /** SHA-256 of the leaf the server is known by. */
  readonly identity: Uint8Array;
  /** When the full handshake was, milliseconds since the Unix epoch; undefined: in this handshake. */
  readonly authenticatedAt: number | undefined;
}

const NO_ID = new Uint8Array(0);
const NO_TICKET = new Uint8Array(0);

/** Writes the message that was promised, if one was, and says whether there is a ticket in it. */
export function writeTicket(
  connection: Connection,
  agreed: Agreed,
  master: MasterSecret,
  writer: Writer,
): boolean {
  if (!agreed.session.ticket) return false;
  const { tickets } = connection.config;
  const lifetime = tickets === undefined ? 0 : lifetimeOf(agreed, tickets.now(), tickets.lifetime);
  const state =
    tickets === undefined || lifetime <= 0
      ? undefined
      : encode(connection, agreed, master, { now: tickets.now(), lifetime, sessionId: NO_ID });
  const ticket = state && tickets?.seal('ticket', state);
  state?.fill(0);
  // RFC 5077 3.3: a server that has changed its mind sends an empty one.
  writeNewSessionTicket12(writer, {
    lifetime: ticket === undefined ? 0 : lifetime,
    ticket: ticket ?? NO_TICKET,
  });
  return ticket !== undefined;
}

/** After the client's Finished, so that nobody but who made a session can find it. */
export function storeSession(connection: Connection, agreed: Agreed, master: MasterSecret): void {
  const { sessionId } = agreed.session;
  const { sessionCache } = connection.config;
  if (sessionCache === undefined || sessionId.length === 0) return;
  const now = sessionCache.now();
  const lifetime = lifetimeOf(agreed, now, sessionCache.lifetime);
  const state = encode(connection, agreed, master, { now, lifetime, sessionId });
  if (state !== undefined) sessionCache.store(sessionId, state, lifetime);
}

/** Renewed tickets do not lengthen a session. */
function lifetimeOf({ session }: Agreed, now: number, wanted: number): number {
  const age = session.authenticatedAt === undefined ? 0 : Math.ceil((now - session.authenticatedAt) / 1000);
  return Math.min(wanted, MAX_LIFETIME - age);
}

function encode(
  connection: Connection,
  { info, session }: Agreed,
  master: MasterSecret,
  made: { readonly now: number; readonly lifetime: number; readonly sessionId: Uint8Array },
): Uint8Array | undefined {
  const secret = master.copy();
  const state = encodeSessionState({
    version: TLS12,
    suite: info.suite,
    group: info.group,
    scheme: info.scheme,
    issuedAt: made.now,
    authenticatedAt: session.authenticatedAt ?? made.now,
    lifetime: made.lifetime,
    secret,
    serverName: info.serverName,
    alpn: info.alpn,
    identity: session.identity,
    context: contextOf(connection.config),
    peerCertificates: info.peerCertificates,
    sessionId: made.sessionId,
  });
  secret.fill(0);
  return state;
}
