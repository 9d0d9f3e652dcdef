/** The client's flight: who we are, if that was asked, our share, and the Finished. */
import { TlsError } from '../../alerts.ts';
import type { Credential } from '../../api.ts';
import { copyBytes } from '../../bytes.ts';
import { writeCertificateVerify } from '../../codec/certificate.ts';
import { writeCertificate12 } from '../../codec/tls12/certificate.ts';
import { writeClientKeyExchange } from '../../codec/tls12/key-exchange.ts';
import { authenticationOf } from '../../codepoints.ts';
import { MasterSecret } from '../../schedule/master-secret.ts';
import type { CertificateRequest } from '../api.ts';
import type { ClientState, Connection } from '../state.ts';
import { expectServerFinish } from './expect-change-cipher-spec.ts';
import type { Proven } from './expect-server-key-exchange.ts';
import { sendFinished } from './finishing.ts';
import { Tls12ClientState } from './progress.ts';

/** After ServerHelloDone. */
export function answerServer(
  connection: Connection,
  proven: Proven,
  request: CertificateRequest | undefined,
): ClientState {
  const { agreed, group, serverPublic } = proven;
  const { suite, randoms, transcript, extendedMasterSecret } = agreed;
  const { provider, config } = connection;
  const { writer } = transcript;
  const flightAt = writer.length;
  const credential = request && config.selectCredential(request);
  const scheme = credential && request && chooseScheme(credential, request);
  // RFC 5246 7.4.6: without a suitable one the client "MUST send a certificate message containing no certificates".
  // RFC 5246 7.3: "If the server has sent a CertificateRequest message, the client MUST send the Certificate
  // message."
  if (request !== undefined) writeCertificate12(writer, credential?.chain ?? []);

  const exchanged = provider.keyShare(group, serverPublic);
  if (exchanged === null) throw new TlsError('bad_key_share');
  // RFC 5246 7.4.7: "It MUST immediately follow the client certificate message, if it is sent"; "Otherwise, it MUST
  // be the first message sent by the client after it receives the ServerHelloDone".
  writeClientKeyExchange(writer, exchanged.publicKey);
  const { sharedSecret } = exchanged;
  // RFC 7627 3: the session hash ends with the ClientKeyExchange, before a CertificateVerify.
  // RFC 7627 5.1: "both client and server MUST use the extended master secret derivation algorithm"; RFC 7627 5.2:
  // without it "they MUST use the standard master secret derivation for the new session".
  const master = extendedMasterSecret
    ? MasterSecret.extended(provider, suite, sharedSecret, transcript.hash())
    : MasterSecret.plain(provider, suite, sharedSecret, randoms);
  // RFC 8422 3: "the CertificateVerify MUST NOT be sent".
  if (credential === undefined || scheme === undefined) return finish(connection, proven, master, flightAt);
  // RFC 5246 7.4.8: over all messages so far, themselves and not their hash. A copy: the caller may take its time.
  // RFC 5246 7.4.8: "When sent, it MUST immediately follow the client key exchange message."
  connection.emit({ type: 'sign', credential, scheme, data: copyBytes(transcript.messages()) });
  return new AwaitSignature(proven, master, flightAt, scheme);
}

// RFC 5246 7.4.4: "If the key is a signature key, it MUST be usable with some hash/signature algorithm pair in
// supported_signature_algorithms."
// RFC 8422 5.6: "The certificate MUST contain an ECDSA-or EdDSA-capable public key", for ecdsa_sign.
function chooseScheme(credential: Credential, request: CertificateRequest): number {
  for (const scheme of credential.schemes12 ?? credential.schemes) {
    if (authenticationOf(scheme) !== undefined && request.signatureSchemes.includes(scheme)) return scheme;
  }
  throw new TlsError('no_common_signature_scheme');
}

class AwaitSignature extends Tls12ClientState {
  readonly name = 'AwaitSignature';
  readonly #proven: Proven;
  readonly #master: MasterSecret;
  readonly #flightAt: number;
  readonly #scheme: number;

  constructor(proven: Proven, master: MasterSecret, flightAt: number, scheme: number) {
    super();
    this.#proven = proven;
    this.#master = master;
    this.#flightAt = flightAt;
    this.#scheme = scheme;
  }

  sign(signature: Uint8Array, connection: Connection): ClientState {
    writeCertificateVerify(this.#proven.agreed.transcript.writer, this.#scheme, signature);
    return finish(connection, this.#proven, this.#master, this.#flightAt);
  }

  override wipe(): void {
    this.#master.wipe();
  }
}

function finish(connection: Connection, proven: Proven, master: MasterSecret, flightAt: number): ClientState {
  const { agreed, scheme, group, presented } = proven;
  const parts: Uint8Array[] = [];
  connection.writeHandshake(copyBytes(agreed.transcript.writer.view(flightAt)), parts);
  const keys = master.keys(agreed.randoms, connection.config.keyLog);
  sendFinished(connection, { agreed, master, keys }, parts);
  return expectServerFinish({
    ...{ agreed, master, keys, scheme, group, presented },
    resumed: false,
    ticket: undefined,
  });
}
