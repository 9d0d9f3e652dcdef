/** The admin listener: /metrics, /healthz, /readyz, on an address of its own and in plain HTTP. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type BoundAddress, boundedServer, closeServer, listen } from './listener.ts';
import { describeError, type Log } from './log.ts';
import type { MetricRegistry } from './registry.ts';

export interface AdminOptions {
  readonly host: string;
  readonly port: number;
  readonly registry: Pick<MetricRegistry, 'metrics' | 'contentType'>;
  /** null: ready; otherwise why not. */
  readonly notReady: () => string | null;
  readonly log: Log;
}

export interface AdminListener {
  readonly address: BoundAddress;
  close(): Promise<void>;
}

const BOUNDS = {
  maxConnections: 64,
  maxHeaderBytes: 8192,
  headersTimeoutMs: 5000,
  requestTimeoutMs: 10_000,
  keepAliveTimeoutMs: 75_000,
};
const TEXT = 'text/plain; charset=utf-8';

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

export async function startAdmin(options: AdminOptions): Promise<AdminListener> {
  const { registry, notReady, log } = options;
  const text = (status: number, body: string): Answer => ({ status, type: TEXT, body: `${body}\n` });

  // Scrapes that come while one is made share it: a slow scraper cannot make us collect without end.
  let collecting: Promise<Answer> | undefined;
  const metrics = (): Promise<Answer> => {
    collecting ??= registry
      .metrics()
      .then((body): Answer => ({ status: 200, type: registry.contentType, body }))
      .catch((error: unknown) => {
        log.error(describeError(error), 'the metrics could not be collected');
        return text(500, 'the metrics could not be collected; the log says why');
      })
      .finally(() => {
        collecting = undefined;
      });
    return collecting;
  };
  const routes: Readonly<Record<string, () => Answer | Promise<Answer>>> = {
    '/metrics': metrics,
    '/healthz': () => text(200, 'ok'),
    '/readyz': () => {
      const why = notReady();
      return why === null ? text(200, 'ready') : text(503, `not ready: ${why}`);
    },
  };

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '').split('?', 1)[0]!;
    const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
    let result: Answer;
    if (route === undefined) {
      result = text(404, `expected one of ${Object.keys(routes).join(', ')}`);
    } else if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD');
      result = text(405, 'expected GET or HEAD');
    } else {
      result = await route();
    }
    response.writeHead(result.status, {
      'Content-Type': result.type,
      'Content-Length': Buffer.byteLength(result.body),
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
    });
    response.end(request.method === 'HEAD' ? undefined : result.body);
  }

  const server = boundedServer(BOUNDS, (request, response) => {
    request.resume();
    void answer(request, response);
  });
  const address = await listen(server, 'the admin listener', options.host, options.port);
  return { address, close: () => closeServer(server) };
}
