/** Whether a session that the client offers is resumed (RFC 8446 4.2.11, 4.2.9). */
import { TlsError } from '../alerts.ts';
import type { ClientHello } from '../codec/client-hello.ts';
import { TLS13 } from '../codepoints.ts';
import { EarlySecret } from '../schedule/key-schedule.ts';
import type { ResumptionRefusal } from '../session/api.ts';
import { contextOf, identityOf } from '../session/binding.ts';
import { whyNotResumable } from '../session/resumable.ts';
import { decodeSessionState, type SessionState } from '../session/session-state.ts';
import { type Suite, suiteById } from '../suites.ts';
import type { Transcript } from '../transcript.ts';
import { type ChosenCredential, chooseCredential } from './negotiate.ts';
import type { Connection } from './state.ts';

const PSK_DHE_KE = 1;
/** Identities that are tried; a client has one or two. */
const MAX_IDENTITIES = 4;

/** A session that is resumed, unless the client's certificate in it is refused. */
export interface ResumableSession {
  readonly state: SessionState;
  /** Which of the client's identities it was. */
  readonly selectedIdentity: number;
  readonly early: EarlySecret;
}

export interface ResumeRequest {
  readonly hello: ClientHello;
  readonly suite: Suite;
  readonly alpn: string | undefined;
  /** undefined: the hello has no signature_algorithms. */
  readonly chosen: ChosenCredential | undefined;
  /** The transcript before this hello; the hello is added, in two parts. */
  readonly transcript: Transcript;
  readonly wholeHello: Uint8Array;
}

/** Adds the hello to the transcript, whatever comes of it. `none`: there is nothing to resume. */
export function resume(
  connection: Connection,
  request: ResumeRequest,
): ResumableSession | ResumptionRefusal | 'none' {
  const { hello, transcript, wholeHello } = request;
  const found = find(connection, request);
  if (typeof found === 'string' || hello.psks === undefined) {
    transcript.add(wholeHello);
    return typeof found === 'string' ? found : 'none';
  }
  const { bindersLength, binders } = hello.psks;
  const truncated = wholeHello.subarray(0, wholeHello.length - bindersLength);
  transcript.add(truncated);
  const binder = found.early.binder(transcript.hash());
  transcript.add(wholeHello.subarray(truncated.length));
  // RFC 8446 4.2.11: a binder that "is not present or does not validate": "the server MUST abort the handshake".
  // RFC 8446 4.2.11: "Prior to accepting PSK key establishment, the server MUST validate the corresponding binder
  // value".
  if (!connection.provider.equal(binder, binders[found.selectedIdentity]!)) {
    found.early.wipe();
    throw new TlsError('bad_binder');
  }
  const ticket = hello.psks.identities[found.selectedIdentity]!;
  if (connection.config.tickets?.claim(ticket) !== true) {
    found.early.wipe();
    return 'used';
  }
  return found;
}

function find(connection: Connection, request: ResumeRequest): ResumableSession | ResumptionRefusal | 'none' {
  const { config, provider } = connection;
  const { hello, suite } = request;
  if (config.tickets === undefined || hello.psks === undefined) return 'none';
  // RFC 8446 4.2.9: "Servers MUST NOT select a key exchange mode that is not listed by the client." RFC 8446 4.1.1:
  // "it MUST also select a key establishment mode from the set indicated by the client's".
  if (!offersPskDhe(hello)) return 'no_dhe';
  let refusal: ResumptionRefusal = 'unknown_ticket';
  const identities = hello.psks.identities.slice(0, MAX_IDENTITIES);
  for (const [selectedIdentity, identity] of identities.entries()) {
    const plaintext = config.tickets.open('ticket', identity);
    if (plaintext === undefined) continue;
    const state = decodeSessionState(plaintext);
    plaintext.fill(0);
    if (state === undefined) continue;
    const why = whyNot(connection, request, state);
    const early = why === undefined ? new EarlySecret(provider, suite, state.secret) : undefined;
    state.secret.fill(0);
    if (early !== undefined) return { state, selectedIdentity, early };
    refusal = why!;
  }
  return refusal;
}

function whyNot(
  { config, provider }: Connection,
  { hello, suite, alpn, chosen }: ResumeRequest,
  state: SessionState,
): ResumptionRefusal | undefined {
  let credential = chosen?.credential;
  try {
    credential ??= chooseCredential(config, hello, [state.scheme]).credential;
  } catch {
    return 'other_identity';
  }
  const why = whyNotResumable(state, {
    version: TLS13,
    serverName: hello.serverName,
    alpn,
    identity: identityOf(provider, credential),
    context: contextOf(config),
    now: config.tickets!.now(),
    lifetime: config.tickets!.lifetime,
  });
  if (why !== undefined) return why;
  // RFC 8446 4.2.11: "The server MUST ensure that it selects a compatible PSK (if any) and cipher suite."
  // RFC 8446 4.6.1: "Any ticket MUST only be resumed with a cipher suite that has the same KDF hash algorithm".
  if (suiteById(state.suite)?.hash !== suite.hash) return 'other_suite';
  if (config.clientAuthentication?.required === true && state.peerCertificates.length === 0) {
    return 'peer_refused';
  }
  return undefined;
}

/** A PSK without a key exchange of its own has no forward secrecy, and is not taken. */
export function offersPskDhe(hello: ClientHello): boolean {
  return hello.pskModes?.includes(PSK_DHE_KE) === true;
}
