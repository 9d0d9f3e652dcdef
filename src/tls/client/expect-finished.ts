import { TlsError } from '../alerts.ts';
import { HandshakeType } from '../codepoints.ts';
import type { HandshakeMessage } from '../handshake-joiner.ts';
import { requireType } from '../state.ts';
import { authenticate } from './authenticate.ts';
import { ProtectedState, type Proven } from './progress.ts';
import type { ClientState, Connection } from './state.ts';

export class ExpectFinished extends ProtectedState<Proven> {
  readonly name = 'ExpectFinished';

  override receive(message: HandshakeMessage, connection: Connection): ClientState {
    requireType(message, HandshakeType.finished);
    const { secret, transcript, suite } = this.progress;
    // What follows is under the server's application keys.
    const aligned = connection.joiner.requireAligned();
    if (message.body.length !== suite.hashLength) throw new TlsError('bad_finished_length');
    const verified = secret.server.verifyFinished(transcript.hash(), message.body);
    if (verified === undefined) throw new TlsError('bad_finished');
    transcript.add(message.whole);
    return authenticate(connection, this.progress, verified, aligned);
  }
}
