import { TlsError } from '../../alerts.ts';
import { copyBytes } from '../../bytes.ts';
import { writeFinished } from '../../codec/finished.ts';
import { HandshakeType, VERIFY_DATA_12 } from '../../codepoints.ts';
import type { HandshakeMessage } from '../../handshake-joiner.ts';
import type { MasterSecret } from '../../schedule/master-secret.ts';
import type { RecordKeys } from '../../schedule/traffic-secret.ts';
import { requireType, State } from '../../state.ts';
import { establish12 } from '../../tls12/establish.ts';
import type { ServerConfig } from '../api.ts';
import type { Connection, ServerState } from '../state.ts';
import type { Agreed } from './agreed.ts';

/** The client's Finished of a full handshake, which ours answers. */
export class ExpectFinished extends State<ServerConfig> {
  readonly name = 'ExpectFinished';
  readonly #agreed: Agreed;
  readonly #master: MasterSecret;
  /** Ours, to be used from our ChangeCipherSpec on. */
  readonly #keys: RecordKeys;

  constructor(agreed: Agreed, master: MasterSecret, keys: RecordKeys) {
    super();
    this.#agreed = agreed;
    this.#master = master;
    this.#keys = keys;
  }

  override receive(message: HandshakeMessage, connection: Connection): ServerState {
    requireType(message, HandshakeType.finished);
    const aligned = connection.joiner.requireAligned();
    const { transcript, info } = this.#agreed;
    if (message.body.length !== VERIFY_DATA_12) throw new TlsError('bad_finished_length');
    const verified = this.#master.verifyFinished('client', transcript.hash(), message.body);
    if (verified === undefined) throw new TlsError('bad_finished');
    transcript.add(message.whole);

    const flight: Uint8Array[] = [];
    connection.writer.writeChangeCipherSpec(flight);
    connection.writer.install(this.#keys);
    const { writer } = transcript;
    const finishedAt = writer.length;
    writeFinished(writer, this.#master.finished('server', transcript.hash()));
    connection.writeHandshake(copyBytes(writer.view(finishedAt)), flight);
    connection.send(flight);
    const exporter = this.#master.exporter(this.#agreed.randoms);
    this.#master.wipe();
    return establish12(connection, info, exporter, verified, aligned);
  }

  override wipe(): void {
    this.#master.wipe();
    this.#keys.key.fill(0);
    this.#keys.iv.fill(0);
  }
}
