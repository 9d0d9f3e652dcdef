import { TlsError } from '../alerts.ts';
import { copyBytes } from '../bytes.ts';
import { type ClientHello, readClientHello } from '../codec/client-hello.ts';
import { writeHelloRetryRequest } from '../codec/server-hello.ts';
import { HandshakeType, TLS12, TLS13 } from '../codepoints.ts';
import type { HandshakeMessage } from '../handshake-joiner.ts';
import { requireType, State, Tls13State } from '../state.ts';
import type { Suite } from '../suites.ts';
import { Transcript } from '../transcript.ts';
import type { ServerConfig } from './api.ts';
import { checkHello, chooseGroup, chooseSuite, chooseVersion, sameHello } from './negotiate.ts';
import { respond } from './respond.ts';
import type { Connection, ServerState } from './state.ts';
import { respond12 } from './tls12/respond.ts';

/** Skipped early data at most, in bytes of ciphertext; as BoringSSL. */
const MAX_SKIPPED_EARLY_DATA = 16_384;

export class ExpectClientHello extends State<ServerConfig> {
  readonly name = 'ExpectClientHello';

  override receive(message: HandshakeMessage, connection: Connection): ServerState {
    requireType(message, HandshakeType.clientHello);
    const aligned = connection.joiner.requireAligned();
    const hello = readClientHello(message.body);
    if (chooseVersion(connection.config, hello) === TLS12) return respond12(connection, hello, message.whole);
    const offer = checkHello(hello);
    const suite = chooseSuite(connection.config, hello);
    const { group, share } = chooseGroup(connection.config, offer);
    if (hello.offersEarlyData && hello.offersPsk) connection.reader.skipEarlyData(MAX_SKIPPED_EARLY_DATA);

    const transcript = new Transcript(connection.provider, suite.hash, message.whole.length + 2048);
    if (share !== undefined) {
      transcript.add(message.whole);
      return respond(connection, { offer, suite, share, transcript, helloRetry: false, aligned });
    }
    transcript.addHashOf(message.whole);
    const start = transcript.writer.length;
    writeHelloRetryRequest(transcript.writer, { sessionId: hello.sessionId, suite: suite.id, group });
    const parts: Uint8Array[] = [];
    connection.writeHandshake(transcript.writer.view(start), parts);
    connection.writeCompatibilityChangeCipherSpec(hello.sessionId, parts);
    connection.send(parts);
    // The hello aliases the input, which is gone by the time of the next one.
    const first = readClientHello(copyBytes(message.body));
    return new ExpectSecondClientHello(first, suite, group, transcript);
  }
}

/** After a HelloRetryRequest (RFC 8446 4.1.4). */
export class ExpectSecondClientHello extends Tls13State<ServerConfig> {
  readonly name = 'ExpectSecondClientHello';
  readonly #first: ClientHello;
  readonly #suite: Suite;
  readonly #group: number;
  readonly #transcript: Transcript;

  constructor(first: ClientHello, suite: Suite, group: number, transcript: Transcript) {
    super();
    this.#first = first;
    this.#suite = suite;
    this.#group = group;
    this.#transcript = transcript;
  }

  override receive(message: HandshakeMessage, connection: Connection): ServerState {
    requireType(message, HandshakeType.clientHello);
    const aligned = connection.joiner.requireAligned();
    connection.reader.endEarlyData();
    const hello = readClientHello(message.body);
    if (chooseVersion(connection.config, hello) !== TLS13) throw new TlsError('second_hello_differs');
    const offer = checkHello(hello);
    if (!sameHello(this.#first, offer.hello)) throw new TlsError('second_hello_differs');
    // RFC 8446 4.2.10: early data is "not permitted" after a HelloRetryRequest.
    if (offer.hello.offersEarlyData) throw new TlsError('early_data_in_second_hello');
    // RFC 8446 4.2.8: the list is replaced by "a single KeyShareEntry from the indicated group".
    const share = offer.shares[0];
    if (share === undefined || offer.shares.length !== 1 || share.group !== this.#group) {
      throw new TlsError('second_hello_without_requested_share');
    }
    this.#transcript.add(message.whole);
    return respond(connection, {
      offer,
      suite: this.#suite,
      share,
      transcript: this.#transcript,
      helloRetry: true,
      aligned,
    });
  }
}
