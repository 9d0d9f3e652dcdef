/**
 * Handshakes in threads of their own: a stalled main thread (a slow handler, a collection of garbage) holds up no
 * handshake, and several cores make them. Each worker answers some of the engines. One that dies is replaced; its
 * connections end, and those that come meanwhile wait for the next one.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { SocryptError } from '../errors.ts';
import type { ClientAuthenticationOptions } from './client-authentication.ts';
import type { CredentialStore, SharedCredential } from './credential-store.ts';
import type { HandshakeControlOptions } from './handshake-control.ts';
import { type HandshakeCounters, PENDING, readCounters } from './handshake-counters.ts';
import { readShared, SharedCounters } from './shared-counters.ts';
import type { TicketSecrets } from './tickets/ticket-sealer.ts';
import type { FromWorker, ToWorker, WorkerStart } from './worker-messages.ts';

export interface ControlWorkersOptions {
  /** At least 1. */
  readonly workers: number;
  /** Sent to each worker: nothing but values. */
  readonly handshakes: HandshakeControlOptions;
}

export interface ControlWorkersLog {
  error(fields: object, text: string): void;
  info(fields: object, text: string): void;
}

/** After this long a worker that died was no hopeless one, and its successor starts at once. */
const STEADY_MS = 10_000;
const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 5_000;
/** How long a worker may take to end by itself at a shutdown. */
const CLOSE_MS = 2_000;

/** The compiled worker beside this module; from source (tests), the one in dist/, since node runs no TypeScript. */
function workerFile(): URL {
  if (!import.meta.url.endsWith('.ts')) return new URL('./control-worker.js', import.meta.url);
  const built = new URL('../../dist/control/control-worker.js', import.meta.url);
  if (existsSync(fileURLToPath(built))) return built;
  throw new SocryptError(
    'ERR_SOCRYPT_CONTROL_WORKER',
    `Expected the compiled control worker at ${fileURLToPath(built)}, but it is not there. Run npm run build:ts.`,
  );
}

interface Slot {
  worker: Worker | undefined;
  channels: readonly number[];
  /** Of the worker that runs, or ran last. */
  counters: SharedArrayBuffer;
  startedAt: number;
  pause: number;
  restart: NodeJS.Timeout | undefined;
}

export class ControlWorkers {
  readonly #options: ControlWorkersOptions;
  readonly #log: ControlWorkersLog;
  readonly #slots: Slot[];
  /** What workers counted that are gone. */
  readonly #past: ReadonlyMap<string, number>[] = [];
  #credentials: CredentialStore;
  #clients: ClientAuthenticationOptions | null;
  #secrets: TicketSecrets;
  /** Replaced ones, for as long as a worker that starts may still want its shares of their keys. */
  readonly #replaced = new Set<CredentialStore>();
  #waiting = new Map<number, { readonly left: Set<Worker>; readonly done: () => void }>();
  #lastId = 0;
  #started = false;
  #closed = false;

  constructor(credentials: CredentialStore, options: ControlWorkersOptions, log: ControlWorkersLog) {
    this.#credentials = credentials;
    this.#options = options;
    this.#clients = options.handshakes.clientAuthentication;
    this.#secrets = options.handshakes.sessions.secrets;
    this.#log = log;
    this.#slots = Array.from({ length: options.workers }, () => ({
      worker: undefined,
      channels: [],
      counters: SharedCounters.memory(),
      startedAt: 0,
      pause: 0,
      restart: undefined,
    }));
  }

  /** Resolves once all of them can answer. Throws ERR_SOCRYPT_CONTROL_WORKER; nothing runs then. */
  async start(): Promise<void> {
    try {
      await Promise.all(this.#slots.map((slot) => this.#begin(slot)));
      this.#started = true;
    } catch (error) {
      await this.close();
      if (error instanceof SocryptError) throw error;
      throw new SocryptError(
        'ERR_SOCRYPT_CONTROL_WORKER',
        `Expected ${this.#slots.length} control worker(s) to start, but one ended: ${(error as Error).message}. Set controlWorkers to 0 to do without.`,
        { cause: error },
      );
    }
  }

  /** Deals the engines' channels out: at most one worker answers an engine. */
  attach(channels: readonly number[]): void {
    const workers = this.#slots.length;
    for (const [i, slot] of this.#slots.entries()) {
      slot.channels = channels.filter((_, at) => at % workers === i);
      this.#say(slot.worker, { type: 'attach', channels: slot.channels });
    }
  }

  /** For handshakes that begin once this resolves. */
  async setCredentials(
    credentials: CredentialStore,
    clients: ClientAuthenticationOptions | null,
  ): Promise<void> {
    const shared = share(credentials);
    const before = this.#credentials;
    this.#credentials = credentials;
    this.#clients = clients;
    const left = new Set(this.#slots.flatMap(({ worker }) => (worker === undefined ? [] : [worker])));
    if (left.size === 0) return;
    const id = ++this.#lastId;
    this.#replaced.add(before);
    await new Promise<void>((done) => {
      this.#waiting.set(id, { left, done });
      for (const worker of left) this.#say(worker, { type: 'credentials', id, credentials: shared, clients });
    });
    this.#replaced.delete(before);
  }

  /** The secrets stay the caller's, who wipes them only when others have taken their place. */
  setTicketSecrets(secrets: TicketSecrets): void {
    this.#secrets = secrets;
    for (const worker of this.threads) this.#say(worker, { type: 'ticketSecrets', secrets });
  }

  counters(): HandshakeCounters {
    return readCounters([...this.#past, ...this.#slots.map(({ counters }) => readShared(counters))]);
  }

  /** Those that run. */
  get threads(): readonly Worker[] {
    return this.#slots.flatMap(({ worker }) => (worker === undefined ? [] : [worker]));
  }

  /** Idempotent. Engines that run on find nobody to answer their handshakes. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const slot of this.#slots) clearTimeout(slot.restart);
    await Promise.all(
      this.threads.map(async (worker) => {
        const ended = new Promise((resolve) => worker.once('exit', resolve));
        this.#say(worker, { type: 'close' });
        const timer = setTimeout(() => void worker.terminate(), CLOSE_MS);
        await ended;
        clearTimeout(timer);
      }),
    );
  }

  /** Resolves when the worker is ready; rejects when it ends before. */
  #begin(slot: Slot): Promise<void> {
    const start: WorkerStart = {
      options: {
        ...this.#options.handshakes,
        sessions: { ...this.#options.handshakes.sessions, secrets: this.#secrets },
        clientAuthentication: this.#clients,
      },
      credentials: share(this.#credentials),
      counters: slot.counters,
    };
    // Flags of the program's node (`--input-type`, loaders) are for its own code.
    const worker = new Worker(workerFile(), { name: 'socrypt-control', workerData: start, execArgv: [] });
    slot.worker = worker;
    slot.startedAt = Date.now();
    return new Promise((resolve, reject) => {
      let reason: Error | undefined;
      worker.on('error', (error) => {
        reason = error;
      });
      worker.on('message', (message: FromWorker) => {
        if (message.type === 'taken') return this.#taken(message.id, worker);
        if (slot.channels.length > 0) this.#say(worker, { type: 'attach', channels: slot.channels });
        resolve();
      });
      worker.once('exit', (code) => {
        const why = reason ?? new Error(`it exited with ${code}`);
        slot.worker = undefined;
        for (const id of [...this.#waiting.keys()]) this.#taken(id, worker);
        reject(why);
        if (this.#started && !this.#closed) this.#ended(slot, why);
      });
    });
  }

  #ended(slot: Slot, why: Error): void {
    const { code } = why as { code?: unknown };
    this.#log.error(
      { error: why.message, ...(typeof code === 'string' ? { code } : {}) },
      'a control worker ended; its handshakes ended with it, and another one takes its place',
    );
    // What it had under way is no more.
    const counted = readShared(slot.counters);
    counted.delete(PENDING);
    this.#past.push(counted);
    if (this.#past.length > 1) this.#past.splice(0, this.#past.length, sumOf(this.#past));
    slot.counters = SharedCounters.memory();
    const steady = Date.now() - slot.startedAt >= STEADY_MS;
    slot.pause = steady ? 0 : Math.min(MAX_PAUSE_MS, Math.max(FIRST_PAUSE_MS, 2 * slot.pause));
    slot.restart = setTimeout(() => {
      // A worker that cannot start says so through its exit, which comes back to here.
      this.#begin(slot).catch(() => {});
    }, slot.pause);
  }

  #taken(id: number, worker: Worker): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    waiting.left.delete(worker);
    if (waiting.left.size > 0) return;
    this.#waiting.delete(id);
    waiting.done();
  }

  #say(worker: Worker | undefined, message: ToWorker): void {
    worker?.postMessage(message);
  }
}

function share(store: CredentialStore): SharedCredential[] {
  return store.credentials.map((credential) => {
    const shared = credential.share();
    if (shared !== undefined) return shared;
    throw new SocryptError(
      'ERR_SOCRYPT_CONTROL_WORKER',
      `Expected keys that other threads can use, but the one of "${credential.subject}" stays in this one. Set controlWorkers to 0.`,
    );
  });
}

function sumOf(parts: readonly ReadonlyMap<string, number>[]): Map<string, number> {
  const sum = new Map<string, number>();
  for (const part of parts) for (const [name, value] of part) sum.set(name, (sum.get(name) ?? 0) + value);
  return sum;
}
