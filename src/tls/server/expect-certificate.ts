/** A client's certificate and the proof that it is its own (RFC 8446 4.4.2, 4.4.3). */
import { TlsError } from '../alerts.ts';
import type { CertificateRefusal } from '../api.ts';
import { copyBytes } from '../bytes.ts';
import { readCertificate, readCertificateVerify, signatureInput } from '../codec/certificate.ts';
import { HandshakeType } from '../codepoints.ts';
import type { HandshakeMessage } from '../handshake-joiner.ts';
import { readPeerKey, requireSignature } from '../peer-signature.ts';
import { type AwaitsVerification, requireType, Tls13State } from '../state.ts';
import type { ServerConfig } from './api.ts';
import { ExpectFinished } from './expect-finished.ts';
import { type AwaitedFlight, wipeAwaited } from './finish-flight.ts';
import type { Connection, ServerState } from './state.ts';

abstract class ClientFlightState extends Tls13State<ServerConfig> {
  protected readonly awaited: AwaitedFlight;

  constructor(awaited: AwaitedFlight) {
    super();
    this.awaited = awaited;
  }

  override wipe(): void {
    wipeAwaited(this.awaited);
  }
}

export class ExpectCertificate extends ClientFlightState {
  readonly name = 'ExpectCertificate';

  override receive(message: HandshakeMessage, connection: Connection): ServerState {
    requireType(message, HandshakeType.certificate);
    const { requestContext, entries } = readCertificate(message.body);
    // RFC 8446 4.4.2: within the handshake it "SHALL be zero length", as in our request.
    if (requestContext.length > 0) throw new TlsError('bad_request_context');
    // RFC 8446 4.4.2: "Extensions in the Certificate message from the client MUST correspond to extensions in the
    // CertificateRequest message from the server": there we ask for none.
    if (entries.some(({ extensions }) => extensions.size > 0)) throw new TlsError('extension_not_offered');
    this.awaited.transcript.add(message.whole);
    if (entries.length === 0) {
      // RFC 8446 4.4.2.4: the server may go on without, or abort with "certificate_required".
      if (connection.config.clientAuthentication?.required !== false) {
        throw new TlsError('no_client_certificate');
      }
      return new ExpectFinished(this.awaited);
    }
    const chain = entries.map(({ certificate }) => copyBytes(certificate));
    return new ExpectCertificateVerify(this.awaited, chain, readPeerKey(chain[0]!));
  }
}

class ExpectCertificateVerify extends ClientFlightState {
  readonly name = 'ExpectCertificateVerify';
  readonly #chain: readonly Uint8Array[];
  readonly #spki: Uint8Array;

  constructor(awaited: AwaitedFlight, chain: readonly Uint8Array[], spki: Uint8Array) {
    super(awaited);
    this.#chain = chain;
    this.#spki = spki;
  }

  override receive(message: HandshakeMessage, connection: Connection): ServerState {
    requireType(message, HandshakeType.certificateVerify);
    const { transcript } = this.awaited;
    const { scheme, signature } = readCertificateVerify(message.body);
    requireSignature(connection.provider, {
      scheme,
      offered: connection.config.clientAuthentication?.schemes ?? [],
      spki: this.#spki,
      data: signatureInput('client', transcript.hash()),
      signature,
    });
    transcript.add(message.whole);
    connection.emit({
      type: 'verify',
      chain: this.#chain,
      ocspResponse: undefined,
      sctList: undefined,
      scheme,
    });
    return new AwaitClientVerification(this.awaited, this.#chain);
  }
}

class AwaitClientVerification extends ClientFlightState implements AwaitsVerification<ServerConfig> {
  readonly name = 'AwaitClientVerification';
  readonly #chain: readonly Uint8Array[];

  constructor(awaited: AwaitedFlight, chain: readonly Uint8Array[]) {
    super(awaited);
    this.#chain = chain;
  }

  verified(refusal: CertificateRefusal | undefined, _connection: Connection): ServerState {
    if (refusal !== undefined) throw new TlsError(refusal);
    const info = { ...this.awaited.info, peerCertificates: this.#chain };
    return new ExpectFinished({ ...this.awaited, info });
  }
}
