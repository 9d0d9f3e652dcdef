import { TlsError } from '../alerts.ts';
import type { CertificateRefusal } from '../api.ts';
import { ExpectFinished } from './expect-finished.ts';
import { ProtectedState, type Proven } from './progress.ts';
import type { ClientState, Connection } from './state.ts';

/**
 * The caller looks at what the server has shown of itself. RFC 8446 4.6.1: also when a session is resumed, for by then a
 * certificate may have expired, or been revoked.
 */
export function verify(connection: Connection, progress: Proven): ClientState {
  connection.emit({ type: 'verify', ...progress.presented });
  return new AwaitVerification(progress);
}

/** No record is read meanwhile. */
class AwaitVerification extends ProtectedState<Proven> {
  readonly name = 'AwaitVerification';

  verified(refusal: CertificateRefusal | undefined): ClientState {
    // RFC 8446 4.4.2.2: "it MUST abort the handshake with an appropriate certificate-related alert".
    if (refusal !== undefined) throw new TlsError(refusal);
    return new ExpectFinished(this.progress);
  }
}
