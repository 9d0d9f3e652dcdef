import { TlsError } from '../../alerts.ts';
import { readClientKeyExchange } from '../../codec/tls12/key-exchange.ts';
import { HandshakeType } from '../../codepoints.ts';
import type { EphemeralKey } from '../../crypto-provider.ts';
import type { HandshakeMessage } from '../../handshake-joiner.ts';
import { MasterSecret } from '../../schedule/master-secret.ts';
import { requireType, State } from '../../state.ts';
import type { ServerConfig } from '../api.ts';
import type { Connection, ServerState } from '../state.ts';
import type { Agreed } from './agreed.ts';
import { ExpectCertificateVerify } from './expect-certificate.ts';
import { ExpectChangeCipherSpec } from './expect-change-cipher-spec.ts';

export class ExpectClientKeyExchange extends State<ServerConfig> {
  readonly name = 'ExpectClientKeyExchange';
  readonly #agreed: Agreed;
  readonly #key: EphemeralKey;
  readonly #chain: readonly Uint8Array[];

  /** `chain`: the client's certificates, whose key a CertificateVerify has to prove; empty: it has none. */
  constructor(agreed: Agreed, key: EphemeralKey, chain: readonly Uint8Array[]) {
    super();
    this.#agreed = agreed;
    this.#key = key;
    this.#chain = chain;
  }

  override receive(message: HandshakeMessage, connection: Connection): ServerState {
    // RFC 5246 7.4.7: "It MUST immediately follow the client certificate message, if it is sent."
    requireType(message, HandshakeType.clientKeyExchange);
    const { provider } = connection;
    const { suite, transcript, randoms, extendedMasterSecret } = this.#agreed;
    const premaster = this.#key.agree(readClientKeyExchange(message.body));
    this.#key.wipe();
    if (premaster === null) throw new TlsError('bad_key_share');
    transcript.add(message.whole);
    // RFC 7627 5.1: "both client and server MUST use the extended master secret derivation algorithm"; RFC 7627 5.2:
    // without it "they MUST use the standard master secret derivation for the new session".
    const master = extendedMasterSecret
      ? MasterSecret.extended(provider, suite, premaster, transcript.hash())
      : MasterSecret.plain(provider, suite, premaster, randoms);
    return this.#chain.length > 0
      ? new ExpectCertificateVerify(this.#agreed, master, this.#chain)
      : expectChangeCipherSpec(this.#agreed, master, connection);
  }

  override wipe(): void {
    this.#key.wipe();
  }
}

/** The client has said all but its Finished. */
export function expectChangeCipherSpec(
  agreed: Agreed,
  master: MasterSecret,
  connection: Connection,
): ServerState {
  const { client, server } = master.keys(agreed.randoms, connection.config.keyLog);
  return new ExpectChangeCipherSpec(agreed, master, client, server);
}
