import { copyBytes } from '../../bytes.ts';
import { writeServerHelloDone, writeServerKeyExchange } from '../../codec/tls12/key-exchange.ts';
import type { EphemeralKey } from '../../crypto-provider.ts';
import { State } from '../../state.ts';
import type { ServerConfig } from '../api.ts';
import type { Connection, ServerState } from '../state.ts';
import type { Agreed } from './agreed.ts';
import { ExpectClientKeyExchange } from './expect-client-key-exchange.ts';

interface Pending {
  readonly agreed: Agreed;
  /** Where in the transcript our flight begins. */
  readonly flightAt: number;
  readonly key: EphemeralKey;
  /** ServerECDHParams. */
  readonly params: Uint8Array;
}

/** The key exchange is being signed, perhaps elsewhere; no record is read meanwhile. */
export class AwaitKeyExchangeSignature extends State<ServerConfig> {
  readonly name = 'AwaitKeyExchangeSignature';
  readonly #pending: Pending;

  constructor(pending: Pending) {
    super();
    this.#pending = pending;
  }

  sign(signature: Uint8Array, connection: Connection): ServerState {
    const { agreed, flightAt, key, params } = this.#pending;
    const { writer } = agreed.transcript;
    writeServerKeyExchange(writer, params, agreed.info.scheme, signature);
    writeServerHelloDone(writer);
    const flight: Uint8Array[] = [];
    connection.writeHandshake(copyBytes(writer.view(flightAt)), flight);
    connection.send(flight);
    return new ExpectClientKeyExchange(agreed, key);
  }

  override wipe(): void {
    this.#pending.key.wipe();
  }
}
