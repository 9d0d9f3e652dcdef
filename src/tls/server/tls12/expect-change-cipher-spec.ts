import type { Aligned } from '../../handshake-joiner.ts';
import type { MasterSecret } from '../../schedule/master-secret.ts';
import { type RecordKeys, wipeKeys } from '../../schedule/traffic-secret.ts';
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
  readonly #client: RecordKeys;
  readonly #server: RecordKeys | undefined;

  /** `client`: the keys that come into force. `server`: ours, to be used after; undefined: they are, already. */
  constructor(agreed: Agreed, master: MasterSecret, client: RecordKeys, server: RecordKeys | undefined) {
    super();
    this.#agreed = agreed;
    this.#master = master;
    this.#client = client;
    this.#server = server;
  }

  override changeCipherSpec(connection: Connection, aligned: Aligned): ServerState {
    connection.reader.install(this.#client, aligned);
    return new ExpectFinished(this.#agreed, this.#master, this.#server);
  }

  override wipe(): void {
    this.#master.wipe();
    wipeKeys(this.#client);
    if (this.#server !== undefined) wipeKeys(this.#server);
  }
}
