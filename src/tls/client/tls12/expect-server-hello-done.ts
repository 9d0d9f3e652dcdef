import { TlsError } from '../../alerts.ts';
import { copyBytes } from '../../bytes.ts';
import { readCertificateRequest12 } from '../../codec/tls12/certificate-request.ts';
import { authenticationOf, HandshakeType } from '../../codepoints.ts';
import type { HandshakeMessage } from '../../handshake-joiner.ts';
import { requireType } from '../../state.ts';
import type { CertificateRequest } from '../api.ts';
import type { ClientState, Connection } from '../state.ts';
import type { Proven } from './expect-server-key-exchange.ts';
import { Tls12ClientState } from './progress.ts';
import { answerServer } from './second-flight.ts';

/** The end of the server's flight, before which it may ask who we are, once. */
export class ExpectServerHelloDone extends Tls12ClientState {
  readonly name: string;
  readonly #proven: Proven;
  readonly #request: CertificateRequest | undefined;

  constructor(proven: Proven, request: CertificateRequest | undefined) {
    super();
    this.#proven = proven;
    this.#request = request;
    this.name = request === undefined ? 'ExpectCertificateRequestOrServerHelloDone' : 'ExpectServerHelloDone';
  }

  protected override take(message: HandshakeMessage, connection: Connection): ClientState {
    const { transcript } = this.#proven.agreed;
    if (message.type === HandshakeType.certificateRequest && this.#request === undefined) {
      const request = requestOf(message.body);
      transcript.add(message.whole);
      return new ExpectServerHelloDone(this.#proven, request);
    }
    requireType(message, HandshakeType.serverHelloDone);
    if (message.body.length !== 0) throw new TlsError('trailing_data');
    // The server's flight ends here: but for HelloRequests, it has nothing to say before our answer.
    const { joiner } = connection;
    if (joiner.waitingType !== HandshakeType.helloRequest) joiner.requireAligned();
    transcript.add(message.whole);
    return answerServer(connection, this.#proven, this.#request);
  }
}

/**
 * RFC 5246 7.4.4: a scheme counts when its kind of key is among the certificate_types as well. RFC 5246 7.4.4: "MUST
 * contain a key that is compatible with certificate_types".
 */
function requestOf(body: Uint8Array): CertificateRequest {
  const { authentications, schemes, authorities } = readCertificateRequest12(body);
  return {
    signatureSchemes: schemes.filter((scheme) => {
      const authentication = authenticationOf(scheme);
      return authentication !== undefined && authentications.includes(authentication);
    }),
    certificateAuthorities: authorities.map(copyBytes),
  };
}
