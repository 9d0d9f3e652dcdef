/** A client's certificate, before its key exchange, and the proof that it is its own, behind it (RFC 5246 7.4.6, 7.4.8). */
import { TlsError } from '../../alerts.ts';
import type { CertificateRefusal } from '../../api.ts';
import { copyBytes } from '../../bytes.ts';
import { readCertificateVerify } from '../../codec/certificate.ts';
import { readCertificate12 } from '../../codec/tls12/certificate.ts';
import { HandshakeType } from '../../codepoints.ts';
import type { EphemeralKey } from '../../crypto-provider.ts';
import type { HandshakeMessage } from '../../handshake-joiner.ts';
import type { MasterSecret } from '../../schedule/master-secret.ts';
import { type AwaitsVerification, requireType, State } from '../../state.ts';
import { requireSignature12 } from '../../tls12/peer-signature.ts';
import type { ServerConfig } from '../api.ts';
import type { Connection, ServerState } from '../state.ts';
import type { Agreed } from './agreed.ts';
import { ExpectClientKeyExchange, expectChangeCipherSpec } from './expect-client-key-exchange.ts';

export class ExpectCertificate extends State<ServerConfig> {
  readonly name = 'ExpectCertificate';
  readonly #agreed: Agreed;
  readonly #key: EphemeralKey;

  constructor(agreed: Agreed, key: EphemeralKey) {
    super();
    this.#agreed = agreed;
    this.#key = key;
  }

  override receive(message: HandshakeMessage, connection: Connection): ServerState {
    requireType(message, HandshakeType.certificate);
    const chain = readCertificate12(message.body).map(copyBytes);
    // RFC 5246 7.4.6: "the server MAY at its discretion either continue the handshake without client authentication, or
    // respond with a fatal handshake_failure alert."
    if (chain.length === 0 && connection.config.clientAuthentication?.required !== false) {
      throw new TlsError('no_client_certificate_12');
    }
    this.#agreed.transcript.add(message.whole);
    return new ExpectClientKeyExchange(this.#agreed, this.#key, chain);
  }

  override wipe(): void {
    this.#key.wipe();
  }
}

abstract class AuthenticatingState extends State<ServerConfig> {
  protected readonly agreed: Agreed;
  protected readonly master: MasterSecret;
  protected readonly chain: readonly Uint8Array[];

  constructor(agreed: Agreed, master: MasterSecret, chain: readonly Uint8Array[]) {
    super();
    this.agreed = agreed;
    this.master = master;
    this.chain = chain;
  }

  override wipe(): void {
    this.master.wipe();
  }
}

export class ExpectCertificateVerify extends AuthenticatingState {
  readonly name = 'ExpectCertificateVerify';

  override receive(message: HandshakeMessage, connection: Connection): ServerState {
    requireType(message, HandshakeType.certificateVerify);
    const { transcript } = this.agreed;
    const { scheme, signature } = readCertificateVerify(message.body);
    requireSignature12(connection.provider, {
      leaf: this.chain[0]!,
      authentication: undefined,
      offered: connection.config.clientAuthentication?.schemes ?? [],
      groups: undefined,
      scheme,
      // RFC 5246 7.4.8: all messages so far, themselves and not their hash.
      data: transcript.messages(),
      signature,
    });
    transcript.add(message.whole);
    connection.emit({
      type: 'verify',
      chain: this.chain,
      ocspResponse: undefined,
      sctList: undefined,
      scheme,
    });
    return new AwaitClientVerification(this.agreed, this.master, this.chain);
  }
}

class AwaitClientVerification extends AuthenticatingState implements AwaitsVerification<ServerConfig> {
  readonly name = 'AwaitClientVerification';

  verified(refusal: CertificateRefusal | undefined, connection: Connection): ServerState {
    if (refusal !== undefined) throw new TlsError(refusal);
    const info = { ...this.agreed.info, peerCertificates: this.chain };
    return expectChangeCipherSpec({ ...this.agreed, info }, this.master, connection);
  }
}
