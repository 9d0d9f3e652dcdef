import { copyBytes, joinBytes } from '../../bytes.ts';
import { type ClientHello, readClientHello } from '../../codec/client-hello.ts';
import { writeCertificate12 } from '../../codec/tls12/certificate.ts';
import { writeCertificateStatus } from '../../codec/tls12/certificate-status.ts';
import { writeServerHello12 } from '../../codec/tls12/hello.ts';
import { encodeEcdhParams } from '../../codec/tls12/key-exchange.ts';
import { HANDSHAKE_HEADER, MAX_PLAINTEXT, TLS12 } from '../../codepoints.ts';
import { MasterSecret } from '../../schedule/master-secret.ts';
import type { Resumption } from '../../session/api.ts';
import { identityOf } from '../../session/binding.ts';
import { type Suite, suiteById } from '../../suites.ts';
import { Transcript } from '../../transcript.ts';
import type { Connection, ServerState } from '../state.ts';
import type { Agreed } from './agreed.ts';
import { AwaitKeyExchangeSignature } from './await-key-exchange-signature.ts';
import { AwaitResumedPeer } from './await-resumed-peer.ts';
import { ExpectChangeCipherSpec } from './expect-change-cipher-spec.ts';
import { writeFinalFlight } from './final-flight.ts';
import { type Choice, checkHello, choose, offersSecureRenegotiation } from './negotiate.ts';
import { type ResumableSession, resume } from './resume.ts';
import { serverRandom } from './server-random.ts';

/** Room for our messages and the client's, a chain of usual length included. */
const TRANSCRIPT_BYTES = 4096;
const SESSION_ID = 32;
/** RFC 5246 7.4.1.3: an empty session_id says that the session cannot be resumed by one. */
const NO_SESSION = new Uint8Array(0);

/** A hello that has been judged, and is answered in TLS 1.2. */
export interface Plan {
  readonly hello: ClientHello;
  /** The whole of it, as it came. */
  readonly message: Uint8Array;
  readonly choice: Choice;
}

/**
 * Answers a ClientHello in TLS 1.2 (RFC 5246 7.3). `message`: the whole of it, as it came. RFC 8446 4.2.3: "MUST
 * behave in accordance with the requirements of [RFC5246] when negotiating that version".
 */
export function respond12(connection: Connection, hello: ClientHello, message: Uint8Array): ServerState {
  connection.version = TLS12;
  checkHello(hello);
  const choice = choose(connection.config, hello);
  const session = resume(connection, hello, choice);
  if (typeof session === 'string') return answerInFull(connection, { hello, message, choice }, session);
  const { peerCertificates } = session.state;
  if (peerCertificates.length === 0) return answerResuming(connection, { hello, message, choice }, session);
  // What was trusted then need not be trusted now. The hello aliases the input, which is gone by the time of the verdict.
  connection.emit({ type: 'verify', chain: peerCertificates, ocspResponse: undefined, sctList: undefined });
  const kept = copyBytes(message);
  const plan = { hello: readClientHello(kept.subarray(HANDSHAKE_HEADER)), message: kept, choice };
  return new AwaitResumedPeer(plan, session);
}

/** ServerHello and Certificate, up to the signature of the key exchange. */
export function answerInFull(connection: Connection, plan: Plan, resumption: Resumption): ServerState {
  const { provider, config } = connection;
  const { hello, choice } = plan;
  const { suite, group, credential, scheme } = choice;
  // RFC 7627 5.1 and 5.3: a session without it is never resumed, so none is begun.
  // RFC 7627 5.3: "If the original session did not use the "extended_master_secret" extension but the new ClientHello
  // contains the extension, then the server MUST NOT perform the abbreviated handshake."
  const keeps = hello.offersExtendedMasterSecret;
  const ticket = keeps && hello.sessionTicket !== undefined && config.tickets !== undefined;
  const keepsId = keeps && !ticket && config.sessionCache !== undefined;
  // RFC 5246 7.4.1.2: "servers MUST NOT place confidential information in session identifiers".
  const sessionId = keepsId ? copyBytes(provider.randomBytes(SESSION_ID)) : NO_SESSION;
  // RFC 6066 8: "MUST NOT send the "CertificateStatus" message unless it received a "status_request" extension in the
  // client hello message and sent" one.
  const ocspResponse = hello.wantsOcsp ? credential.ocspResponse : undefined;
  const sctList = hello.wantsScts ? credential.sctList : undefined;
  const agreed = begin(connection, plan, {
    suite,
    group,
    scheme,
    sessionId,
    ticket,
    staples: ocspResponse !== undefined,
    sctList,
    resumption,
    peerCertificates: [],
    session: { ticket, sessionId, identity: identityOf(provider, credential), authenticatedAt: undefined },
  });
  const { randoms, transcript } = agreed;
  const { writer } = transcript;
  // RFC 5246 7.4.2: "The server MUST send a Certificate message whenever the agreed-upon key exchange method uses
  // certificates".
  writeCertificate12(writer, credential.chain);
  // RFC 6066 1.1: "MUST be included in the hash calculations involved in "Finished" messages".
  if (ocspResponse !== undefined) writeCertificateStatus(writer, ocspResponse);

  const key = provider.generateKeyShare(group);
  const params = encodeEcdhParams(group, key.publicKey);
  connection.emit({
    type: 'sign',
    credential,
    scheme,
    // RFC 8422 5.4: the randoms keep a signature from being used in another handshake.
    // RFC 8422 2.1: "MUST be signed with ECDSA or EdDSA using the private key corresponding to the public key in the
    // server's Certificate".
    data: joinBytes([randoms.client, randoms.server, params]),
  });
  return new AwaitKeyExchangeSignature({ agreed, flightAt: plan.message.length, key, params });
}

/**
 * ServerHello to Finished: in an abbreviated handshake the server's comes first (RFC 5246 7.3, figure 2). RFC 5246
 * 7.3: "both client and server MUST send ChangeCipherSpec messages and proceed directly to Finished messages".
 */
export function answerResuming(connection: Connection, plan: Plan, { state }: ResumableSession): ServerState {
  const { hello } = plan;
  const suite = suiteById(state.suite) ?? plan.choice.suite;
  const ticket = hello.sessionTicket !== undefined && connection.config.tickets !== undefined;
  const agreed = begin(connection, plan, {
    suite,
    group: state.group,
    scheme: state.scheme,
    // RFC 5077 3.4: with a ticket, too, the client's id comes back, and tells it that the session is resumed.
    sessionId: hello.sessionId,
    ticket,
    // RFC 6066 1.1: "the server MUST ignore the extensions and send a server hello containing none of the extension
    // types".
    staples: false,
    sctList: undefined,
    resumption: 'resumed',
    peerCertificates: state.peerCertificates,
    session: {
      ticket,
      sessionId: NO_SESSION,
      identity: state.identity,
      authenticatedAt: state.authenticatedAt,
    },
  });
  const master = new MasterSecret(connection.provider, suite, state.secret);
  const keys = master.keys(agreed.randoms, connection.config.keyLog);
  const { info } = writeFinalFlight(connection, agreed, master, keys.server, plan.message.length);
  return new ExpectChangeCipherSpec({ ...agreed, info }, master, keys.client, undefined);
}

interface Beginning {
  readonly suite: Suite;
  readonly group: number;
  readonly scheme: number;
  readonly sessionId: Uint8Array;
  readonly ticket: boolean;
  readonly staples: boolean;
  readonly sctList: Uint8Array | undefined;
  readonly resumption: Resumption;
  readonly peerCertificates: readonly Uint8Array[];
  readonly session: Agreed['session'];
}

/** Writes the ServerHello behind the client's. */
function begin(connection: Connection, plan: Plan, beginning: Beginning): Agreed {
  const { config, provider } = connection;
  const { hello, message, choice } = plan;
  const { suite, session } = beginning;
  const randoms = { client: copyBytes(hello.random), server: serverRandom(config, provider) };
  const transcript = new Transcript(provider, suite.hash, message.length + TRANSCRIPT_BYTES);
  transcript.add(message);
  writeServerHello12(transcript.writer, {
    random: randoms.server,
    sessionId: beginning.sessionId,
    suite: suite.id,
    // RFC 6066 3: not when a session is resumed.
    // RFC 6066 3: "When resuming a session, the server MUST NOT include a server_name extension in the server hello."
    acknowledgesServerName: hello.serverName !== undefined && beginning.resumption !== 'resumed',
    alpn: choice.alpn,
    extendedMasterSecret: hello.offersExtendedMasterSecret,
    // RFC 5746 3.6: "the server MUST include an empty "renegotiation_info" extension in the ServerHello message".
    secureRenegotiation: offersSecureRenegotiation(hello),
    pointFormats: hello.pointFormats !== undefined,
    sessionTicket: beginning.ticket,
    staples: beginning.staples,
    sctList: beginning.sctList,
    recordSizeLimit: hello.recordSizeLimit && MAX_PLAINTEXT,
  });
  const maxFragment = Math.min(MAX_PLAINTEXT, hello.recordSizeLimit ?? MAX_PLAINTEXT);
  connection.writer.limitFragments(maxFragment);
  return {
    suite,
    randoms,
    extendedMasterSecret: hello.offersExtendedMasterSecret,
    transcript,
    session,
    info: {
      version: TLS12,
      suite: suite.id,
      group: beginning.group,
      alpn: choice.alpn,
      serverName: hello.serverName,
      scheme: beginning.scheme,
      helloRetry: false,
      resumption: beginning.resumption,
      tickets: 0,
      peerCertificates: beginning.peerCertificates,
      maxFragment,
    },
  };
}
