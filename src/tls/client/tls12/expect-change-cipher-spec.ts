import { copyBytes } from '../../bytes.ts';
import { readNewSessionTicket12 } from '../../codec/tls12/new-session-ticket.ts';
import { HandshakeType } from '../../codepoints.ts';
import type { Aligned, HandshakeMessage } from '../../handshake-joiner.ts';
import { requireType } from '../../state.ts';
import type { ClientState, Connection } from '../state.ts';
import { ExpectFinished } from './expect-finished.ts';
import { type Finishing, FinishingState } from './finishing.ts';

/** What comes first of the server's last words. */
export function expectServerFinish(finishing: Finishing): ClientState {
  return finishing.agreed.promisesTicket
    ? new ExpectNewSessionTicket(finishing)
    : new ExpectChangeCipherSpec(finishing);
}

/** RFC 5077 3.3: a server that has sent the extension "MUST" send the message, before its ChangeCipherSpec. */
class ExpectNewSessionTicket extends FinishingState {
  readonly name = 'ExpectNewSessionTicket';

  protected override take(message: HandshakeMessage): ClientState {
    requireType(message, HandshakeType.newSessionTicket);
    const { lifetime, ticket } = readNewSessionTicket12(message.body);
    this.finishing.agreed.transcript.add(message.whole);
    return new ExpectChangeCipherSpec({ ...this.finishing, ticket: { lifetime, ticket: copyBytes(ticket) } });
  }
}

/** The one state in which a ChangeCipherSpec is taken (EarlyCCS, CVE-2014-0224). */
class ExpectChangeCipherSpec extends FinishingState {
  readonly name = 'ExpectChangeCipherSpec';

  override changeCipherSpec(connection: Connection, aligned: Aligned): ClientState {
    connection.reader.install(this.finishing.keys.server, aligned);
    return new ExpectFinished(this.finishing);
  }
}
