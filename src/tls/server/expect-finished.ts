import { TlsError } from '../alerts.ts';
import type { HandshakeInfo } from '../api.ts';
import { copyBytes } from '../bytes.ts';
import { HandshakeType } from '../codepoints.ts';
import type { Aligned, HandshakeMessage } from '../handshake-joiner.ts';
import type {
  ApplicationTrafficSecret,
  FinishedVerified,
  HandshakeTrafficSecret,
} from '../schedule/traffic-secret.ts';
import { Closed, requireType, Tls13State } from '../state.ts';
import { packUpdateState, type TrafficSecret, trafficSecret } from '../traffic.ts';
import type { ServerConfig } from './api.ts';
import type { Connection, ServerState } from './state.ts';

interface Pending {
  /** ClientHello to the server's Finished. */
  readonly transcriptHash: Uint8Array;
  readonly handshake: HandshakeTrafficSecret;
  readonly client: ApplicationTrafficSecret;
  readonly server: ApplicationTrafficSecret;
  readonly info: HandshakeInfo;
}

export class ExpectFinished extends Tls13State<ServerConfig> {
  readonly name = 'ExpectFinished';
  readonly #pending: Pending;

  constructor(pending: Pending) {
    super();
    this.#pending = pending;
  }

  override receive(message: HandshakeMessage, connection: Connection): ServerState {
    requireType(message, HandshakeType.finished);
    const aligned = connection.joiner.requireAligned();
    const { transcriptHash, handshake } = this.#pending;
    if (message.body.length !== transcriptHash.length) throw new TlsError('bad_finished_length');
    const verified = handshake.verifyFinished(transcriptHash, message.body);
    if (verified === undefined) throw new TlsError('bad_finished');
    return this.#establish(connection, verified, aligned);
  }

  override wipe(): void {
    const { handshake, client, server } = this.#pending;
    handshake.wipe();
    client.wipe();
    server.wipe();
  }

  #establish(connection: Connection, _verified: FinishedVerified, _aligned: Aligned): ServerState {
    const { client, server, info } = this.#pending;
    const keys = connection.writer.keys;
    if (keys === undefined) throw new TlsError('internal_error');
    const tx: TrafficSecret = {
      suite: keys.suite.id,
      key: copyBytes(keys.key),
      iv: copyBytes(keys.iv),
      recordSeq: BigInt(connection.writer.recordSeq),
      epoch: 0,
    };
    connection.emit({
      type: 'established',
      tx,
      rx: trafficSecret(client, 0),
      info,
      leftover: connection.reader.takeRest(),
      update: packUpdateState({ rx: client, tx: server, rxEpoch: 0, txEpoch: 0, partial: new Uint8Array(0) }),
    });
    this.wipe();
    connection.wipe();
    return new Closed();
  }
}
