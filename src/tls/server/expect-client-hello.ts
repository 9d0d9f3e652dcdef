import { TlsError } from '../alerts.ts';
import { type ClientHello, readClientHello } from '../codec/client-hello.ts';
import { writeHelloRetryRequest } from '../codec/server-hello.ts';
import { HandshakeType, TLS12, TLS13 } from '../codepoints.ts';
import type { Aligned, HandshakeMessage } from '../handshake-joiner.ts';
import type { Sealer } from '../session/api.ts';
import { requireType, State, Tls13State } from '../state.ts';
import { type Suite, suiteById } from '../suites.ts';
import { Transcript } from '../transcript.ts';
import type { ServerConfig } from './api.ts';
import { checkHello, chooseGroup, chooseSuite, chooseVersion } from './negotiate.ts';
import { respond } from './respond.ts';
import { ephemeralSealer, fingerprintOf, openCookie, sealCookie } from './retry-cookie.ts';
import type { Connection, ServerState } from './state.ts';
import { respond12 } from './tls12/respond.ts';

/** Skipped early data at most, in bytes of ciphertext; as BoringSSL. */
const MAX_SKIPPED_EARLY_DATA = 16_384;
/** Of our own messages, on top of the client's. */
const TRANSCRIPT_ROOM = 2048;

export class ExpectClientHello extends State<ServerConfig> {
  readonly name = 'ExpectClientHello';

  override receive(message: HandshakeMessage, connection: Connection): ServerState {
    requireType(message, HandshakeType.clientHello);
    const aligned = connection.joiner.requireAligned();
    const hello = readClientHello(message.body);
    const { config, provider } = connection;
    if (chooseVersion(config, hello) === TLS12) return respond12(connection, hello, message.whole);
    const offer = checkHello(hello);
    if (hello.cookie !== undefined) {
      // The first hello went to another handshake, which keeps nothing of it.
      return continueAfterRetry(connection, message, hello, config.cookies, aligned);
    }
    const suite = chooseSuite(config, hello);
    const { group, share } = chooseGroup(config, offer);
    // RFC 8446 4.2.10: the first and second of the "one of three ways": it is never accepted, and what comes of it is
    // skipped.
    if (hello.offersEarlyData) connection.reader.skipEarlyData(MAX_SKIPPED_EARLY_DATA);
    // RFC 8446 4.1.1: "the server MUST respond with a HelloRetryRequest (Section 4.1.4) message".
    if (share === undefined) return askForShare(connection, message.whole, hello, suite, group);
    const transcript = new Transcript(provider, suite.hash, message.whole.length + TRANSCRIPT_ROOM);
    return respond(connection, { message, offer, suite, share, transcript, helloRetry: false, aligned });
  }
}

/** After a HelloRetryRequest (RFC 8446 4.1.4). What is to be remembered of the first hello is in its cookie. */
export class ExpectSecondClientHello extends Tls13State<ServerConfig> {
  readonly name = 'ExpectSecondClientHello';
  readonly #sealer: Sealer;

  constructor(sealer: Sealer) {
    super();
    this.#sealer = sealer;
  }

  override receive(message: HandshakeMessage, connection: Connection): ServerState {
    requireType(message, HandshakeType.clientHello);
    const aligned = connection.joiner.requireAligned();
    connection.reader.endEarlyData();
    const hello = readClientHello(message.body);
    return continueAfterRetry(connection, message, hello, this.#sealer, aligned);
  }
}

function askForShare(
  connection: Connection,
  firstHello: Uint8Array,
  hello: ClientHello,
  suite: Suite,
  group: number,
): ServerState {
  const { provider, config } = connection;
  const sealer = config.cookies ?? ephemeralSealer(provider);
  const cookie = sealCookie(sealer, {
    suite: suite.id,
    group,
    firstHello: provider.hash(suite.hash, firstHello),
    fingerprint: fingerprintOf(provider, hello),
  });
  if (cookie === undefined) throw new TlsError('internal_error');
  const { writer } = new Transcript(provider, suite.hash, 256);
  writeHelloRetryRequest(writer, { sessionId: hello.sessionId, suite: suite.id, group, cookie });
  const parts: Uint8Array[] = [];
  connection.writeHandshake(writer.view(), parts);
  connection.writeCompatibilityChangeCipherSpec(hello.sessionId, parts);
  connection.send(parts);
  return new ExpectSecondClientHello(sealer);
}

function continueAfterRetry(
  connection: Connection,
  message: HandshakeMessage,
  hello: ClientHello,
  sealer: Sealer | undefined,
  aligned: Aligned,
): ServerState {
  const { config, provider } = connection;
  // RFC 8446 4.2.2: the client "MUST copy the contents of the extension received in the HelloRetryRequest".
  if (hello.cookie === undefined) throw new TlsError('missing_cookie');
  const state = sealer && openCookie(sealer, hello.cookie);
  // RFC 8446 4.1.4: "Servers MUST ensure that they negotiate the same cipher suite when receiving a conformant
  // updated ClientHello".
  const suite = state && suiteById(state.suite);
  if (state === undefined || suite?.version !== TLS13) throw new TlsError('bad_cookie');
  if (chooseVersion(config, hello) !== TLS13) throw new TlsError('second_hello_differs');
  const offer = checkHello(hello);
  if (!provider.equal(fingerprintOf(provider, hello), state.fingerprint)) {
    throw new TlsError('second_hello_differs');
  }
  // RFC 8446 4.2.10: early data is "not permitted" after a HelloRetryRequest.
  // RFC 8446 4.2.10: "A client MUST NOT include the "early_data" extension in its followup ClientHello."
  if (hello.offersEarlyData) throw new TlsError('early_data_in_second_hello');
  // RFC 8446 4.2.8: the list is replaced by "a single KeyShareEntry from the indicated group".
  const share = offer.shares[0];
  if (share === undefined || offer.shares.length !== 1 || share.group !== state.group) {
    throw new TlsError('second_hello_without_requested_share');
  }
  const room = hello.cookie.length + message.whole.length + TRANSCRIPT_ROOM;
  const transcript = new Transcript(provider, suite.hash, room);
  transcript.addMessageHash(state.firstHello);
  const { sessionId, cookie } = hello;
  writeHelloRetryRequest(transcript.writer, { sessionId, suite: suite.id, group: state.group, cookie });
  return respond(connection, { message, offer, suite, share, transcript, helloRetry: true, aligned });
}
