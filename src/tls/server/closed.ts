import { TlsError } from '../alerts.ts';
import type { ServerState } from './state.ts';

/** The handshake is over, one way or the other; nothing is read any more. */
export class Closed implements ServerState {
  readonly name = 'Closed';

  receive(): ServerState {
    throw new TlsError('unexpected_handshake_message');
  }

  wipe(): void {}
}
