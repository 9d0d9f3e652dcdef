import { TlsError } from '../../alerts.ts';
import type { CertificateRefusal } from '../../api.ts';
import { copyBytes, joinBytes } from '../../bytes.ts';
import { readServerKeyExchange } from '../../codec/tls12/key-exchange.ts';
import { HandshakeType, isGroupOf12 } from '../../codepoints.ts';
import type { HandshakeMessage } from '../../handshake-joiner.ts';
import { requireType } from '../../state.ts';
import { requireSignature12 } from '../../tls12/peer-signature.ts';
import type { ClientState, Connection } from '../state.ts';
import { ExpectServerHelloDone } from './expect-server-hello-done.ts';
import type { Presented } from './finishing.ts';
import { type Agreed, Tls12ClientState } from './progress.ts';

/** The server's share, and its signature of what the client cannot foresee, which proves whose it is. */
export class ExpectServerKeyExchange extends Tls12ClientState {
  readonly name = 'ExpectServerKeyExchange';
  readonly #agreed: Agreed;
  readonly #presented: Presented;

  constructor(agreed: Agreed, presented: Presented) {
    super();
    this.#agreed = agreed;
    this.#presented = presented;
  }

  protected override take(message: HandshakeMessage, connection: Connection): ClientState {
    requireType(message, HandshakeType.serverKeyExchange);
    const { offer, suite, randoms, transcript } = this.#agreed;
    const { chain } = this.#presented;
    const exchange = readServerKeyExchange(message.body);
    const { group, publicKey, params, scheme, signature } = exchange;
    // RFC 8422 5.4: a curve that is not in the client's list is answered by illegal_parameter.
    if (!isGroupOf12(group) || !offer.config.groups.includes(group)) {
      throw new TlsError('key_share_not_offered');
    }
    requireSignature12(connection.provider, {
      leaf: chain[0]!,
      authentication: suite.authentication,
      offered: offer.config.signatureSchemes,
      groups: offer.config.groups,
      scheme,
      data: joinBytes([randoms.client, randoms.server, params]),
      signature,
    });
    transcript.add(message.whole);
    connection.emit({ type: 'verify', ...this.#presented, scheme });
    return new AwaitVerification({
      agreed: this.#agreed,
      presented: this.#presented,
      scheme,
      group,
      serverPublic: copyBytes(publicKey),
    });
  }
}

/** A server whose certificate has been accepted, and its share. */
export interface Proven {
  readonly agreed: Agreed;
  readonly presented: Presented;
  readonly scheme: number;
  readonly group: number;
  readonly serverPublic: Uint8Array;
}

/** The caller looks at the chain; no record is read meanwhile. */
class AwaitVerification extends Tls12ClientState {
  readonly name = 'AwaitVerification';
  readonly #proven: Proven;

  constructor(proven: Proven) {
    super();
    this.#proven = proven;
  }

  verified(refusal: CertificateRefusal | undefined): ClientState {
    if (refusal !== undefined) throw new TlsError(refusal);
    return new ExpectServerHelloDone(this.#proven, undefined);
  }
}
