/** What a server is configured with. */
import type { Credential, HandshakeConfig } from '../api.ts';

export interface ClientOffer {
  /** Lower case, without a final dot. */
  readonly serverName: string | undefined;
  readonly signatureSchemes: readonly number[];
}

/** Of `groups`, one the client has sent a share for goes before the others. */
export interface ServerConfig extends HandshakeConfig {
  /** undefined ends the handshake: unrecognized_name when the client named a server, else handshake_failure. */
  selectCredential(offer: ClientOffer): Credential | undefined;
}
