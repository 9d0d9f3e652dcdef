import { copyBytes } from '../../bytes.ts';
import { writeFinished } from '../../codec/finished.ts';
import type { MasterSecret } from '../../schedule/master-secret.ts';
import type { RecordKeys } from '../../schedule/traffic-secret.ts';
import type { Connection } from '../state.ts';
import type { Agreed } from './agreed.ts';
import { writeTicket } from './session.ts';

/**
 * The end of what the server says: a ticket if one was promised, ChangeCipherSpec, Finished. `from`: where in the
 * transcript messages wait that have not been sent. Gives what was agreed, with the tickets counted.
 */
export function writeFinalFlight(
  connection: Connection,
  agreed: Agreed,
  master: MasterSecret,
  keys: RecordKeys,
  from: number,
): Agreed {
  const { transcript, info } = agreed;
  const { writer } = transcript;
  const tickets = writeTicket(connection, agreed, master, writer) ? 1 : 0;
  const flight: Uint8Array[] = [];
  connection.writeHandshake(copyBytes(writer.view(from)), flight);
  connection.writer.writeChangeCipherSpec(flight);
  // RFC 5246 7.1: "the sender MUST instruct the record layer to make the write pending state the write active state";
  // "once the ChangeCipherSpec has been sent, the new CipherSpec MUST be used".
  connection.writer.install(keys);
  const finishedAt = writer.length;
  writeFinished(writer, master.finished('server', transcript.hash()));
  connection.writeHandshake(copyBytes(writer.view(finishedAt)), flight);
  connection.send(flight);
  return { ...agreed, info: { ...info, tickets } };
}
