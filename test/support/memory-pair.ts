/** Two TlsConnections in memory, one of each role, and what they say. */
import {
  type ClientConfig,
  type ConnectionEvent,
  type ServerConfig,
  TlsConnection,
} from '../../src/tls/index.ts';
import { clientConfig } from './client-driver.ts';
import { config as serverConfig } from './handshake-driver.ts';
import { nodeCryptoProvider } from './node-crypto-provider.ts';
import { signWith } from './sign-with.ts';
import { testCredential } from './test-credentials.ts';
import type { EchoCredential } from './tls-echo-server.ts';

type Established = Extract<ConnectionEvent, { type: 'established' }>;
type Failed = Extract<ConnectionEvent, { type: 'fail' }>;
type Verify = Extract<ConnectionEvent, { type: 'verify' }>;

export class Side {
  readonly connection: TlsConnection;
  readonly events: ConnectionEvent[] = [];
  /** Not sent yet. */
  readonly #output: Uint8Array[] = [];

  constructor(connection: TlsConnection) {
    this.connection = connection;
  }

  take(events: readonly ConnectionEvent[]): void {
    for (const event of events) {
      this.events.push(event);
      if (event.type === 'send' || event.type === 'fail') this.#output.push(event.bytes);
      if (event.type === 'verify') this.take(this.connection.provideVerification(undefined));
      if (event.type === 'sign') {
        const { key } = event.credential as EchoCredential;
        this.take(this.connection.provideSignature(signWith(key, event.scheme, event.data)));
      }
    }
  }

  output(): Buffer {
    return Buffer.concat(this.#output.splice(0));
  }

  get established(): Established | undefined {
    return this.events.find((event): event is Established => event.type === 'established');
  }

  get failed(): Failed | undefined {
    return this.events.find((event): event is Failed => event.type === 'fail');
  }

  get verified(): Verify | undefined {
    return this.events.find((event): event is Verify => event.type === 'verify');
  }

  get sessions(): Uint8Array[] {
    return this.events.flatMap((event) => (event.type === 'ticket' ? [event.session] : []));
  }

  get text(): string {
    return this.events
      .map((event) => (event.type === 'data' ? Buffer.from(event.bytes).toString('latin1') : ''))
      .join('');
  }
}

export class MemoryPair {
  readonly client: Side;
  readonly server: Side;
  readonly #portion: number;

  constructor(
    client: Partial<ClientConfig> = {},
    server: Partial<ServerConfig> = {},
    portion = Number.POSITIVE_INFINITY,
  ) {
    const provider = nodeCryptoProvider();
    this.client = new Side(TlsConnection.client({ ...clientConfig, now: () => NOW, ...client }, provider));
    const selectCredential = () => testCredential('ecdsa-p256');
    this.server = new Side(TlsConnection.server({ ...serverConfig, selectCredential, ...server }, provider));
    this.#portion = portion;
    this.client.take(this.client.connection.start());
    this.exchange();
  }

  /** Carries bytes over until nobody has any. */
  exchange(): void {
    for (;;) {
      const up = this.client.output();
      this.#carry(up, this.server);
      const down = this.server.output();
      this.#carry(down, this.client);
      if (up.length + down.length === 0) return;
    }
  }

  #carry(bytes: Uint8Array, to: Side): void {
    for (let at = 0; at < bytes.length; at += this.#portion) {
      // A buffer that is overwritten after the call, as an engine's is.
      const lent = Uint8Array.from(bytes.subarray(at, at + this.#portion));
      to.take(to.connection.receive(lent));
      lent.fill(0xaa);
    }
  }
}

/** As the clock of session-tickets.ts. */
export const NOW = 1_790_000_000_000;
