import { TlsError } from '../../alerts.ts';
import { copyBytes } from '../../bytes.ts';
import { readSctList } from '../../codec/certificate-status.ts';
import type { Extensions } from '../../codec/extensions.ts';
import type { ReceivedServerHello } from '../../codec/server-hello.ts';
import { ExtensionType, TLS12, UNCOMPRESSED_POINT } from '../../codepoints.ts';
import { type Suite, suiteById } from '../../suites.ts';
import { Transcript } from '../../transcript.ts';
import { checkAnswered } from '../answer.ts';
import { maxFragmentFrom, selectedAlpn } from '../expect-encrypted-extensions.ts';
import { type Offer, wipeOffer } from '../offer.ts';
import type { ClientState, Connection } from '../state.ts';
import { ExpectCertificate } from './expect-certificate.ts';
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
  // Shares are for TLS 1.3.
  wipeOffer(offer);
  const suite = chosenSuite(offer, hello);
  const { extensions } = hello;
  checkAnswered(extensions, ALLOWED, offer);
  checkExtensions(extensions);
  // RFC 5246 7.4.1.3: ours comes back when a session is resumed, and none was offered.
  if (offer.sessionId.length > 0 && connection.provider.equal(hello.sessionId, offer.sessionId)) {
    throw new TlsError('session_id_of_nothing');
  }
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
    sctList: sctList && copyBytes(readSctList(sctList)),
  };
  return new ExpectCertificate(agreed);
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
    // RFC 8422 5.1.2: a list without the uncompressed format is answered by illegal_parameter.
    if (!list.includes(UNCOMPRESSED_POINT)) throw new TlsError('bad_point_formats');
  }
  // RFC 6066 3 and 8, RFC 7627 5.1, RFC 5077 3.2: from a server these are empty.
  extensions.get(ExtensionType.serverName)?.expectEnd();
  extensions.get(ExtensionType.statusRequest)?.expectEnd();
  extensions.get(ExtensionType.extendedMasterSecret)?.expectEnd();
  extensions.get(ExtensionType.sessionTicket)?.expectEnd();
}
