import { TlsError } from '../alerts.ts';
import { copyBytes } from '../bytes.ts';
import { type ReceivedServerHello, readServerHello } from '../codec/server-hello.ts';
import { ExtensionType, HandshakeType, TLS12, TLS13 } from '../codepoints.ts';
import type { HandshakeMessage } from '../handshake-joiner.ts';
import { requireType, Tls13State } from '../state.ts';
import type { Suite } from '../suites.ts';
import type { Transcript } from '../transcript.ts';
import { ALLOWED_IN, checkAnswered } from './answer.ts';
import type { ClientConfig } from './api.ts';
import { helloMessage, makeSecondOffer, type Offer, wipeOffer } from './offer.ts';
import { acceptServerHello13, checkSuite13 } from './server-hello-13.ts';
import type { ClientState, Connection } from './state.ts';

export interface RetryRequested {
  readonly offer: Offer;
  readonly hello: ReceivedServerHello;
  readonly suite: Suite;
  /** Ends with the HelloRetryRequest. */
  readonly transcript: Transcript;
}

/** RFC 8446 4.1.4: "MUST process all extensions in the HelloRetryRequest and send a second updated ClientHello". */
export function retry(connection: Connection, requested: RetryRequested): ClientState {
  const { offer, hello, suite, transcript } = requested;
  checkAnswered(hello.extensions, ALLOWED_IN.helloRetryRequest, offer);
  const group = requestedGroup(offer, hello);
  const cookie = requestedCookie(hello);
  // RFC 8446 4.1.4: one that "would not result in any change in the ClientHello": illegal_parameter.
  if (group === undefined && cookie === undefined) throw new TlsError('retry_changes_nothing');

  const second = makeSecondOffer(offer, connection.provider, { group, cookie, suite });
  const parts: Uint8Array[] = [];
  connection.oweCompatibilityChangeCipherSpec(offer.sessionId);
  const message = helloMessage(second, connection.provider, transcript.writer.view());
  transcript.add(message);
  connection.writeHandshake(message, parts);
  connection.send(parts);
  return new ExpectSecondServerHello(second, suite, transcript);
}

/**
 * RFC 8446 4.2.8: a group that was offered, and for which there was no share. RFC 8446 4.2.8: "the client MUST verify
 * that (1) the selected_group field corresponds to a group which was provided … and (2) the selected_group field does
 * not correspond"; "If either of these checks fails, then the client MUST abort".
 */
function requestedGroup(offer: Offer, hello: ReceivedServerHello): number | undefined {
  const keyShare = hello.extensions.get(ExtensionType.keyShare);
  if (keyShare === undefined) return undefined;
  const group = keyShare.u16();
  keyShare.expectEnd();
  if (!offer.config.groups.includes(group) || offer.keys.has(group))
    throw new TlsError('retry_for_bad_group');
  return group;
}

function requestedCookie(hello: ReceivedServerHello): Uint8Array | undefined {
  const extension = hello.extensions.get(ExtensionType.cookie);
  if (extension === undefined) return undefined;
  const cookie = extension.bytes16(1);
  extension.expectEnd();
  return copyBytes(cookie);
}

class ExpectSecondServerHello extends Tls13State<ClientConfig> {
  readonly name = 'ExpectSecondServerHello';
  readonly #offer: Offer;
  readonly #suite: Suite;
  readonly #transcript: Transcript;

  constructor(offer: Offer, suite: Suite, transcript: Transcript) {
    super();
    this.#offer = offer;
    this.#suite = suite;
    this.#transcript = transcript;
  }

  override receive(message: HandshakeMessage, connection: Connection): ClientState {
    requireType(message, HandshakeType.serverHello);
    const aligned = connection.joiner.requireAligned();
    const hello = readServerHello(message.body);
    // RFC 8446 4.1.4: "a second HelloRetryRequest in the same connection": unexpected_message.
    if (hello.isRetryRequest) throw new TlsError('second_hello_retry');
    requireSameVersion(hello);
    const offer = this.#offer;
    // RFC 8446 4.1.4: "clients MUST check that the cipher suite supplied in the ServerHello is the same". RFC 8446
    // 4.2.8: "the client MUST verify that the selected NamedGroup in the ServerHello is the same": there is one
    // share, so that it is, unless only a cookie was asked for.
    // RFC 8446 4.2.8: "If this check fails, the client MUST abort the handshake".
    if (checkSuite13(offer, hello).id !== this.#suite.id) throw new TlsError('hello_differs_from_retry');
    this.#transcript.add(message.whole);
    return acceptServerHello13(connection, {
      offer,
      hello,
      suite: this.#suite,
      transcript: this.#transcript,
      aligned,
      helloRetry: true,
    });
  }

  override wipe(): void {
    wipeOffer(this.#offer);
  }
}

/** RFC 8446 4.1.4: selected_version "MUST be retained in the ServerHello". */
function requireSameVersion(hello: ReceivedServerHello): void {
  const selected = hello.extensions.get(ExtensionType.supportedVersions);
  if (selected === undefined) throw new TlsError('hello_differs_from_retry');
  const version = selected.u16();
  selected.expectEnd();
  if (version !== TLS13) throw new TlsError('hello_differs_from_retry');
  if (hello.legacyVersion !== TLS12) throw new TlsError('bad_legacy_version');
}
