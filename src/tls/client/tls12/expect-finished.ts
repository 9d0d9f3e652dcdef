import { TlsError } from '../../alerts.ts';
import { HandshakeType, TLS12, VERIFY_DATA_12 } from '../../codepoints.ts';
import type { HandshakeMessage } from '../../handshake-joiner.ts';
import { requireType } from '../../state.ts';
import { establish12 } from '../../tls12/establish.ts';
import type { ClientState, Connection } from '../state.ts';
import type { Finishing } from './expect-change-cipher-spec.ts';
import { Tls12ClientState } from './progress.ts';

export class ExpectFinished extends Tls12ClientState {
  readonly name = 'ExpectFinished';
  readonly #finishing: Finishing;

  constructor(finishing: Finishing) {
    super();
    this.#finishing = finishing;
  }

  protected override take(message: HandshakeMessage, connection: Connection): ClientState {
    requireType(message, HandshakeType.finished);
    const aligned = connection.joiner.requireAligned();
    const { agreed, master, scheme, group, chain, tickets } = this.#finishing;
    if (message.body.length !== VERIFY_DATA_12) throw new TlsError('bad_finished_length');
    const verified = master.verifyFinished('server', agreed.transcript.hash(), message.body);
    if (verified === undefined) throw new TlsError('bad_finished');
    const exporter = master.exporter(agreed.randoms);
    master.wipe();
    const info = {
      version: TLS12,
      suite: agreed.suite.id,
      group,
      alpn: agreed.alpn,
      serverName: agreed.offer.config.serverName,
      scheme,
      helloRetry: false,
      resumption: 'none' as const,
      tickets,
      peerCertificates: chain,
      maxFragment: agreed.maxFragment,
    };
    return establish12(connection, info, exporter, verified, aligned);
  }

  override wipe(): void {
    this.#finishing.master.wipe();
  }
}
