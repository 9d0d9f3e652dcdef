/** The data plane without serve(): for options that only tests set, and handshakes answered by whom a test wants. */
import { CredentialStore, loadCredential } from '../../src/control/credentials.ts';
import { HandshakeControl, type HandshakeControlOptions } from '../../src/control/handshake-control.ts';
import { nativeCryptoProvider } from '../../src/control/native-crypto-provider.ts';
import { StaticHandler } from '../../src/http/handler.ts';
import { resolveHttpOptions } from '../../src/http/options.ts';
import { ServedRoot } from '../../src/http/root.ts';
import { native } from '../../src/native.ts';
import type { HandshakeHandler } from '../../src/plane/engine-link.ts';
import { Plane } from '../../src/plane/plane.ts';
import { acceleratorOf } from '../../src/serve/offload.ts';
import { sessionOptions } from '../support/session-tickets.ts';
import type { Credentials, Site } from './support.ts';

export const handshakeOptions: HandshakeControlOptions = {
  suites: [0x1301, 0x1302, 0x1303],
  groups: [0x001d, 0x0017],
  alpn: ['http/1.1'],
  maxHandshakeBytes: 65536,
  handshakeTimeoutMs: 10_000,
  sessions: sessionOptions(),
  clientAuthentication: null,
};

export function storeOf(credentials: Credentials, kind: 'ecdsa' | 'rsa' = 'ecdsa'): CredentialStore {
  const { cert: certFile, key: keyFile } = credentials[kind];
  return new CredentialStore([loadCredential({ certFile, keyFile }, { crypto: native.crypto })]);
}

export const handshakesOf = (credentials: Credentials) =>
  new HandshakeControl(storeOf(credentials), nativeCryptoProvider(native.crypto), handshakeOptions);

export async function planeWith(
  site: Site,
  handshakes: HandshakeHandler | null,
  limits: { readonly recordLimit?: number; readonly engines?: number; readonly offload?: string } = {},
) {
  const root = new ServedRoot(site.root);
  const handler = new StaticHandler(root, resolveHttpOptions({}));
  await handler.prepare();
  const lease = root.acquire();
  const plane = new Plane(
    {
      host: '127.0.0.1',
      port: 0,
      workers: limits.engines ?? 1,
      rootFd: lease.fd,
      limits: {
        backlog: 64,
        congestionControl: null,
        maxConnections: 256,
        maxHandshakeBytes: 65536,
        handshakeTimeoutMs: 10_000,
        headerTimeoutMs: 10_000,
        keepAliveTimeoutMs: 10_000,
        writeTimeoutMs: 10_000,
        maxHeaderBytes: 16384,
        maxTargetBytes: 8192,
        maxRequestsPerConnection: 1000,
        maxBodyBytes: 65536,
        cacheEntries: 100,
        cacheBytes: 1 << 20,
        cacheFileBytes: 65536,
        revalidateMs: 500,
        keyByOrigin: false,
        recordLimit: limits.recordLimit ?? 0,
        accelerator: acceleratorOf({
          offload: limits.offload ?? 'software',
          offloadRecords: 32,
          offloadCheck: 0,
        }),
      },
    },
    { handshakes, handler, log: { info() {}, warn() {}, error() {} }, accessLog: null },
  );
  const { port } = await plane.listen();
  lease.release();
  return {
    plane,
    port,
    close: async () => {
      await plane.close();
      root.close();
    },
  };
}
