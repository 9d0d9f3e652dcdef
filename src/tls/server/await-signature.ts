import { writeCertificateVerify } from '../codec/certificate.ts';
import { Tls13State } from '../state.ts';
import type { ServerConfig } from './api.ts';
import { finishFlight, type PendingFlight } from './finish-flight.ts';
import type { Connection, ServerState } from './state.ts';

/** The signature is being made, perhaps elsewhere; no record is read meanwhile. */
export class AwaitSignature extends Tls13State<ServerConfig> {
  readonly name = 'AwaitSignature';
  readonly #pending: PendingFlight;

  constructor(pending: PendingFlight) {
    super();
    this.#pending = pending;
  }

  sign(signature: Uint8Array, connection: Connection): ServerState {
    const { transcript, info } = this.#pending;
    // RFC 8446 4.4.3: "Servers MUST send this message when authenticating via a certificate."
    writeCertificateVerify(transcript.writer, info.scheme, signature);
    return finishFlight(connection, this.#pending);
  }

  override wipe(): void {
    this.#pending.secret.wipe();
  }
}
