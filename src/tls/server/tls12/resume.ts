/** Whether a session that the client offers by ticket or by id is resumed (RFC 5077 3.4, RFC 5246 7.4.1.3). */
import { TlsError } from '../../alerts.ts';
import type { ClientHello } from '../../codec/client-hello.ts';
import { TLS12 } from '../../codepoints.ts';
import type { ResumptionRefusal } from '../../session/api.ts';
import { contextOf, identityOf } from '../../session/binding.ts';
import { MAX_LIFETIME, whyNotResumable } from '../../session/resumable.ts';
import { decodeSessionState, type SessionState12 } from '../../session/session-state.ts';
import type { Connection } from '../state.ts';
import type { Choice } from './negotiate.ts';

export interface ResumableSession {
  readonly state: SessionState12;
}

/** `none`: nothing was offered, or nothing is resumed here. The state's secret is the caller's to wipe. */
export function resume(
  connection: Connection,
  hello: ClientHello,
  choice: Choice,
): ResumableSession | ResumptionRefusal | 'none' {
  const found = find(connection, hello);
  if (typeof found === 'string') return found;
  const why = whyNot(connection, hello, choice, found);
  if (why === undefined) return { state: found };
  found.secret.fill(0);
  return why;
}

/** RFC 5077 3.4: a ticket goes before a session id. */
function find({ config }: Connection, hello: ClientHello): SessionState12 | ResumptionRefusal | 'none' {
  const ticket = hello.sessionTicket;
  const byTicket = ticket !== undefined && ticket.length > 0;
  if (byTicket ? config.tickets === undefined : config.sessionCache === undefined) return 'none';
  if (!byTicket && hello.sessionId.length === 0) return 'none';
  const plaintext = byTicket
    ? config.tickets?.open('ticket', ticket)
    : config.sessionCache?.find(hello.sessionId);
  // A client in TLS 1.3's compatibility mode sends an id of no session.
  if (plaintext === undefined) return byTicket ? 'unknown_ticket' : 'none';
  const state = decodeSessionState(plaintext);
  plaintext.fill(0);
  if (state === undefined) return 'unknown_ticket';
  if (state.version === TLS12) return state;
  state.secret.fill(0);
  return 'other_version';
}

function whyNot(
  { config, provider }: Connection,
  hello: ClientHello,
  { suites, credential, alpn }: Choice,
  state: SessionState12,
): ResumptionRefusal | undefined {
  const { tickets, sessionCache } = config;
  const clock = tickets ?? sessionCache;
  const why = whyNotResumable(state, {
    version: TLS12,
    serverName: hello.serverName,
    alpn,
    identity: identityOf(provider, credential),
    context: contextOf(config),
    now: clock?.now() ?? 0,
    lifetime: tickets?.lifetime ?? MAX_LIFETIME,
  });
  if (why !== undefined) return why;
  // RFC 5246 7.4.1.3: the suite is that of the session, which the client "MUST" offer; and we must still want it.
  if (!suites.some(({ id }) => id === state.suite)) return 'other_suite';
  if (config.clientAuthentication?.required === true && state.peerCertificates.length === 0) {
    return 'peer_refused';
  }
  // RFC 7627 5.3: "If the original session used the "extended_master_secret" extension but the new ClientHello does
  // not contain it, the server MUST abort the abbreviated handshake."
  if (!hello.offersExtendedMasterSecret) {
    state.secret.fill(0);
    throw new TlsError('resumption_without_extended_master_secret');
  }
  const ticket = hello.sessionTicket;
  if (ticket !== undefined && ticket.length > 0 && tickets?.claim(ticket) !== true) return 'used';
  return undefined;
}
