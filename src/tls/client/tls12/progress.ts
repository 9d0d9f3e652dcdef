import { TlsError } from '../../alerts.ts';
import { HandshakeType } from '../../codepoints.ts';
import type { HandshakeMessage } from '../../handshake-joiner.ts';
import type { Randoms } from '../../schedule/master-secret.ts';
import { State } from '../../state.ts';
import type { Suite } from '../../suites.ts';
import type { Transcript } from '../../transcript.ts';
import type { ClientConfig } from '../api.ts';
import type { Offer } from '../offer.ts';
import type { ClientState, Connection } from '../state.ts';

/** What the two hellos have settled, and the messages since. */
export interface Agreed {
  readonly offer: Offer;
  readonly suite: Suite;
  readonly randoms: Randoms;
  readonly extendedMasterSecret: boolean;
  readonly transcript: Transcript;
  readonly alpn: string | undefined;
  /** The server has said that a CertificateStatus, a NewSessionTicket, may come. */
  readonly mayStaple: boolean;
  readonly promisesTicket: boolean;
  /** The server's, by which the session may be resumed; may be empty. */
  readonly sessionId: Uint8Array;
  readonly sctList: Uint8Array | undefined;
  /** Bytes of content that a record to the server may have (RFC 8449). */
  readonly maxFragment: number;
}

/** RFC 5246 7.4.1.1: a HelloRequest "will be ignored by the client if the client is currently negotiating a session". */
export abstract class Tls12ClientState extends State<ClientConfig> {
  override receive(message: HandshakeMessage, connection: Connection): ClientState {
    if (message.type !== HandshakeType.helloRequest) return this.take(message, connection);
    if (message.body.length !== 0) throw new TlsError('trailing_data');
    // RFC 5246 7.4.1.1: "MUST NOT be included in the message hashes that are maintained throughout the handshake".
    return this;
  }

  /** Any message but a HelloRequest. */
  protected take(_message: HandshakeMessage, _connection: Connection): ClientState {
    throw new TlsError('unexpected_handshake_message');
  }
}
