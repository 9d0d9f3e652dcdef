import { TlsError } from '../alerts.ts';
import type { ReceivedServerHello } from '../codec/server-hello.ts';
import { ExtensionType, TLS13 } from '../codepoints.ts';
import type { Aligned } from '../handshake-joiner.ts';
import { secretLog } from '../key-log.ts';
import { EarlySecret } from '../schedule/key-schedule.ts';
import { type Suite, suiteById } from '../suites.ts';
import type { Transcript } from '../transcript.ts';
import { ALLOWED_IN, checkAnswered } from './answer.ts';
import { ExpectEncryptedExtensions } from './expect-encrypted-extensions.ts';
import { type Offer, wipeOffer } from './offer.ts';
import type { OfferedSession } from './resumption.ts';
import type { ClientState, Connection } from './state.ts';

/** What a ServerHello and a HelloRetryRequest have in common (RFC 8446 4.1.3, 4.1.4). */
export function checkSuite13(offer: Offer, hello: ReceivedServerHello): Suite {
  // RFC 8446 4.1.3: a legacy_session_id_echo "that does not match": illegal_parameter. It is no secret.
  const { sessionId } = offer;
  if (
    hello.sessionId.length !== sessionId.length ||
    hello.sessionId.some((byte, i) => byte !== sessionId[i])
  ) {
    throw new TlsError('session_id_not_echoed');
  }
  // RFC 8446 4.1.3: "A single byte which MUST have the value 0".
  if (hello.compressionMethod !== 0) throw new TlsError('bad_compression_method');
  // RFC 8446 4.1: "A client which receives a cipher suite that was not offered MUST abort the handshake".
  const suite = offer.suites.includes(hello.suite) ? suiteById(hello.suite) : undefined;
  if (suite?.version !== TLS13) throw new TlsError('suite_not_offered');
  return suite;
}

export interface Accepted {
  readonly offer: Offer;
  readonly hello: ReceivedServerHello;
  readonly suite: Suite;
  /** Ends with the ServerHello. */
  readonly transcript: Transcript;
  readonly aligned: Aligned;
  readonly helloRetry: boolean;
}

/** The key exchange; from here on the server's messages are protected. */
export function acceptServerHello13(connection: Connection, accepted: Accepted): ClientState {
  const { offer, hello, suite, transcript, aligned, helloRetry } = accepted;
  const { provider } = connection;
  checkAnswered(hello.extensions, ALLOWED_IN.serverHello, offer);
  const resumed = selectedSession(offer, hello, suite);
  const share = hello.extensions.get(ExtensionType.keyShare);
  // RFC 8446 9.2: without pre_shared_key there is a key_share; 4.2.11: with it, too, since psk_dhe_ke was asked for.
  // RFC 8446 4.2.9: "In this mode, the client and server MUST supply "key_share" values".
  if (share === undefined) throw new TlsError(resumed ? 'psk_without_key_share' : 'missing_key_share');
  const group = share.u16();
  const publicKey = share.bytes16(1);
  share.expectEnd();
  // RFC 8446 4.2.8: "If using (EC)DHE key establishment, servers offer exactly one KeyShareEntry", in the group of
  // one of the client's.
  // RFC 8446 2: "the server's share MUST be in the same group as one of the client's shares".
  const key = offer.keys.get(group);
  if (key === undefined) throw new TlsError('key_share_not_offered');
  const sharedSecret = key.agree(publicKey);
  if (sharedSecret === null) throw new TlsError('bad_key_share');

  const resumption = resumed === undefined ? offer.refusal : 'resumed';
  const early = new EarlySecret(provider, suite, resumed?.session.secret);
  const secret = early.handshake(sharedSecret, transcript.hash(), secretLog(connection.config, offer.random));
  wipeOffer(offer);
  connection.version = TLS13;
  // A server has its keys from here on.
  connection.takesPlaintextAlerts = false;
  connection.reader.install(secret.server.keys(), aligned);
  connection.oweCompatibilityChangeCipherSpec(offer.sessionId);
  connection.writer.install(secret.client.keys());
  return new ExpectEncryptedExtensions({
    secret,
    transcript,
    offer,
    suite,
    group,
    helloRetry,
    resumed,
    resumption,
  });
}

/**
 * RFC 8446 4.2.11: "Clients MUST verify that the server's selected_identity is within the range supplied by the
 * client"; "If these values are not consistent, the client MUST abort the handshake with an "illegal_parameter"
 * alert."
 */
function selectedSession(offer: Offer, hello: ReceivedServerHello, suite: Suite): OfferedSession | undefined {
  const extension = hello.extensions.get(ExtensionType.preSharedKey);
  if (extension === undefined) return undefined;
  const identity = extension.u16();
  extension.expectEnd();
  if (identity !== 0 || offer.resumption === undefined) throw new TlsError('psk_not_offered');
  if (offer.resumption.suite.hash !== suite.hash) throw new TlsError('psk_of_another_hash');
  return offer.resumption;
}
