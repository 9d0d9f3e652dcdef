import type { HandshakeInfo } from '../api.ts';
import { writeCertificateVerify } from '../codec/certificate.ts';
import { writeFinished } from '../codec/finished.ts';
import type { HandshakeSecret } from '../schedule/key-schedule.ts';
import { Tls13State } from '../state.ts';
import type { Transcript } from '../transcript.ts';
import type { ServerConfig } from './api.ts';
import { ExpectFinished } from './expect-finished.ts';
import type { Connection, ServerState } from './state.ts';

interface Pending {
  readonly secret: HandshakeSecret;
  readonly transcript: Transcript;
  /** Where in the transcript the messages under handshake keys begin. */
  readonly protectedAt: number;
  /** Records of this flight that are made already. */
  readonly flight: Uint8Array[];
  readonly info: HandshakeInfo;
}

/** The signature is being made, perhaps elsewhere; no record is read meanwhile. */
export class AwaitSignature extends Tls13State<ServerConfig> {
  readonly name = 'AwaitSignature';
  readonly #pending: Pending;

  constructor(pending: Pending) {
    super();
    this.#pending = pending;
  }

  sign(signature: Uint8Array, connection: Connection): ServerState {
    const { secret, transcript, protectedAt, flight, info } = this.#pending;
    const { writer } = transcript;
    writeCertificateVerify(writer, info.scheme, signature);
    writeFinished(writer, secret.server.finished(transcript.hash()));
    connection.writer.install(secret.server.keys());
    connection.writeHandshake(writer.view(protectedAt), flight);
    connection.send(flight);

    // RFC 8446 4.4.4: after its Finished a server sends under application keys, alerts included.
    const transcriptHash = transcript.hash();
    const { client, server } = secret.application(transcriptHash);
    secret.server.wipe();
    connection.writer.install(server.keys());
    return new ExpectFinished({ transcriptHash, handshake: secret.client, client, server, info });
  }

  override wipe(): void {
    this.#pending.secret.wipe();
  }
}
