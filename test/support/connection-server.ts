/** A loopback server over TlsConnection that answers each line in capitals, for interoperation tests. */
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type ConnectionEvent, type ServerConfig, TlsConnection } from '../../src/tls/index.ts';
import { nodeCryptoProvider } from './node-crypto-provider.ts';
import { signWith } from './sign-with.ts';
import type { EchoCredential } from './tls-echo-server.ts';

export interface ConnectionServer {
  readonly port: number;
  /** 'established', 'fail' and 'closed' events of all connections, in order. */
  readonly outcomes: ConnectionEvent[];
  close(): Promise<void>;
}

export async function connectionServer(
  config: ServerConfig,
  verify: (chain: readonly Uint8Array[]) => 'certificate_refused' | undefined = () => undefined,
): Promise<ConnectionServer> {
  const outcomes: ConnectionEvent[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    const connection = TlsConnection.server(config, nodeCryptoProvider());
    let line = '';
    const take = (events: readonly ConnectionEvent[]): void => {
      for (const event of events) {
        if (event.type === 'established' || event.type === 'fail' || event.type === 'closed')
          outcomes.push(event);
        switch (event.type) {
          case 'send':
            socket.write(event.bytes);
            break;
          case 'sign': {
            const { key } = event.credential as EchoCredential;
            take(connection.provideSignature(signWith(key, event.scheme, event.data)));
            break;
          }
          case 'verify':
            take(connection.provideVerification(verify(event.chain)));
            break;
          case 'data':
            line += Buffer.from(event.bytes).toString('latin1');
            for (let at = line.indexOf('\n'); at >= 0; at = line.indexOf('\n')) {
              take(connection.write(Buffer.from(line.slice(0, at + 1).toUpperCase(), 'latin1')));
              // The end of a request, for clients that speak HTTP and wait for the end of the answer.
              const isEnd = line.startsWith('\r\n');
              line = line.slice(at + 1);
              if (isEnd) take(connection.close());
            }
            break;
          case 'closed':
            take(connection.close());
            socket.end();
            break;
          case 'fail':
            socket.end(event.bytes);
        }
      }
    };
    socket.on('data', (bytes) => take(connection.receive(bytes)));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      sockets.delete(socket);
      connection.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    outcomes,
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
