/** The data plane as a whole: N engines on one address. */
import {
  type EngineNic,
  type EngineOptions,
  type NativeAccessLog,
  type NativeDriverInfo,
  native,
} from '../native.ts';
import { EngineLink, type HandshakeHandler } from './engine-link.ts';
import type { RequestHandler, RequestHead } from './entry.ts';

export interface PlaneOptions {
  /** A numeric address. */
  readonly host: string;
  /** 0: any free port, the same for every engine. */
  readonly port: number;
  /** Engines, each a thread. */
  readonly workers: number;
  readonly limits: Omit<EngineOptions, 'host' | 'port' | 'separateHandshakes' | 'nic'>;
  readonly nic?: EngineNic | null;
  /** Open directory that dependencies are looked up below; the plane duplicates it for its engines. */
  readonly rootFd: number;
}

export interface PlaneLog {
  warn(fields: object, text: string): void;
  info(fields: object, text: string): void;
  error(fields: object, text: string): void;
}

export interface PlaneHooks {
  /** null: other threads have them; see `handshakeChannels`. */
  readonly handshakes: HandshakeHandler | null;
  readonly handler: RequestHandler;
  readonly log: PlaneLog;
  readonly accessLog: NativeAccessLog | null;
}

/** Statuses that an engine answers by itself. */
const ENGINE_STATUSES = [400, 408, 412, 413, 414, 416, 431, 500, 501, 503, 505];

export class Plane {
  readonly counterNames: readonly string[] = native.Engine.counterNames;
  readonly #options: PlaneOptions;
  readonly #hooks: PlaneHooks;
  #handler: RequestHandler;
  #links: EngineLink[] = [];
  #waitingForDrain = new Set<EngineLink>();
  #drained: (() => void) | undefined;
  #noticed = new Set<string>();

  constructor(options: PlaneOptions, hooks: PlaneHooks) {
    this.#options = options;
    this.#hooks = hooks;
    this.#handler = hooks.handler;
  }

  /** Nothing is left open when this throws. */
  async listen(): Promise<{ host: string; port: number }> {
    const { host, workers, limits, rootFd, nic = null } = this.#options;
    let { port } = this.#options;
    try {
      for (let i = 0; i < workers; ++i) {
        const link = new EngineLink({ ...limits, host, port, nic }, this.#hooks.accessLog, {
          handshakes: this.#hooks.handshakes,
          request: (from, token, request) => this.#onRequest(from, token, request),
          drained: (from) => this.#onDrained(from),
          notice: (text, recovered) => this.#onNotice(text, recovered),
        });
        this.#links.push(link);
        port = link.listen();
      }
      this.setRoot(rootFd);
      this.setHandler(this.#handler);
      for (const link of this.#links) link.start();
    } catch (error) {
      await this.close();
      throw error;
    }
    return { host, port };
  }

  /** Takes effect for every request that no engine has an answer for; what they had is forgotten. */
  setHandler(handler: RequestHandler): void {
    this.#handler = handler;
    for (const link of this.#links)
      for (const status of ENGINE_STATUSES) {
        const page = handler.errorPage(status);
        link.errorPage(status, page.headers, page.body);
      }
    this.flush();
  }
  setRoot(fd: number): void {
    for (const link of this.#links) link.setRoot(native.files.duplicate(fd));
  }
  pauseNic(pause: boolean): void {
    for (const link of this.#links) link.pauseNic(pause);
  }
  flush(): void {
    for (const link of this.#links) link.flush();
  }

  /** Resolves when no connection is left; after `deadlineMs` the rest is closed. */
  drain(deadlineMs: number): Promise<void> {
    if (this.#links.length === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#drained = resolve;
      this.#waitingForDrain = new Set(this.#links);
      for (const link of this.#links) link.drain(deadlineMs);
    });
  }
  async close(): Promise<void> {
    for (const link of this.#links) link.stop();
    this.#links = [];
    this.#drained?.();
  }

  /** One per engine, for the threads that answer handshakes. */
  handshakeChannels(): number[] {
    return this.#links.map((link) => link.handshakeChannel());
  }

  /** One snapshot per engine, in the order of `counterNames`. */
  counters(): Float64Array[] {
    return this.#links.map((link) => link.counters());
  }

  /** Of the crypto framework, engine by engine; the first of each is its own software. */
  drivers(): NativeDriverInfo[][] {
    return this.#links.map((link) => link.drivers());
  }
  /** In every engine, or in none. Resolves to its number in each. */
  async attachDriver(name: string): Promise<number[]> {
    const links = this.#links;
    const results = await Promise.allSettled(links.map((link) => link.attachDriver(name)));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed === undefined)
      return results.map((result) => (result as PromiseFulfilledResult<number>).value);
    await Promise.allSettled(
      results.map((result, i) =>
        result.status === 'fulfilled' ? links[i]!.withdrawDriver(result.value, null, 0) : undefined,
      ),
    );
    throw failed.reason;
  }
  /**
   * `numbers`: what attachDriver() gave. Engines that have it no more are content; rejects when none had what is to be
   * withdrawn.
   */
  async withdrawDriver(
    numbers: readonly number[],
    algorithm: number | null,
    deadlineMs: number,
  ): Promise<void> {
    const results = await Promise.allSettled(
      this.#links.map((link, i) => link.withdrawDriver(numbers[i]!, algorithm, deadlineMs)),
    );
    if (results.some(({ status }) => status === 'fulfilled')) return;
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  #onRequest(link: EngineLink, token: number, request: RequestHead): void {
    const failed = (error: unknown) => {
      this.#hooks.log.error({ err: error }, 'a request could not be resolved');
      const page = this.#handler.errorPage(500);
      link.resolve(token, { kind: 'fixed', status: 500, ...page, dependencies: [], cacheable: false });
    };
    try {
      const answer = this.#handler.resolve(request);
      if (answer instanceof Promise)
        answer.then((resolution) => link.resolve(token, resolution)).catch(failed);
      else link.resolve(token, answer);
    } catch (error) {
      failed(error);
    }
  }

  #onDrained(link: EngineLink): void {
    this.#waitingForDrain.delete(link);
    if (this.#waitingForDrain.size === 0) this.#drained?.();
  }

  #onNotice(text: string, recovered: boolean): void {
    if (recovered) {
      this.#noticed.clear();
      this.#hooks.log.info({}, text);
    } else if (!this.#noticed.has(text)) {
      this.#noticed.add(text);
      this.#hooks.log.warn({}, text);
    }
  }
}
