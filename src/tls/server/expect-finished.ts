import { TlsError } from '../alerts.ts';
import { copyBytes } from '../bytes.ts';
import { Writer } from '../codec/writer.ts';
import { HandshakeType } from '../codepoints.ts';
import type { Aligned, HandshakeMessage } from '../handshake-joiner.ts';
import type { FinishedVerified } from '../schedule/traffic-secret.ts';
import { Closed, requireType, Tls13State } from '../state.ts';
import { packUpdateState, type TrafficSecret, trafficSecret } from '../traffic.ts';
import type { ServerConfig } from './api.ts';
import { type AwaitedFlight, wipeAwaited } from './finish-flight.ts';
import { issueTickets } from './issue-tickets.ts';
import type { Connection, ServerState } from './state.ts';

export class ExpectFinished extends Tls13State<ServerConfig> {
  readonly name = 'ExpectFinished';
  readonly #awaited: AwaitedFlight;

  constructor(awaited: AwaitedFlight) {
    super();
    this.#awaited = awaited;
  }

  override receive(message: HandshakeMessage, connection: Connection): ServerState {
    requireType(message, HandshakeType.finished);
    const aligned = connection.joiner.requireAligned();
    const { transcript, handshake } = this.#awaited;
    const transcriptHash = transcript.hash();
    if (message.body.length !== transcriptHash.length) throw new TlsError('bad_finished_length');
    const verified = handshake.verifyFinished(transcriptHash, message.body);
    // RFC 8446 4.4.4: "Recipients of Finished messages MUST verify that the contents are correct".
    if (verified === undefined) throw new TlsError('bad_finished');
    transcript.add(message.whole);
    return this.#establish(connection, verified, aligned);
  }

  override wipe(): void {
    wipeAwaited(this.#awaited);
  }

  #establish(connection: Connection, _verified: FinishedVerified, _aligned: Aligned): ServerState {
    const { handshake, application, info } = this.#awaited;
    const tickets = this.#sendTickets(connection);
    const { writer } = connection;
    if (writer.keys === undefined) throw new TlsError('internal_error');
    const tx: TrafficSecret = {
      suite: writer.keys.suite.id,
      key: copyBytes(writer.keys.key),
      iv: copyBytes(writer.keys.iv),
      recordSeq: BigInt(writer.recordSeq),
      epoch: 0,
    };
    const { client, server, exporter, master } = application;
    connection.emit({
      type: 'established',
      tx,
      rx: trafficSecret(client, 0),
      info: { ...info, tickets },
      leftover: connection.reader.takeRest(),
      update: packUpdateState({ rx: client, tx: server, rxEpoch: 0, txEpoch: 0, partial: new Uint8Array(0) }),
      // The caller's to wipe from here on.
      exporter,
    });
    handshake.wipe();
    client.wipe();
    server.wipe();
    master.wipe();
    connection.wipe();
    return new Closed();
  }

  /** Under the application keys, before the data plane has them: it goes on where these records end. */
  #sendTickets(connection: Connection): number {
    const { transcript, application, info, tickets } = this.#awaited;
    if (connection.config.tickets === undefined) return 0;
    const secret = application.master.resumption(transcript.hash());
    const messages = new Writer(512);
    const count = issueTickets(connection, secret, info, tickets, messages);
    secret.wipe();
    if (count === 0) return 0;
    const parts: Uint8Array[] = [];
    connection.writeHandshake(messages.view(), parts);
    connection.send(parts);
    return count;
  }
}
