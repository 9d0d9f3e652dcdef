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
    // RFC 8446 4.4.4: "Recipients of Finished messages MUST verify that the contents are correct and if incorrect
    // MUST terminate the connection with a "decrypt_error" alert."
    if (verified === undefined) throw new TlsError('bad_finished');
    transcript.add(message.whole);
    return authenticate(connection, this.progress, verified, aligned);
  }
}
