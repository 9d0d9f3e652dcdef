/** The session that a client offers to resume (RFC 8446 4.2.11), and its binder. */
import { type Extension, extension } from '../codec/hello-writer.ts';
import { ExtensionType, TLS13 } from '../codepoints.ts';
import type { CryptoProvider } from '../crypto-provider.ts';
import { EarlySecret } from '../schedule/key-schedule.ts';
import type { Resumption, ResumptionRefusal } from '../session/api.ts';
import { type ClientSession, decodeClientSession } from '../session/client-session.ts';
import { MASTER_SECRET_LENGTH } from '../session/session-state.ts';
import { type Suite, suiteById } from '../suites.ts';
import { Transcript } from '../transcript.ts';
import type { ClientConfig } from './api.ts';

export interface OfferedSession {
  readonly session: ClientSession;
  /** Its hash is the one of the PSK. */
  readonly suite: Suite;
}

/** What a handshake may resume, or why it resumes nothing. */
export function sessionToOffer(config: ClientConfig): OfferedSession | Exclude<Resumption, 'resumed'> {
  const { session: bytes, now } = config;
  if (bytes === undefined || now === undefined) return 'none';
  const session = decodeClientSession(bytes);
  if (session === undefined) return 'unknown_ticket';
  const suite = suiteById(session.suite);
  const refusal =
    suite?.version === session.version ? whyNotOffered(config, session, suite, now()) : 'unknown_ticket';
  if (suite !== undefined && refusal === undefined) return { session, suite };
  session.secret.fill(0);
  return refusal ?? 'unknown_ticket';
}

function whyNotOffered(
  config: ClientConfig,
  session: ClientSession,
  suite: Suite,
  now: number,
): ResumptionRefusal | undefined {
  if (!hasSecretOf(session, suite)) return 'unknown_ticket';
  if (!config.versions.includes(session.version)) return 'other_version';
  // RFC 8446 4.6.1: "Clients MUST only resume if the new SNI value is valid for the server certificate presented in
  // the original session and SHOULD only resume if the SNI value matches the one used in the original session."
  if (session.serverName !== config.serverName) return 'other_server_name';
  if (!isSuiteOffered(config, suite)) return 'other_suite';
  const age = now - session.receivedAt;
  // RFC 8446 4.2.11.1: "Clients MUST NOT attempt to use tickets which have ages greater than the "ticket_lifetime"
  // value".
  return age >= 0 && age < 1000 * session.lifetime ? undefined : 'expired';
}

/** What was kept elsewhere may have been damaged there. */
function hasSecretOf({ secret, ticket }: ClientSession, { version, hashLength }: Suite): boolean {
  return version === TLS13
    ? secret.length === hashLength && ticket.length > 0
    : secret.length === MASTER_SECRET_LENGTH;
}

/**
 * RFC 8446 4.2.11: a PSK goes with its hash, a session of TLS 1.2 with its suite (RFC 5246 7.4.1.2). RFC 8446 4.6.1:
 * "Any ticket MUST only be resumed with a cipher suite that has the same KDF hash algorithm".
 */
function isSuiteOffered(config: ClientConfig, suite: Suite): boolean {
  // RFC 5246 7.4.1.2: "MUST include at least the cipher_suite from that session".
  if (suite.version !== TLS13) return config.suites.includes(suite.id);
  return config.suites.some((id) => {
    const offered = suiteById(id);
    return offered?.version === TLS13 && offered.hash === suite.hash;
  });
}

/** The extension with a binder of zeros, for the time being: what it covers must be written first. */
export function preSharedKey({ session, suite }: OfferedSession, now: number): Extension {
  return extension(ExtensionType.preSharedKey, (writer) => {
    const identities = writer.open(2);
    writer.vector(2, session.ticket);
    // RFC 8446 4.2.11.1: the age in milliseconds plus ticket_age_add, modulo 2^32.
    writer.u32((now - session.receivedAt + session.ageAdd) % 0x1_0000_0000);
    writer.close(identities, 2);
    const binders = writer.open(2);
    writer.vector(1, new Uint8Array(suite.hashLength));
    writer.close(binders, 2);
  });
}

/**
 * Puts the binder into a ClientHello whose last extension is `preSharedKey`. `before`: what comes before this hello in
 * the transcript, a first hello's hash and a HelloRetryRequest.
 */
export function bind(
  provider: CryptoProvider,
  { session, suite }: OfferedSession,
  hello: Uint8Array,
  before: Uint8Array | undefined,
): void {
  const transcript = new Transcript(provider, suite.hash, hello.length + (before?.length ?? 0));
  if (before !== undefined) transcript.add(before);
  // RFC 8446 4.2.11.2: "up to and including the PreSharedKeyExtension.identities field".
  const binderAt = hello.length - suite.hashLength;
  transcript.add(hello.subarray(0, binderAt - BINDERS_HEADER));
  const secret = new EarlySecret(provider, suite, session.secret);
  hello.set(secret.binder(transcript.hash()), binderAt);
  secret.wipe();
}

/** Lengths of the list, and of its one binder. */
const BINDERS_HEADER = 3;
