import type { Aligned } from '../../handshake-joiner.ts';
import type { MasterSecret } from '../../schedule/master-secret.ts';
import { State } from '../../state.ts';
import type { ServerConfig } from '../api.ts';
import type { Connection, ServerState } from '../state.ts';
import type { Agreed } from './agreed.ts';
import { ExpectFinished } from './expect-finished.ts';

/**
 * The one state in which a ChangeCipherSpec is taken: here the master secret is there, and nothing but Finished may
 * follow. In every other it is refused (EarlyCCS, CVE-2014-0224).
 */
export class ExpectChangeCipherSpec extends State<ServerConfig> {
  readonly name = 'ExpectChangeCipherSpec';
  readonly #agreed: Agreed;
  readonly #master: MasterSecret;

  constructor(agreed: Agreed, master: MasterSecret) {
    super();
    this.#agreed = agreed;
    this.#master = master;
  }

  override changeCipherSpec(connection: Connection, aligned: Aligned): ServerState {
    const { client, server } = this.#master.keys(this.#agreed.randoms);
    connection.reader.install(client, aligned);
    return new ExpectFinished(this.#agreed, this.#master, server);
  }

  override wipe(): void {
    this.#master.wipe();
  }
}
