/**
 * A loopback server for interoperation tests: the handshake of src/tls, records by node:crypto, and an application
 * that answers each line in capitals. Not the data plane: one connection's worth of it, for one test.
 */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { createServer, type Server, type Socket } from 'node:net';
import {
  type Credential,
  type HandshakeEvent,
  PostHandshake,
  type ServerConfig,
  ServerHandshake,
  type TrafficSecret,
  type UpdateSecrets,
} from '../../src/tls/index.ts';
import { nodeCryptoProvider } from './node-crypto-provider.ts';
import { signWith } from './sign-with.ts';
import { nonceOf } from './tls13-client.ts';

const provider = nodeCryptoProvider();

export interface EchoCredential extends Credential {
  readonly key: KeyObject;
}

export function echoCredential(certificatePem: string, keyPem: string, schemes: number[]): EchoCredential {
  const der = Buffer.from(certificatePem.replace(/-----[^-]+-----|\s/g, ''), 'base64');
  return { chain: [der], schemes, key: createPrivateKey(keyPem) };
}

export interface EchoServer {
  readonly port: number;
  /** Every last event of a handshake, in order. */
  readonly outcomes: HandshakeEvent[];
  /** KeyUpdates received. */
  keyUpdates: number;
  close(): Promise<void>;
}

export async function echoServer(config: ServerConfig): Promise<EchoServer> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    new EchoConnection(socket, config, echo);
  });
  const echo: EchoServer = {
    port: 0,
    outcomes: [],
    keyUpdates: 0,
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return Object.assign(echo, { port: (server.address() as AddressInfo).port });
}

interface Direction {
  suite: number;
  key: Uint8Array;
  iv: Uint8Array;
  seq: bigint;
}
const direction = (secret: TrafficSecret): Direction => ({ ...secret, seq: secret.recordSeq });

class EchoConnection {
  readonly #socket: Socket;
  readonly #echo: EchoServer;
  readonly #handshake: ServerHandshake;
  #tx: Direction | undefined;
  #rx: Direction | undefined;
  #update: UpdateSecrets = new Uint8Array(0);
  #input = Buffer.alloc(0);
  #line = '';

  constructor(socket: Socket, config: ServerConfig, echo: EchoServer) {
    this.#socket = socket;
    this.#echo = echo;
    this.#handshake = new ServerHandshake(config, provider);
    socket.on('data', (bytes) => {
      if (this.#rx === undefined) this.#apply(this.#handshake.receive(bytes));
      else this.#records(bytes);
    });
  }

  #apply(events: readonly HandshakeEvent[]): void {
    for (const event of events) {
      switch (event.type) {
        case 'send':
          this.#socket.write(event.bytes);
          break;
        case 'sign': {
          const signature = signWith((event.credential as EchoCredential).key, event.scheme, event.data);
          this.#apply(this.#handshake.provideSignature(signature));
          break;
        }
        case 'established':
          this.#echo.outcomes.push(event);
          this.#tx = direction(event.tx);
          this.#rx = direction(event.rx);
          this.#update = event.update;
          this.#records(event.leftover);
          break;
        case 'fail':
          this.#echo.outcomes.push(event);
          this.#socket.end(event.bytes);
      }
    }
  }

  #records(bytes: Uint8Array): void {
    this.#input = Buffer.concat([this.#input, bytes]);
    while (this.#input.length >= 5) {
      const length = this.#input.readUInt16BE(3);
      if (this.#input.length < 5 + length) return;
      const header = this.#input.subarray(0, 5);
      const body = this.#input.subarray(5, 5 + length);
      this.#input = this.#input.subarray(5 + length);
      const rx = this.#rx!;
      const inner = provider.aeadOpen(rx.suite, rx.key, nonceOf(rx), header, body);
      if (inner === null) throw new Error('a record of the client does not decrypt');
      rx.seq++;
      let end = inner.length;
      while (inner[end - 1] === 0) end--;
      this.#content(inner[end - 1]!, inner.subarray(0, end - 1));
    }
  }

  #content(type: number, content: Uint8Array): void {
    if (type === 22) this.#postHandshake(content);
    if (type === 21) {
      this.#send(21, Buffer.of(1, 0));
      this.#socket.end();
    }
    if (type !== 23) return;
    this.#line += Buffer.from(content).toString('latin1');
    for (let at = this.#line.indexOf('\n'); at >= 0; at = this.#line.indexOf('\n')) {
      this.#send(23, Buffer.from(this.#line.slice(0, at + 1).toUpperCase()));
      this.#line = this.#line.slice(at + 1);
    }
  }

  #postHandshake(content: Uint8Array): void {
    const state = PostHandshake.open(this.#update, provider);
    for (const event of state.receive(content)) {
      if (event.type === 'fail') throw new Error(event.reason);
      if (event.type === 'rxKeys') {
        this.#rx = direction(event.secret);
        this.#echo.keyUpdates++;
      } else if (event.type === 'txUpdate') {
        this.#send(22, event.message);
        this.#tx = direction(event.secret);
      }
    }
    this.#update = state.blob();
  }

  #send(type: number, content: Uint8Array): void {
    const tx = this.#tx!;
    const inner = Buffer.concat([content, Buffer.of(type)]);
    const length = inner.length + 16;
    const header = Buffer.of(23, 3, 3, length >> 8, length & 0xff);
    const sealed = provider.aeadSeal(tx.suite, tx.key, nonceOf(tx), header, inner);
    tx.seq++;
    this.#socket.write(Buffer.concat([header, sealed]));
  }
}
