/** The end of a TLS 1.2 handshake on the client's side: what both orders of it, full and resumed, have in common. */
import { copyBytes } from '../../bytes.ts';
import { writeFinished } from '../../codec/finished.ts';
import type { NewSessionTicket12 } from '../../codec/tls12/new-session-ticket.ts';
import { TLS12 } from '../../codepoints.ts';
import type { Aligned } from '../../handshake-joiner.ts';
import type { MasterSecret } from '../../schedule/master-secret.ts';
import { type FinishedVerified, type RecordKeys, wipeKeys } from '../../schedule/traffic-secret.ts';
import { encodeClientSession, encodeSessionFacts } from '../../session/client-session.ts';
import { establish12 } from '../../tls12/establish.ts';
import type { ClientState, Connection } from '../state.ts';
import { type Agreed, Tls12ClientState } from './progress.ts';

/** What the server has shown of itself: now, or when the session began that is resumed. */
export interface Presented {
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[];
  readonly ocspResponse: Uint8Array | undefined;
  readonly sctList: Uint8Array | undefined;
}

export interface Finishing {
  readonly agreed: Agreed;
  readonly master: MasterSecret;
  /** In force from the ChangeCipherSpec of either side on. */
  readonly keys: { readonly client: RecordKeys; readonly server: RecordKeys };
  readonly scheme: number;
  /** 0 when a session is resumed: no key is exchanged. */
  readonly group: number;
  readonly presented: Presented;
  readonly resumed: boolean;
  readonly ticket: NewSessionTicket12 | undefined;
}

export abstract class FinishingState extends Tls12ClientState {
  protected readonly finishing: Finishing;

  constructor(finishing: Finishing) {
    super();
    this.finishing = finishing;
  }

  override wipe(): void {
    const { master, keys } = this.finishing;
    master.wipe();
    wipeKeys(keys.client);
    wipeKeys(keys.server);
  }
}

/** ChangeCipherSpec and Finished, behind what is in `parts`. */
export function sendFinished(
  connection: Connection,
  { agreed, master, keys }: Pick<Finishing, 'agreed' | 'master' | 'keys'>,
  parts: Uint8Array[],
): void {
  const { transcript } = agreed;
  const { writer } = transcript;
  connection.writer.writeChangeCipherSpec(parts);
  // RFC 5246 7.1: "the sender MUST instruct the record layer to make the write pending state the write active state".
  connection.writer.install(keys.client);
  const finishedAt = writer.length;
  writeFinished(writer, master.finished('client', transcript.hash()));
  connection.writeHandshake(copyBytes(writer.view(finishedAt)), parts);
  connection.send(parts);
}

/** Both have finished. */
export function establish(
  connection: Connection,
  finishing: Finishing,
  verified: FinishedVerified,
  aligned: Aligned,
): ClientState {
  const { agreed, master, presented, resumed, scheme, group } = finishing;
  const { offer } = agreed;
  const tickets = giveSession(connection, finishing);
  const exporter = master.exporter(agreed.randoms, agreed.extendedMasterSecret);
  master.wipe();
  const info = {
    version: TLS12,
    suite: agreed.suite.id,
    group,
    alpn: agreed.alpn,
    serverName: offer.config.serverName,
    scheme,
    helloRetry: false,
    resumption: resumed ? ('resumed' as const) : offer.refusal,
    tickets,
    peerCertificates: presented.chain,
    maxFragment: agreed.maxFragment,
  };
  return establish12(connection, info, exporter, verified, aligned);
}

/** Seconds, for a ticket or an id whose lifetime the server does not say (RFC 5077 3.3: it is left to the client). */
const UNSPECIFIED_LIFETIME = 7200;

/** The number of tickets that are of use. A session by its id is given once, when it begins. */
function giveSession(connection: Connection, finishing: Finishing): number {
  const { agreed, master, presented, resumed, ticket, scheme } = finishing;
  const { config } = agreed.offer;
  const hasTicket = ticket !== undefined && ticket.ticket.length > 0;
  const hasId = !resumed && agreed.sessionId.length > 0;
  // RFC 7627 5.3: a session without it is not to be resumed.
  if (config.now === undefined || !agreed.extendedMasterSecret || !(hasTicket || hasId)) return 0;
  const facts = encodeSessionFacts({
    version: TLS12,
    suite: agreed.suite.id,
    scheme,
    serverName: config.serverName,
    alpn: agreed.alpn,
    ...presented,
  });
  if (facts === undefined) return 0;
  const secret = master.copy();
  const session = encodeClientSession(facts, {
    secret,
    ticket: hasTicket ? ticket.ticket : NOTHING,
    sessionId: hasTicket ? NOTHING : agreed.sessionId,
    lifetime: ticket?.lifetime || UNSPECIFIED_LIFETIME,
    ageAdd: 0,
    receivedAt: config.now(),
  });
  secret.fill(0);
  connection.emit({ type: 'ticket', session });
  return hasTicket ? 1 : 0;
}

const NOTHING = new Uint8Array(0);
