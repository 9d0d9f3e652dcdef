import { readNewSessionTicket12 } from '../../codec/tls12/new-session-ticket.ts';
import { HandshakeType } from '../../codepoints.ts';
import type { Aligned, HandshakeMessage } from '../../handshake-joiner.ts';
import type { MasterSecret } from '../../schedule/master-secret.ts';
import { type RecordKeys, wipeKeys } from '../../schedule/traffic-secret.ts';
import { requireType } from '../../state.ts';
import type { ClientState, Connection } from '../state.ts';
import { ExpectFinished } from './expect-finished.ts';
import { type Agreed, Tls12ClientState } from './progress.ts';

export interface Finishing {
  readonly agreed: Agreed;
  readonly master: MasterSecret;
  /** The server's, in force from its ChangeCipherSpec on. */
  readonly keys: RecordKeys;
  readonly scheme: number;
  readonly group: number;
  /** The server's certificates. */
  readonly chain: readonly Uint8Array[];
  /** Tickets that have come. */
  readonly tickets: number;
}

abstract class FinishingState extends Tls12ClientState {
  protected readonly finishing: Finishing;

  constructor(finishing: Finishing) {
    super();
    this.finishing = finishing;
  }

  override wipe(): void {
    const { master, keys } = this.finishing;
    master.wipe();
    wipeKeys(keys);
  }
}

/** RFC 5077 3.3: a server that has sent the extension "MUST" send the message, before its ChangeCipherSpec. */
export class ExpectNewSessionTicket extends FinishingState {
  readonly name = 'ExpectNewSessionTicket';

  protected override take(message: HandshakeMessage): ClientState {
    requireType(message, HandshakeType.newSessionTicket);
    const { ticket } = readNewSessionTicket12(message.body);
    this.finishing.agreed.transcript.add(message.whole);
    // RFC 5077 3.3: an empty one says that there is none after all.
    return new ExpectChangeCipherSpec({ ...this.finishing, tickets: ticket.length === 0 ? 0 : 1 });
  }
}

/** The one state in which a ChangeCipherSpec is taken (EarlyCCS, CVE-2014-0224). */
export class ExpectChangeCipherSpec extends FinishingState {
  readonly name = 'ExpectChangeCipherSpec';

  override changeCipherSpec(connection: Connection, aligned: Aligned): ClientState {
    connection.reader.install(this.finishing.keys, aligned);
    return new ExpectFinished(this.finishing);
  }
}
