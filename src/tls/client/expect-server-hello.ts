import { TlsError } from '../alerts.ts';
import { type ReceivedServerHello, readServerHello } from '../codec/server-hello.ts';
import { ExtensionType, HandshakeType, TLS12, TLS13 } from '../codepoints.ts';
import type { Aligned, HandshakeMessage } from '../handshake-joiner.ts';
import { requireType, State } from '../state.ts';
import { Transcript } from '../transcript.ts';
import type { ClientConfig } from './api.ts';
import { retry } from './hello-retry.ts';
import { type Offer, wipeOffer } from './offer.ts';
import { acceptServerHello13, checkSuite13 } from './server-hello-13.ts';
import type { ClientState, Connection } from './state.ts';
import { acceptServerHello12 } from './tls12/server-hello-12.ts';

/** The first ServerHello, or a HelloRetryRequest: here the version is decided. */
export class ExpectServerHello extends State<ClientConfig> {
  readonly name = 'ExpectServerHello';
  readonly #offer: Offer;
  /** The ClientHello. */
  readonly #sent: Uint8Array;

  constructor(offer: Offer, sent: Uint8Array) {
    super();
    this.#offer = offer;
    this.#sent = sent;
  }

  override receive(message: HandshakeMessage, connection: Connection): ClientState {
    requireType(message, HandshakeType.serverHello);
    const offer = this.#offer;
    const hello = readServerHello(message.body);
    if (versionOf(offer, hello) === TLS12) {
      return acceptServerHello12(connection, { offer, hello, sent: this.#sent, received: message.whole });
    }
    // A ServerHello changes the keys; nothing follows a HelloRetryRequest before our second hello.
    const aligned = connection.joiner.requireAligned();
    // RFC 8446 4.1.4: "the client MUST check the legacy_version, legacy_session_id_echo, cipher_suite, and
    // legacy_compression_method": the first with the version, the others here.
    const suite = checkSuite13(offer, hello);
    const transcript = new Transcript(connection.provider, suite.hash, this.#sent.length + 4096);
    if (hello.isRetryRequest) {
      transcript.addHashOf(this.#sent);
      transcript.add(message.whole);
      return retry(connection, { offer, hello, suite, transcript });
    }
    transcript.add(this.#sent);
    transcript.add(message.whole);
    return acceptServerHello13(connection, { offer, hello, suite, transcript, aligned, helloRetry: false });
  }

  override changeCipherSpec(connection: Connection, aligned: Aligned): ClientState {
    // RFC 8446 5: dropped at any time after the ClientHello; TLS 1.2 has none this early.
    if (!this.#offer.config.versions.includes(TLS13)) return super.changeCipherSpec(connection, aligned);
    connection.dropChangeCipherSpec();
    return this;
  }

  override wipe(): void {
    wipeOffer(this.#offer);
  }
}

/**
 * RFC 8446 4.2.1: with supported_versions it decides alone, without it legacy_version does. RFC 8446 4.2.1: "Clients
 * MUST check for this extension prior to processing the rest of the ServerHello", and "MUST use only the
 * "supported_versions" extension to determine the selected version".
 */
function versionOf(offer: Offer, hello: ReceivedServerHello): number {
  const { versions } = offer.config;
  const selected = hello.extensions.get(ExtensionType.supportedVersions);
  if (selected === undefined) {
    if (hello.legacyVersion !== TLS12 || !versions.includes(TLS12) || hello.isRetryRequest) {
      // RFC 8446 D.1: "If the version chosen by the server is not supported by the client (or is not acceptable), the
      // client MUST abort the handshake with a "protocol_version" alert."
      // RFC 5246 E.1: "the client MUST send a "protocol_version" alert message".
      throw new TlsError('version_not_offered');
    }
    refuseDowngrade(offer, hello.random);
    return TLS12;
  }
  if (!offer.types.has(ExtensionType.supportedVersions)) throw new TlsError('extension_not_offered');
  const version = selected.u16();
  selected.expectEnd();
  // RFC 8446 4.2.1: "contains a version not offered by the client or contains a version prior to TLS 1.3, the client
  // MUST abort".
  if (version < TLS13 || !versions.includes(version)) throw new TlsError('bad_selected_version');
  if (hello.legacyVersion !== TLS12) throw new TlsError('bad_legacy_version');
  return version;
}

/** "DOWNGRD". */
const DOWNGRADE = Uint8Array.of(0x44, 0x4f, 0x57, 0x4e, 0x47, 0x52, 0x44);
const DOWNGRADE_AT = 24;

/**
 * RFC 8446 4.1.3: a server that could do better ends its random with "DOWNGRD" and 1 (it has TLS 1.3) or 0 (it has TLS
 * 1.2); a client that offered better "MUST check", and end the handshake with illegal_parameter.
 * RFC 8446 4.1.3: "MUST check that the last 8 bytes are not equal to either of these values"; "If a match is found,
 * the client MUST abort the handshake".
 */
function refuseDowngrade(offer: Offer, random: Uint8Array): void {
  if (!DOWNGRADE.every((byte, i) => byte === random[DOWNGRADE_AT + i])) return;
  const last = random[DOWNGRADE_AT + DOWNGRADE.length];
  if (last === 0 || (last === 1 && offer.config.versions.includes(TLS13))) {
    throw new TlsError('downgrade_detected');
  }
}
