import { TlsError } from '../../alerts.ts';
import type { CertificateRefusal } from '../../api.ts';
import { HandshakeType, VERIFY_DATA_12 } from '../../codepoints.ts';
import type { Aligned, HandshakeMessage } from '../../handshake-joiner.ts';
import type { FinishedVerified } from '../../schedule/traffic-secret.ts';
import { requireType } from '../../state.ts';
import type { ClientState, Connection } from '../state.ts';
import { establish, type Finishing, FinishingState, sendFinished } from './finishing.ts';

/** The server's Finished: the last word of a full handshake; of a resumed one ours is. */
export class ExpectFinished extends FinishingState {
  readonly name = 'ExpectFinished';

  protected override take(message: HandshakeMessage, connection: Connection): ClientState {
    requireType(message, HandshakeType.finished);
    const aligned = connection.joiner.requireAligned();
    const { agreed, master, resumed, presented } = this.finishing;
    if (message.body.length !== VERIFY_DATA_12) throw new TlsError('bad_finished_length');
    const verified = master.verifyFinished('server', agreed.transcript.hash(), message.body);
    // RFC 5246 7.4.9: "Recipients of Finished messages MUST verify that the contents are correct."
    if (verified === undefined) throw new TlsError('bad_finished');
    if (!resumed) return establish(connection, this.finishing, verified, aligned);
    agreed.transcript.add(message.whole);
    // By now a certificate may have expired, or been revoked. That the server has its session proves whose it is.
    connection.emit({ type: 'verify', ...presented });
    return new AwaitVerification(this.finishing, verified, aligned);
  }
}

/** The caller looks at the chain; no record is read meanwhile. */
class AwaitVerification extends FinishingState {
  readonly name = 'AwaitVerification';
  readonly #verified: FinishedVerified;
  readonly #aligned: Aligned;

  constructor(finishing: Finishing, verified: FinishedVerified, aligned: Aligned) {
    super(finishing);
    this.#verified = verified;
    this.#aligned = aligned;
  }

  verified(refusal: CertificateRefusal | undefined, connection: Connection): ClientState {
    if (refusal !== undefined) throw new TlsError(refusal);
    sendFinished(connection, this.finishing, []);
    return establish(connection, this.finishing, this.#verified, this.#aligned);
  }
}
