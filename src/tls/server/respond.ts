import { TlsError } from '../alerts.ts';
import { copyBytes } from '../bytes.ts';
import { signatureInput, writeCertificate } from '../codec/certificate.ts';
import { writeCertificateRequest } from '../codec/certificate-request.ts';
import { readClientHello } from '../codec/client-hello.ts';
import { writeEncryptedExtensions } from '../codec/encrypted-extensions.ts';
import type { KeyShareEntry } from '../codec/extensions.ts';
import { writeServerHello } from '../codec/server-hello.ts';
import { MAX_PLAINTEXT, OWN_RECORD_SIZE_LIMIT, TLS13 } from '../codepoints.ts';
import type { Aligned, HandshakeMessage } from '../handshake-joiner.ts';
import { secretLog } from '../key-log.ts';
import { EarlySecret } from '../schedule/key-schedule.ts';
import type { Resumption } from '../session/api.ts';
import { identityOf } from '../session/binding.ts';
import type { Suite } from '../suites.ts';
import type { Transcript } from '../transcript.ts';
import { AwaitResumedPeer } from './await-resumed-peer.ts';
import { AwaitSignature } from './await-signature.ts';
import { finishFlight, type PendingFlight } from './finish-flight.ts';
import { type ChosenCredential, checkHello, chooseAlpn, chooseCredential, type Offer } from './negotiate.ts';
import { offersPskDhe, type ResumableSession, resume } from './resume.ts';
import type { Connection, ServerState } from './state.ts';

export interface Accepted {
  readonly message: HandshakeMessage;
  readonly offer: Offer;
  readonly suite: Suite;
  readonly share: KeyShareEntry;
  /** Ends before the ClientHello that is answered. */
  readonly transcript: Transcript;
  readonly helloRetry: boolean;
  readonly aligned: Aligned;
}

/** Everything chosen, nothing made. */
export interface Plan extends Omit<Accepted, 'message'> {
  readonly alpn: string | undefined;
  /** undefined: a session is resumed for a client that offers no signature schemes. */
  readonly chosen: ChosenCredential | undefined;
  readonly session: ResumableSession | undefined;
  readonly resumption: Resumption;
}

/**
 * Answers a ClientHello that can be answered. All choices come before the first key is made, so that a hello that is
 * refused costs no curve arithmetic.
 */
export function respond(connection: Connection, accepted: Accepted): ServerState {
  connection.version = TLS13;
  const { config } = connection;
  const { message, offer, suite, transcript } = accepted;
  const { hello } = offer;
  const alpn = chooseAlpn(config, hello);
  const chosen = offer.signatureSchemes && chooseCredential(config, hello, offer.signatureSchemes);
  const resumed = resume(connection, {
    hello,
    suite,
    alpn,
    chosen,
    transcript,
    wholeHello: message.whole,
  });
  if (typeof resumed === 'string') {
    return answer(connection, { ...accepted, alpn, chosen, session: undefined, resumption: resumed });
  }
  const plan: Plan = { ...accepted, alpn, chosen, session: resumed, resumption: 'resumed' };
  const { peerCertificates } = resumed.state;
  if (peerCertificates.length === 0) return answer(connection, plan);
  // What was trusted then need not be trusted now. The hello aliases the input, which is gone by the time of the verdict.
  connection.emit({
    type: 'verify',
    chain: peerCertificates,
    ocspResponse: undefined,
    sctList: undefined,
  });
  const kept = checkHello(readClientHello(copyBytes(message.body)));
  const share = { group: accepted.share.group, key: copyBytes(accepted.share.key) };
  return new AwaitResumedPeer({ ...plan, offer: kept, share });
}

/**
 * ServerHello, and what follows it as far as it needs no signature. RFC 8446 4: "Protocol messages MUST be sent in
 * the order defined in Section 4.4.1".
 */
export function answer(connection: Connection, plan: Plan): ServerState {
  const { config, provider } = connection;
  const { offer, suite, share, transcript, session, chosen } = plan;
  const { hello } = offer;
  // RFC 8446 4.2.3: "the client has not sent a "signature_algorithms" extension, then the server MUST abort the
  // handshake with a "missing_extension" alert".
  if (session === undefined && chosen === undefined) throw new TlsError('missing_signature_algorithms');
  const exchanged = provider.keyShare(share.group, share.key);
  if (exchanged === null) throw new TlsError('bad_key_share');

  const { writer } = transcript;
  const helloAt = writer.length;
  writeServerHello(writer, {
    // RFC 8446 4.1.3: "MUST be generated independently of the ClientHello.random".
    random: provider.randomBytes(32),
    sessionId: hello.sessionId,
    suite: suite.id,
    group: share.group,
    // RFC 8446 4.2.8: "MUST be in the same group as the KeyShareEntry value offered by the client that the server has
    // selected".
    publicKey: exchanged.publicKey,
    selectedIdentity: session?.selectedIdentity,
  });
  const flight: Uint8Array[] = [];
  // A copy, since the transcript grows below this view.
  connection.writeHandshake(copyBytes(writer.view(helloAt)), flight);
  connection.writeCompatibilityChangeCipherSpec(hello.sessionId, flight);

  const early = session?.early ?? new EarlySecret(provider, suite);
  const secret = early.handshake(exchanged.sharedSecret, transcript.hash(), secretLog(config, hello.random));
  connection.reader.install(secret.client.keys(), plan.aligned);

  const protectedAt = writer.length;
  const { recordSizeLimit } = hello;
  // RFC 8446 4.3.1: "the server MUST send the EncryptedExtensions message immediately after the ServerHello message".
  writeEncryptedExtensions(writer, {
    alpn: plan.alpn,
    // RFC 6066 3: "When resuming a session, the server MUST NOT include a server_name extension in the server hello."
    acknowledgesServerName: hello.serverName !== undefined && session === undefined,
    recordSizeLimit: recordSizeLimit && OWN_RECORD_SIZE_LIMIT,
  });
  // RFC 8449 4: of TLS 1.3 records the limit counts the type as well.
  // RFC 8449 4: "A server MUST NOT enforce this restriction", that the client's limit be no higher than the
  // protocol's, but "MUST NOT send records larger than the protocol-defined limit".
  const maxFragment = Math.min(MAX_PLAINTEXT, (recordSizeLimit ?? OWN_RECORD_SIZE_LIMIT) - 1);
  connection.writer.limitFragments(maxFragment);
  // RFC 8446 4.3.2: "Servers which are authenticating with a PSK MUST NOT send the CertificateRequest message in the
  // main handshake".
  const asksForCertificate = config.clientAuthentication !== undefined && session === undefined;
  const pending: PendingFlight = {
    secret,
    transcript,
    protectedAt,
    flight,
    asksForCertificate,
    tickets: {
      wanted: offersPskDhe(hello),
      identity: session?.state.identity ?? identityOf(provider, chosen!.credential),
      authenticatedAt: session?.state.authenticatedAt,
    },
    info: {
      version: connection.version,
      suite: suite.id,
      group: share.group,
      alpn: plan.alpn,
      // RFC 8446 4.6.1: "MUST use the value sent in the resumption ClientHello rather than the value sent in the
      // previous session".
      serverName: hello.serverName,
      scheme: session?.state.scheme ?? chosen!.scheme,
      helloRetry: plan.helloRetry,
      resumption: plan.resumption,
      tickets: 0,
      peerCertificates: session?.state.peerCertificates ?? [],
      maxFragment,
    },
  };
  if (session !== undefined || chosen === undefined) return finishFlight(connection, pending);

  // RFC 8446 4.3.2: "This message, if sent, MUST follow EncryptedExtensions."
  if (config.clientAuthentication !== undefined) {
    writeCertificateRequest(writer, config.clientAuthentication);
  }
  const { credential, scheme } = chosen;
  // RFC 8446 4.4.2: "The server MUST send a Certificate message whenever the agreed-upon key exchange method uses
  // certificates".
  writeCertificate(writer, credential.chain, {
    ocspResponse: hello.wantsOcsp ? credential.ocspResponse : undefined,
    sctList: hello.wantsScts ? credential.sctList : undefined,
  });
  connection.emit({
    type: 'sign',
    credential,
    scheme,
    data: signatureInput('server', transcript.hash()),
  });
  return new AwaitSignature(pending);
}
