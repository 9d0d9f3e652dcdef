import type { CryptoProvider } from '../crypto-provider.ts';
import { Handshake } from '../handshake.ts';
import type { ServerConfig } from './api.ts';
import { ExpectClientHello } from './expect-client-hello.ts';

/** The server's side of a handshake, of whatever version the client offers and the configuration has. */
export class ServerHandshake extends Handshake<ServerConfig> {
  constructor(config: ServerConfig, provider: CryptoProvider) {
    super(config, provider, new ExpectClientHello());
  }
}
