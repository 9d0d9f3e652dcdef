import type { HandshakeEvent } from '../api.ts';
import type { CryptoProvider } from '../crypto-provider.ts';
import { Handshake } from '../handshake.ts';
import { State } from '../state.ts';
import type { ClientConfig } from './api.ts';
import { ExpectServerHello } from './expect-server-hello.ts';
import { helloMessage, makeOffer } from './offer.ts';
import type { ClientState, Connection } from './state.ts';

/** The client's side of a handshake: the first to speak, so `start` comes before everything else. */
export class ClientHandshake extends Handshake<ClientConfig> {
  constructor(config: ClientConfig, provider: CryptoProvider) {
    super(config, provider, new Start());
  }

  /** Sends the ClientHello. Once; a second call does nothing. */
  override start(): HandshakeEvent[] {
    return this.advance((state) => (state instanceof Start ? state.start(this.connection) : state));
  }
}

class Start extends State<ClientConfig> {
  readonly name = 'Start';

  // RFC 8446 4.1.2: "it is REQUIRED to send the ClientHello as its first TLS message".
  start(connection: Connection): ClientState {
    const offer = makeOffer(connection.config, connection.provider);
    const message = helloMessage(offer, connection.provider);
    const parts: Uint8Array[] = [];
    connection.writer.writeFirstHello(message, parts);
    connection.send(parts);
    return new ExpectServerHello(offer, message);
  }
}
