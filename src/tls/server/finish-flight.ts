import type { HandshakeInfo } from '../api.ts';
import { writeFinished } from '../codec/finished.ts';
import { type ApplicationSecrets, type HandshakeSecret, wipeApplication } from '../schedule/key-schedule.ts';
import type { HandshakeTrafficSecret } from '../schedule/traffic-secret.ts';
import type { Transcript } from '../transcript.ts';
import { ExpectCertificate } from './expect-certificate.ts';
import { ExpectFinished } from './expect-finished.ts';
import type { TicketFacts } from './issue-tickets.ts';
import type { Connection, ServerState } from './state.ts';

/** A flight of which all but the Finished is written. */
export interface PendingFlight {
  readonly secret: HandshakeSecret;
  readonly transcript: Transcript;
  /** Where in the transcript the messages under handshake keys begin. */
  readonly protectedAt: number;
  /** Records of this flight that are made already. */
  readonly flight: Uint8Array[];
  readonly asksForCertificate: boolean;
  readonly tickets: TicketFacts;
  readonly info: HandshakeInfo;
}

/** What the client's second flight is read with. */
export interface AwaitedFlight {
  /** Ends with the last message that came or went. */
  readonly transcript: Transcript;
  readonly handshake: HandshakeTrafficSecret;
  readonly application: ApplicationSecrets;
  readonly tickets: TicketFacts;
  readonly info: HandshakeInfo;
}

/** Finished, all of it sent, and on to what the client says to it. */
export function finishFlight(connection: Connection, pending: PendingFlight): ServerState {
  const { secret, transcript, protectedAt, flight, tickets, info } = pending;
  const { writer } = transcript;
  writeFinished(writer, secret.server.finished(transcript.hash()));
  connection.writer.install(secret.server.keys());
  connection.writeHandshake(writer.view(protectedAt), flight);
  connection.send(flight);

  // RFC 8446 4.4.4: after its Finished a server sends under application keys, alerts included.
  // RFC 8446 4.4.4: "Any records following a Finished message MUST be encrypted under the appropriate application
  // traffic key".
  const application = secret.application(transcript.hash());
  secret.server.wipe();
  connection.writer.install(application.server.keys());
  const awaited = { transcript, handshake: secret.client, application, tickets, info };
  return pending.asksForCertificate ? new ExpectCertificate(awaited) : new ExpectFinished(awaited);
}

export function wipeAwaited({ handshake, application }: AwaitedFlight): void {
  handshake.wipe();
  wipeApplication(application);
}
