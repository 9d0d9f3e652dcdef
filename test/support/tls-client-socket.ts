/** A TlsConnection of the client role over a loopback socket, for tests with real servers. */
import { connect, type Socket } from 'node:net';
import {
  type CertificateRefusal,
  type ClientConfig,
  type ConnectionEvent,
  type HandshakeInfo,
  TlsConnection,
} from '../../src/tls/index.ts';
import { clientConfig } from './client-driver.ts';
import { nodeCryptoProvider } from './node-crypto-provider.ts';
import { signWith } from './sign-with.ts';
import type { EchoCredential } from './tls-echo-server.ts';

const PATIENCE_MS = 20_000;

export interface ClientSocketOptions {
  readonly config?: Partial<ClientConfig>;
  /** Answers 'verify'; undefined takes every chain. */
  readonly verify?: (chain: readonly Uint8Array[]) => CertificateRefusal | undefined;
}

export class ClientSocket {
  readonly events: ConnectionEvent[] = [];
  readonly connection: TlsConnection;
  readonly sessions: Uint8Array[] = [];
  text = '';
  info: HandshakeInfo | undefined;
  readonly #socket: Socket;
  readonly #verify: ClientSocketOptions['verify'];
  #wake: () => void = () => {};

  constructor(port: number, { config = {}, verify }: ClientSocketOptions = {}) {
    this.connection = TlsConnection.client(
      { ...clientConfig, now: Date.now, ...config },
      nodeCryptoProvider(),
    );
    this.#verify = verify;
    this.#socket = connect(port, '127.0.0.1', () => this.#take(this.connection.start()));
    this.#socket.on('data', (bytes) => this.#take(this.connection.receive(bytes)));
    this.#socket.on('end', () => this.#take(this.connection.end()));
    this.#socket.on('error', () => this.#take(this.connection.end()));
  }

  write(text: string): void {
    this.#take(this.connection.write(Buffer.from(text)));
  }

  updateKeys(requestPeer: boolean): void {
    this.#take(this.connection.updateKeys(requestPeer));
  }

  /** Until `done`, or a failure, or the end of patience. */
  async until(done: () => boolean): Promise<void> {
    const deadline = setTimeout(() => this.#socket.destroy(new Error('patience')), PATIENCE_MS);
    while (!done()) {
      const failed = this.events.find(({ type }) => type === 'fail');
      if (failed !== undefined) throw new Error(`failed: ${JSON.stringify(failed)}; received ${this.text}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    clearTimeout(deadline);
  }

  /** Writes a line and waits for what must come back. */
  async ask(line: string, answer: string): Promise<void> {
    this.write(line);
    await this.until(() => this.text.includes(answer));
  }

  count(type: ConnectionEvent['type']): number {
    return this.events.filter((event) => event.type === type).length;
  }

  close(): void {
    this.#take(this.connection.close());
    this.#socket.destroy();
    this.connection.destroy();
  }

  #take(events: readonly ConnectionEvent[]): void {
    for (const event of events) {
      this.events.push(event);
      switch (event.type) {
        case 'send':
          this.#socket.write(event.bytes);
          break;
        case 'sign': {
          const { key } = event.credential as EchoCredential;
          this.#take(this.connection.provideSignature(signWith(key, event.scheme, event.data)));
          break;
        }
        case 'verify':
          this.#take(this.connection.provideVerification(this.#verify?.(event.chain)));
          break;
        case 'established':
          this.info = event.info;
          break;
        case 'ticket':
          this.sessions.push(event.session);
          break;
        case 'data':
          this.text += Buffer.from(event.bytes).toString('latin1');
          break;
        case 'fail':
          this.#socket.end(event.bytes);
      }
    }
    this.#wake();
  }
}

export async function connected(port: number, options: ClientSocketOptions = {}): Promise<ClientSocket> {
  const socket = new ClientSocket(port, options);
  await socket.until(() => socket.info !== undefined);
  return socket;
}
