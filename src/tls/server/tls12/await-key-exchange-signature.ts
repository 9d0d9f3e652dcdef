import { copyBytes } from '../../bytes.ts';
import { writeCertificateRequest12 } from '../../codec/tls12/certificate-request.ts';
import { writeServerHelloDone, writeServerKeyExchange } from '../../codec/tls12/key-exchange.ts';
import type { Writer } from '../../codec/writer.ts';
import { authenticationOf } from '../../codepoints.ts';
import type { EphemeralKey } from '../../crypto-provider.ts';
import { State } from '../../state.ts';
import type { ClientAuthentication, ServerConfig } from '../api.ts';
import type { Connection, ServerState } from '../state.ts';
import type { Agreed } from './agreed.ts';
import { ExpectCertificate } from './expect-certificate.ts';
import { ExpectClientKeyExchange } from './expect-client-key-exchange.ts';

interface Pending {
  readonly agreed: Agreed;
  /** Where in the transcript our flight begins. */
  readonly flightAt: number;
  readonly key: EphemeralKey;
  /** ServerECDHParams. */
  readonly params: Uint8Array;
}

/** The key exchange is being signed, perhaps elsewhere; no record is read meanwhile. */
export class AwaitKeyExchangeSignature extends State<ServerConfig> {
  readonly name = 'AwaitKeyExchangeSignature';
  readonly #pending: Pending;

  constructor(pending: Pending) {
    super();
    this.#pending = pending;
  }

  sign(signature: Uint8Array, connection: Connection): ServerState {
    const { agreed, flightAt, key, params } = this.#pending;
    const { writer } = agreed.transcript;
    writeServerKeyExchange(writer, params, agreed.info.scheme, signature);
    const { clientAuthentication } = connection.config;
    if (clientAuthentication !== undefined) requestCertificate(writer, clientAuthentication);
    writeServerHelloDone(writer);
    const flight: Uint8Array[] = [];
    connection.writeHandshake(copyBytes(writer.view(flightAt)), flight);
    connection.send(flight);
    return clientAuthentication === undefined
      ? new ExpectClientKeyExchange(agreed, key, [])
      : new ExpectCertificate(agreed, key);
  }

  override wipe(): void {
    this.#pending.key.wipe();
  }
}

/** RFC 5246 7.4.4: the types are those that the schemes need. */
function requestCertificate(writer: Writer, { schemes, authorities }: ClientAuthentication): void {
  const kinds = schemes.map(authenticationOf);
  writeCertificateRequest12(writer, {
    authentications: (['ecdsa', 'rsa'] as const).filter((kind) => kinds.includes(kind)),
    schemes: schemes.filter((_, i) => kinds[i] !== undefined),
    authorities,
  });
}
