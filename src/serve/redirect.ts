/** A plain HTTP listener that sends everybody to HTTPS (RFC 9110 15.4.9, 308). */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isIPv4, isIPv6 } from 'node:net';
import { type BoundAddress, boundedServer, closeServer, listen } from '../observe/listener.ts';

export interface RedirectOptions {
  readonly host: string;
  readonly port: number;
  /** Port of the HTTPS listener; null: it is not up yet. */
  readonly httpsPort: () => number | null;
}

export interface RedirectListener {
  readonly address: BoundAddress;
  /** Answers so far, by status. */
  counts(): ReadonlyMap<number, number>;
  close(): Promise<void>;
}

const BOUNDS = {
  maxConnections: 1024,
  maxHeaderBytes: 16_384,
  headersTimeoutMs: 5000,
  requestTimeoutMs: 10_000,
  keepAliveTimeoutMs: 5000,
};

/** RFC 3986 3.2.2 reg-name as host names are written, at most 253 characters (RFC 1035 2.3.4). */
const HOST_NAME =
  /^(?=.{1,253}\.?$)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*\.?$/;

/** The host of a Host field or authority, without its port, as it goes into a URL; null: not one. */
export function hostOf(authority: string): string | null {
  const match = /^(\[[^\]]*\]|[^:[\]]*)(?::(\d{0,5}))?$/.exec(authority);
  if (match === null) return null;
  const host = match[1]!;
  if (host.startsWith('[')) return isIPv6(host.slice(1, -1)) && !host.includes('%') ? host : null;
  // All digits and dots is an address or nothing: browsers read "1.2" and "0x7f.1" as addresses.
  if (/(?:^|\.)(?:\d+|0x[0-9a-f]*)\.?$/i.test(host)) return isIPv4(host) ? host : null;
  return HOST_NAME.test(host) ? host : null;
}

/** What a request asks for: authority ('' for none) and path with query; null: neither origin- nor absolute-form. */
function targetOf(request: IncomingMessage): { authority: string; path: string } | null {
  const url = request.url ?? '';
  // RFC 9112 3.2.2: in absolute-form the target's authority counts and Host is ignored.
  const absolute = /^https?:\/\/([^/?#]*)([^#]*)/i.exec(url);
  if (absolute !== null) {
    const rest = absolute[2]!;
    return { authority: absolute[1]!, path: rest.startsWith('/') ? rest : `/${rest}` };
  }
  return url.startsWith('/') ? { authority: request.headers.host ?? '', path: url } : null;
}

/** Bytes that no URL has unescaped; a parser that lets CR or LF through must not split our response. */
const escapePath = (path: string): string =>
  path.replaceAll(
    /[^!-~]|["<>\\^`{|}]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );

function locate(request: IncomingMessage, httpsPort: number): string | null {
  const target = targetOf(request);
  if (target === null) return null;
  const hosts = request.rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'host').length;
  // RFC 9112 3.2: more than one Host is 400.
  if (hosts > 1) return null;
  let host: string | null;
  if (target.authority !== '') {
    host = hostOf(target.authority);
  } else {
    // HTTP/1.0 without Host: the address that the client itself has used.
    const address = (request.socket.localAddress ?? '')
      .replace(/^::ffff:(?=[\d.]+$)/, '')
      .replace(/%.*$/, '');
    host = address === '' ? null : isIPv6(address) ? `[${address}]` : address;
  }
  if (host === null) return null;
  return `https://${host}${httpsPort === 443 ? '' : `:${httpsPort}`}${escapePath(target.path)}`;
}

export async function startRedirect(options: RedirectOptions): Promise<RedirectListener> {
  const counts = new Map<number, number>([
    [308, 0],
    [400, 0],
    [503, 0],
  ]);
  const answer = (response: ServerResponse, status: number, fields: Record<string, string>, body: string) => {
    counts.set(status, (counts.get(status) ?? 0) + 1);
    response.writeHead(status, {
      ...fields,
      'Content-Type': 'text/plain; charset=utf-8',
      'Content-Length': Buffer.byteLength(body),
      // Whoever follows does so on another connection.
      Connection: 'close',
    });
    response.end(response.req.method === 'HEAD' ? undefined : body);
  };
  const server = boundedServer(BOUNDS, (request, response) => {
    request.resume();
    const httpsPort = options.httpsPort();
    if (httpsPort === null) return answer(response, 503, { 'Retry-After': '1' }, 'HTTPS is not up yet.\n');
    const location = locate(request, httpsPort);
    if (location === null) answer(response, 400, {}, 'Bad Request: expected a valid Host and a path.\n');
    else answer(response, 308, { Location: location, 'Cache-Control': 'no-cache' }, `Use ${location}\n`);
  });
  const address = await listen(server, 'the HTTP redirect', options.host, options.port);
  return { address, counts: () => counts, close: () => closeServer(server) };
}
