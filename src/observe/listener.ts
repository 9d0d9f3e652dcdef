/** Small plain-HTTP listeners of node:http, with every resource bounded, and what a failed listen means. */
import { createServer, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, isIPv6 } from 'node:net';
import { type ErrorCode, SocryptError } from '../errors.ts';

export interface ListenerBounds {
  readonly maxConnections: number;
  readonly maxHeaderBytes: number;
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
}

export function boundedServer(bounds: ListenerBounds, listener: RequestListener): Server {
  const server = createServer(
    {
      maxHeaderSize: bounds.maxHeaderBytes,
      headersTimeout: bounds.headersTimeoutMs,
      requestTimeout: bounds.requestTimeoutMs,
      keepAliveTimeout: bounds.keepAliveTimeoutMs,
      // Node's default of 30 s would let a slow client stay that much longer.
      connectionsCheckingInterval: 1000,
    },
    listener,
  );
  server.maxConnections = bounds.maxConnections;
  // A client that sends but never reads, or reads but never asks.
  server.setTimeout(bounds.requestTimeoutMs);
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (!socket.writable || error.code === 'ECONNRESET') return void socket.destroy();
    const status =
      error.code === 'HPE_HEADER_OVERFLOW'
        ? '431 Request Header Fields Too Large'
        : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
          ? '408 Request Timeout'
          : '400 Bad Request';
    socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () =>
      socket.destroy(),
    );
  });
  return server;
}

/** 'host:port', with brackets around an IPv6 address. */
export const hostPort = (host: string, port: number): string =>
  isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;

export interface BoundAddress {
  readonly host: string;
  readonly port: number;
}

/** Throws what listenError makes. */
export function listen(server: Server, what: string, host: string, port: number): Promise<BoundAddress> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error) => reject(listenError(error, what, host, port));
    server.once('error', failed);
    server.listen({ host, port, exclusive: true }, () => {
      server.off('error', failed);
      // Errors of accept (EMFILE) are no reason to end the process; the next connection is tried again.
      server.on('error', () => {});
      const address = server.address() as AddressInfo;
      resolve({ host: address.address, port: address.port });
    });
  });
}

/**
 * Throws ERR_SOCRYPT_PORT_IN_USE when another process listens at the address. The engines share it by SO_REUSEPORT,
 * and the kernel lets every other process of the same user join in: connections would be dealt out between two servers.
 */
export async function refuseSharedPort(what: string, host: string, port: number): Promise<void> {
  if (port === 0) return;
  const probe = createTcpServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    probe.once('error', (error) => reject(listenError(error, what, host, port)));
    probe.listen({ host, port, exclusive: true, backlog: 1 }, () => probe.close(() => resolve()));
  });
}

/** Ends at once: these listeners carry nothing that is worth waiting for. */
export function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/** A system error of bind or listen, as one sentence with a code. */
export function listenError(error: unknown, what: string, host: string, port: number): SocryptError {
  const errno = String((error as NodeJS.ErrnoException).code ?? '');
  const known: Record<string, readonly [ErrorCode, string]> = {
    EADDRINUSE: [
      'ERR_SOCRYPT_PORT_IN_USE',
      `another process listens there; stop it (\`ss -ltnp 'sport = :${port}'\` shows it) or give another port`,
    ],
    EACCES: [
      'ERR_SOCRYPT_PORT_PRIVILEGED',
      `ports below net.ipv4.ip_unprivileged_port_start need a privilege; give a port from 1024 on, or grant CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE)`,
    ],
    EADDRNOTAVAIL: ['ERR_SOCRYPT_ADDRESS', 'no interface of this machine has that address; see `ip address`'],
    EAFNOSUPPORT: ['ERR_SOCRYPT_ADDRESS', 'this machine does not speak that kind of address'],
    ENOTFOUND: ['ERR_SOCRYPT_ADDRESS', 'the host name is unknown; give an IP address'],
    EAI_AGAIN: ['ERR_SOCRYPT_ADDRESS', 'the host name could not be looked up; give an IP address'],
    // Of setsockopt(TCP_CONGESTION) only: bind and listen know neither.
    ENOENT: [
      'ERR_SOCRYPT_CONGESTION_CONTROL',
      'the kernel has no congestion control of that name; see net.ipv4.tcp_available_congestion_control, or load its module (modprobe tcp_NAME)',
    ],
    EPERM: [
      'ERR_SOCRYPT_CONGESTION_CONTROL',
      'the kernel does not allow that congestion control to this user; see net.ipv4.tcp_allowed_congestion_control',
    ],
    EMFILE: ['ERR_SOCRYPT_FILE_LIMIT', 'too many files are open; raise the limit (ulimit -n)'],
  };
  const [code, why] = known[errno] ?? ['ERR_SOCRYPT_LISTEN' as const, (error as Error).message];
  return new SocryptError(code, `Expected to listen on ${hostPort(host, port)} for ${what}, but ${why}.`, {
    cause: error,
  });
}
