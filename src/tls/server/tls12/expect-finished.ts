import { TlsError } from '../../alerts.ts';
import { HandshakeType, VERIFY_DATA_12 } from '../../codepoints.ts';
import type { HandshakeMessage } from '../../handshake-joiner.ts';
import type { MasterSecret } from '../../schedule/master-secret.ts';
import { type RecordKeys, wipeKeys } from '../../schedule/traffic-secret.ts';
import { requireType, State } from '../../state.ts';
import { establish12 } from '../../tls12/establish.ts';
import type { ServerConfig } from '../api.ts';
import type { Connection, ServerState } from '../state.ts';
import type { Agreed } from './agreed.ts';
import { writeFinalFlight } from './final-flight.ts';
import { storeSession } from './session.ts';

/** The client's Finished, which ours answers in a full handshake, and has gone before in a resumed one. */
export class ExpectFinished extends State<ServerConfig> {
  readonly name = 'ExpectFinished';
  readonly #agreed: Agreed;
  readonly #master: MasterSecret;
  /** Ours, to be used from our ChangeCipherSpec on; undefined: they are, already. */
  readonly #keys: RecordKeys | undefined;

  constructor(agreed: Agreed, master: MasterSecret, keys: RecordKeys | undefined) {
    super();
    this.#agreed = agreed;
    this.#master = master;
    this.#keys = keys;
  }

  override receive(message: HandshakeMessage, connection: Connection): ServerState {
    requireType(message, HandshakeType.finished);
    const aligned = connection.joiner.requireAligned();
    const master = this.#master;
    const { transcript, randoms } = this.#agreed;
    if (message.body.length !== VERIFY_DATA_12) throw new TlsError('bad_finished_length');
    const verified = master.verifyFinished('client', transcript.hash(), message.body);
    // RFC 5246 7.4.9: "Recipients of Finished messages MUST verify that the contents are correct."
    if (verified === undefined) throw new TlsError('bad_finished');
    transcript.add(message.whole);

    let agreed = this.#agreed;
    if (this.#keys !== undefined) {
      agreed = writeFinalFlight(connection, agreed, master, this.#keys, transcript.writer.length);
      storeSession(connection, agreed, master);
    }
    const exporter = master.exporter(randoms, agreed.extendedMasterSecret);
    master.wipe();
    return establish12(connection, agreed.info, exporter, verified, aligned);
  }

  override wipe(): void {
    this.#master.wipe();
    if (this.#keys !== undefined) wipeKeys(this.#keys);
  }
}
