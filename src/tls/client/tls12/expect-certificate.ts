import { TlsError } from '../../alerts.ts';
import { copyBytes } from '../../bytes.ts';
import { readCertificateStatus } from '../../codec/certificate-status.ts';
import { Reader } from '../../codec/reader.ts';
import { readCertificate12 } from '../../codec/tls12/certificate.ts';
import { HandshakeType } from '../../codepoints.ts';
import type { HandshakeMessage } from '../../handshake-joiner.ts';
import { requireType } from '../../state.ts';
import type { ClientState, Connection } from '../state.ts';
import { ExpectServerKeyExchange } from './expect-server-key-exchange.ts';
import { type Agreed, Tls12ClientState } from './progress.ts';

export class ExpectCertificate extends Tls12ClientState {
  readonly name = 'ExpectCertificate';
  readonly #agreed: Agreed;

  constructor(agreed: Agreed) {
    super();
    this.#agreed = agreed;
  }

  protected override take(message: HandshakeMessage): ClientState {
    requireType(message, HandshakeType.certificate);
    const chain = readCertificate12(message.body).map(copyBytes);
    if (chain.length === 0) throw new TlsError('empty_certificate');
    this.#agreed.transcript.add(message.whole);
    return this.#agreed.mayStaple
      ? new ExpectCertificateStatusOrServerKeyExchange(this.#agreed, chain)
      : new ExpectServerKeyExchange(this.#agreed, {
          chain,
          ocspResponse: undefined,
          sctList: this.#agreed.sctList,
        });
  }
}

/** RFC 6066 8: a server that has acknowledged status_request may still have no response to send. */
class ExpectCertificateStatusOrServerKeyExchange extends Tls12ClientState {
  readonly name = 'ExpectCertificateStatusOrServerKeyExchange';
  readonly #agreed: Agreed;
  readonly #chain: readonly Uint8Array[];

  constructor(agreed: Agreed, chain: readonly Uint8Array[]) {
    super();
    this.#agreed = agreed;
    this.#chain = chain;
  }

  protected override take(message: HandshakeMessage, connection: Connection): ClientState {
    const chain = this.#chain;
    const { sctList } = this.#agreed;
    if (message.type !== HandshakeType.certificateStatus) {
      const next = new ExpectServerKeyExchange(this.#agreed, { chain, ocspResponse: undefined, sctList });
      return next.receive(message, connection);
    }
    const ocspResponse = copyBytes(readCertificateStatus(new Reader(message.body)));
    this.#agreed.transcript.add(message.whole);
    return new ExpectServerKeyExchange(this.#agreed, { chain, ocspResponse, sctList });
  }
}
