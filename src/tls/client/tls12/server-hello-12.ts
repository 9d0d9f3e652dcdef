import { TlsError } from '../../alerts.ts';
import { copyBytes } from '../../bytes.ts';
import { readSctList } from '../../codec/certificate-status.ts';
import type { Extensions } from '../../codec/extensions.ts';
import type { ReceivedServerHello } from '../../codec/server-hello.ts';
import { ExtensionType, TLS12, UNCOMPRESSED_POINT } from '../../codepoints.ts';
import { MasterSecret } from '../../schedule/master-secret.ts';
import type { ClientSession } from '../../session/client-session.ts';
import { type Suite, suiteById } from '../../suites.ts';
import { Transcript } from '../../transcript.ts';
import { checkAnswered } from '../answer.ts';
import { maxFragmentFrom, selectedAlpn } from '../expect-encrypted-extensions.ts';
import { type Offer, wipeOffer } from '../offer.ts';
import type { ClientState, Connection } from '../state.ts';
import { ExpectCertificate } from './expect-certificate.ts';
import { expectServerFinish } from './expect-change-cipher-spec.ts';
import type { Agreed } from './progress.ts';

const ALLOWED: ReadonlySet<number> = new Set([
  ExtensionType.serverName,
  ExtensionType.statusRequest,
  // Not for a server to say (RFC 8422 5.2), but some do, and it means nothing.
  ExtensionType.supportedGroups,
  ExtensionType.ecPointFormats,
  ExtensionType.alpn,
  ExtensionType.signedCertificateTimestamp,
  ExtensionType.extendedMasterSecret,
  ExtensionType.recordSizeLimit,
  ExtensionType.sessionTicket,
  ExtensionType.renegotiationInfo,
]);

/** Room for the server's messages and ours, a chain of usual length included. */
const TRANSCRIPT_BYTES = 6144;

export interface Accepted12 {
  readonly offer: Offer;
  readonly hello: ReceivedServerHello;
  /** Both hellos, whole. */
  readonly sent: Uint8Array;
  readonly received: Uint8Array;
}

/** A ServerHello that chooses TLS 1.2 (RFC 5246 7.4.1.3). */
export function acceptServerHello12(connection: Connection, accepted: Accepted12): ClientState {
  const { offer, hello, sent, received } = accepted;
  connection.version = TLS12;
  const suite = chosenSuite(offer, hello);
  const { extensions } = hello;
  checkAnswered(extensions, ALLOWED, offer);
  checkExtensions(extensions);
  const session = resumedSession(connection, offer, hello);
  // Shares are for TLS 1.3, and of the session there is a copy.
  wipeOffer(offer);
  const transcript = new Transcript(connection.provider, suite.hash, sent.length + TRANSCRIPT_BYTES);
  transcript.add(sent);
  transcript.add(received);
  const maxFragment = maxFragmentFrom(extensions, 0);
  connection.writer.limitFragments(maxFragment);
  const sctList = extensions.get(ExtensionType.signedCertificateTimestamp);
  const agreed: Agreed = {
    offer,
    suite,
    randoms: { client: offer.random, server: copyBytes(hello.random) },
    extendedMasterSecret: extensions.has(ExtensionType.extendedMasterSecret),
    transcript,
    alpn: selectedAlpn(offer.config.alpn, extensions),
    mayStaple: extensions.has(ExtensionType.statusRequest),
    promisesTicket: extensions.has(ExtensionType.sessionTicket),
    maxFragment,
    sessionId: copyBytes(hello.sessionId),
    sctList: sctList && copyBytes(readSctList(sctList)),
  };
  return session === undefined ? new ExpectCertificate(agreed) : resume(connection, agreed, session);
}

/**
 * RFC 5246 7.4.1.3, RFC 5077 3.4: our session id comes back when the session is resumed, and then only. Everything that
 * may end the handshake is checked before the secret is copied.
 */
function resumedSession(
  { provider }: Connection,
  { resumption, sessionId }: Offer,
  { sessionId: answered, suite, extensions }: ReceivedServerHello,
): ClientSession | undefined {
  if (sessionId.length === 0 || !provider.equal(answered, sessionId)) return undefined;
  if (resumption?.suite.version !== TLS12) throw new TlsError('session_id_of_nothing');
  // RFC 5246 7.4.1.3: for a resumed session the suite is "the value from the state of the session being resumed".
  // RFC 5246 7.4.1.3: without one "Clients MUST be prepared to do a full negotiation".
  if (suite !== resumption.suite.id) throw new TlsError('resumption_with_other_suite');
  // RFC 7627 5.3: the session had it; without it "the client MUST abort the handshake".
  if (!extensions.has(ExtensionType.extendedMasterSecret)) {
    throw new TlsError('resumption_without_extended_master_secret');
  }
  return { ...resumption.session, secret: copyBytes(resumption.session.secret) };
}

/** The server goes on to its Finished at once (RFC 5246 7.3, figure 2). */
function resume(connection: Connection, agreed: Agreed, session: ClientSession): ClientState {
  const master = new MasterSecret(connection.provider, agreed.suite, session.secret);
  const { chain, ocspResponse, sctList, scheme } = session;
  return expectServerFinish({
    agreed,
    master,
    keys: master.keys(agreed.randoms, connection.config.keyLog),
    scheme,
    group: 0,
    presented: { chain, ocspResponse, sctList },
    resumed: true,
    ticket: undefined,
  });
}

function chosenSuite(offer: Offer, hello: ReceivedServerHello): Suite {
  if (hello.compressionMethod !== 0) throw new TlsError('bad_compression_method');
  const suite = suiteById(hello.suite);
  if (suite?.version !== TLS12 || !offer.suites.includes(hello.suite)) {
    throw new TlsError('suite_not_offered');
  }
  return suite;
}

function checkExtensions(extensions: Extensions): void {
  // RFC 5746 3.4: in an initial handshake renegotiated_connection is empty, else "MUST abort the handshake". Without
  // RFC 5746 3.4: "the client MUST check if it includes the "renegotiation_info" extension".
  // the extension a client may go on: we renegotiate with nobody.
  const renegotiation = extensions.get(ExtensionType.renegotiationInfo);
  if (renegotiation !== undefined) {
    const bytes = renegotiation.bytes8(0);
    renegotiation.expectEnd();
    if (bytes.length !== 0) throw new TlsError('bad_renegotiation_info');
  }
  const formats = extensions.get(ExtensionType.ecPointFormats);
  if (formats !== undefined) {
    const list = formats.bytes8(1);
    formats.expectEnd();
    // RFC 8422 5.2: "MUST respect the server's choice of point formats", and the one we have must be among them.
    if (!list.includes(UNCOMPRESSED_POINT)) throw new TlsError('bad_point_formats');
  }
  // RFC 6066 3 and 8, RFC 7627 5.1, RFC 5077 3.2: from a server these are empty.
  extensions.get(ExtensionType.serverName)?.expectEnd();
  extensions.get(ExtensionType.statusRequest)?.expectEnd();
  extensions.get(ExtensionType.extendedMasterSecret)?.expectEnd();
  extensions.get(ExtensionType.sessionTicket)?.expectEnd();
}
