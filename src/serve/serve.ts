/** serve(): everything joined into one server that starts whole or not at all. */

import { randomBytes } from 'node:crypto';
import type { ClientAuthenticationOptions } from '../control/client-authentication.ts';
import { ControlWorkers } from '../control/control-workers.ts';
import type { CredentialStore } from '../control/credentials.ts';
import {
  HandshakeControl,
  type HandshakeControlOptions,
  type HandshakeCounters,
} from '../control/handshake-control.ts';
import { checkKeyLog } from '../control/key-log.ts';
import { nativeCryptoProvider } from '../control/native-crypto-provider.ts';
import { SingleUseTable } from '../control/tickets/single-use.ts';
import { type TicketKeyCallback, TicketKeys } from '../control/tickets/ticket-keys.ts';
import type { TicketSecrets } from '../control/tickets/ticket-sealer.ts';
import { SocryptError } from '../errors.ts';
import { StaticHandler } from '../http/handler.ts';
import { resolveHttpOptions } from '../http/options.ts';
import { ServedRoot } from '../http/root.ts';
import { type NativeAccessLog, native } from '../native.ts';
import type { Nic } from '../nic/nic.ts';
import type { AskedNic } from '../nic/operators.ts';
import { type AdminListener, startAdmin } from '../observe/admin.ts';
import { CounterLayout, EngineCounters } from '../observe/engine-counters.ts';
import { families, type Snapshot } from '../observe/families.ts';
import { listenError, refuseSharedPort } from '../observe/listener.ts';
import { createLog, describeError, type Log } from '../observe/log.ts';
import { OperatorSocket } from '../observe/operator-socket.ts';
import { type MetricRegistry, registerFamilies } from '../observe/registry.ts';
import { driverInfo } from '../ocf/driver-info.ts';
import { Plane } from '../plane/plane.ts';
import { numericAddress, urlOf } from './address.ts';
import { answerOperator } from './control.ts';
import { type LoadedCredentials, loadCredentials } from './credentials.ts';
import { CurrentHandler } from './current-handler.ts';
import { type ServedDriver, ServerDrivers, type WithdrawOptions } from './drivers.ts';
import { errnoName, UsageError } from './errors.ts';
import { openFileLimit, shareFileLimit } from './file-limit.ts';
import { missingPages } from './named-pages.ts';
import { attachNic, engineNic, listeningHost, nicReport, servedNic } from './nic.ts';
import { acceleratorOf, chooseOffload, type OffloadReport, offloadNow } from './offload.ts';
import { settingsFromProgram } from './option-sources.ts';
import { optionKeys, optionOf, type ServeSettings, type Settings } from './options.ts';
import { type RedirectListener, startRedirect } from './redirect.ts';
import type { ReloadReport, ServeOptions, Server, ServerStats } from './server.ts';
import { groupsNamed, suitesNamed } from './tls-names.ts';
import { VERSION } from './version.ts';

const EXTRA_KEYS = ['registry', 'logger', 'ticketKeyCallback'];
const WATCH_MS = 1000;
/** Uses that are remembered for the lifetime of a ticket; 4 MiB. Beyond them handshakes are full ones. */
const SINGLE_USE_TICKETS = 131_072;

/**
 * Serves a directory over HTTPS. Rejects with UsageError for options that cannot be meant, and with SocryptError for
 * what stands in the way; nothing is left open then.
 */
export async function serve(options: ServeOptions = {}): Promise<Server> {
  const settings = settingsFromProgram(options, EXTRA_KEYS);
  const { ticketKeyCallback } = options;
  if (ticketKeyCallback !== undefined) {
    const came = typeof ticketKeyCallback;
    if (came !== 'function') throw new UsageError([`ticketKeyCallback expects a function, but got ${came}.`]);
    if (settings.ticketKeys !== null)
      throw new UsageError(['ticketKeys and ticketKeyCallback both give the ticket keys; keep one.']);
  }
  return startServer(settings, options);
}

/** serve() for options that were read already. */
export async function startServer(
  settings: Settings,
  extras: Pick<ServeOptions, 'registry' | 'logger' | 'ticketKeyCallback'> = {},
): Promise<Server> {
  const server = new RunningServer(
    settings,
    extras.logger ?? createLog(settings.logLevel),
    extras.ticketKeyCallback,
  );
  try {
    await server.start(extras.registry);
  } catch (error) {
    await server.release();
    throw error;
  }
  return server;
}

export function httpOptionsOf(settings: Settings) {
  const { index, listing, cleanUrls, trailingSlash, dotfiles, symlinks, precompressed } = settings;
  const { cacheControl, headers, cors, errorPages, mimeTypes, nosniff } = settings;
  return resolveHttpOptions({
    index,
    listing,
    cleanUrls,
    trailingSlash,
    dotfiles,
    symlinks,
    precompressed,
    cacheControl,
    headers,
    cors,
    errorPages,
    mimeTypes,
    nosniff,
    spa: settings.spa ?? false,
    charset: settings.charset ?? false,
  });
}

/** Handshakes in this thread, or in workers. */
interface Handshakes {
  counters(): HandshakeCounters;
  setCredentials(
    credentials: CredentialStore,
    clients: ClientAuthenticationOptions | null,
  ): void | Promise<void>;
  setTicketSecrets(secrets: TicketSecrets): void;
}

class RunningServer implements Server {
  address = { host: '', port: 0, url: '' };
  settings: Settings;
  credentials: LoadedCredentials;
  #offload: OffloadReport;
  readonly #log: Log;
  readonly #startedAt = new Date();
  readonly #layout = new CounterLayout(native.Engine.counterNames);
  #root: ServedRoot | undefined;
  #handler: StaticHandler | undefined;
  #current: CurrentHandler | undefined;
  #accessLog: NativeAccessLog | null = null;
  #accessLogFailing = false;
  #handshakes: Handshakes | undefined;
  #workers: ControlWorkers | undefined;
  #ticketKeys: TicketKeys | undefined;
  readonly #ticketKeyCallback: TicketKeyCallback | undefined;
  #nic: Nic | undefined;
  #plane: Plane | undefined;
  #redirect: RedirectListener | undefined;
  #admin: AdminListener | undefined;
  #control: OperatorSocket | undefined;
  readonly #drivers: ServerDrivers;
  #unregister: (() => void) | undefined;
  #watch: NodeJS.Timeout | undefined;
  #reload = { successful: true, lastSuccess: new Date() };
  #changes: Promise<unknown> = Promise.resolve();
  #listening = false;
  #closing: Promise<void> | undefined;
  /** The last word, once closed. */
  #last: ServerStats | undefined;

  constructor(settings: Settings, log: Log, ticketKeys: TicketKeyCallback | undefined) {
    this.settings = settings;
    this.#ticketKeyCallback = ticketKeys;
    this.#log = log;
    this.credentials = loadCredentials(settings);
    this.#offload = chooseOffload(settings);
    this.#drivers = new ServerDrivers(() => this.#plane, acceleratorOf(settings), log);
  }

  get offload(): OffloadReport {
    const engines = this.#plane?.counters() ?? [];
    const running = new EngineCounters(this.#layout, engines).value('accelerators_running');
    return engines.length === 0 ? this.#offload : offloadNow(this.#offload, running, this.#drivers.names());
  }

  attachDriver(name: string): Promise<number> {
    return this.#drivers.attach(name);
  }
  withdrawDriver(driver: number | string, options?: WithdrawOptions): Promise<void> {
    return this.#drivers.withdraw(driver, options);
  }
  nic(): AskedNic {
    return servedNic(this.#nic, this.settings);
  }
  drivers(): ServedDriver[] {
    return this.#drivers.list();
  }

  get adminAddress() {
    return this.#admin?.address ?? null;
  }
  get redirectAddress() {
    return this.#redirect?.address ?? null;
  }

  async start(registry: MetricRegistry | undefined): Promise<void> {
    const { settings } = this;
    const host = await numericAddress(listeningHost(settings), 'HTTPS', settings.port);
    this.#warnOfCredentials();
    this.#root = this.#openRoot(settings.root);
    this.#handler = await this.#makeHandler(this.#root, settings);
    this.#current = new CurrentHandler(this.#handler);
    if (settings.accessLog !== null) this.#accessLog = openAccessLog(settings);
    await this.#startHandshakes();
    // Engines last: once they accept, nothing can fail any more.
    await this.#startObserving(registry);
    if (settings.redirectPort !== null) {
      this.#redirect = await startRedirect({
        host: settings.redirectHost ?? settings.host,
        port: settings.redirectPort,
        httpsPort: () => (this.#listening ? this.address.port : null),
      });
    }
    this.#attachNic();
    await refuseSharedPort('HTTPS', host, settings.port);
    const { control } = settings;
    if (control !== null)
      this.#control = await OperatorSocket.listen(control, (question) => answerOperator(this, question));
    const bound = await this.#listen(host);
    this.address = { ...bound, url: urlOf(bound.host, bound.port) };
    this.#watch = setInterval(() => {
      this.#watchAccessLog();
      this.#ticketKeys?.tick();
    }, WATCH_MS);
    this.#watch.unref();
    this.#listening = true;
    this.#log.info({ url: this.address.url, root: settings.root, offload: this.offload.path }, 'listening');
  }

  #attachNic(): void {
    const { settings } = this;
    if (settings.offload !== 'nic') return;
    this.#nic = attachNic(settings, this.#log);
    this.#offload = nicReport(this.#nic.status(), settings, this.#offload.engine);
  }

  async #startHandshakes(): Promise<void> {
    const { settings } = this;
    const { store, clients } = this.credentials;
    const lifetime = Math.floor(settings.ticketLifetime / 1000);
    this.#ticketKeys = await TicketKeys.open({
      randomBytes,
      now: Date.now,
      lifetime,
      source: this.#ticketKeySource(),
      changed: (secrets) => {
        this.#handshakes?.setTicketSecrets(secrets);
        this.#log.info({}, 'other ticket keys are in use');
      },
      failed: (error) => this.#log.error(describeError(error), 'the ticket keys stay as they were'),
    });
    // A worker beyond the number of engines would have nothing to do.
    const workers = Math.min(settings.controlWorkers, settings.workers);
    const options: HandshakeControlOptions = {
      suites: suitesNamed(settings.suites, settings.minVersion),
      groups: groupsNamed(settings.groups),
      // HTTP/1.0 has a name of its own: `curl -0` offers no other (IANA ALPN registry).
      alpn: ['http/1.1', 'http/1.0'],
      maxHandshakeBytes: settings.maxHandshakeBytes,
      handshakeTimeoutMs: settings.handshakeTimeout,
      // The main thread has unknown paths to look up, and metrics to give; a worker has nothing else to do.
      sessions: {
        tickets: settings.tickets,
        lifetime,
        secrets: this.#ticketKeys.secrets,
        singleUse: settings.singleUseTickets ? SingleUseTable.memory(SINGLE_USE_TICKETS) : null,
      },
      clientAuthentication: clients,
      keyLogFile: settings.keylog,
    };
    if (settings.keylog !== null) {
      checkKeyLog(settings.keylog);
      this.#log.warn(
        { file: settings.keylog },
        'the secrets of every connection are written to a file (--keylog): whoever reads it can read all traffic',
      );
    }
    if (workers === 0) {
      this.#handshakes = new HandshakeControl(store, nativeCryptoProvider(native.crypto), options);
      return;
    }
    this.#workers = new ControlWorkers(store, { workers, handshakes: options }, this.#log);
    this.#handshakes = this.#workers;
    await this.#workers.start();
  }

  #ticketKeySource() {
    if (this.#ticketKeyCallback !== undefined) return { callback: this.#ticketKeyCallback };
    const { ticketKeys } = this.settings;
    return ticketKeys === null ? null : { file: ticketKeys };
  }

  #openRoot(path: string): ServedRoot {
    const root = new ServedRoot(path);
    root.on('changed', () => this.#enqueue(() => this.#takeRoot(root)));
    root.on('vanished', (why) => {
      this.#log.warn({ root: path, error: why }, 'the root has vanished; what was open is still served');
    });
    root.on('recovered', () => this.#log.info({ root: path }, 'the root is back'));
    return root;
  }

  /** The path names another directory now. */
  async #takeRoot(root: ServedRoot): Promise<void> {
    if (root !== this.#root || this.#closing !== undefined) return;
    await this.#handler!.prepare();
    this.#giveRoot(root);
    // Hands down the error pages of the new root and forgets the old one's entries.
    this.#plane!.setHandler(this.#current!);
    this.#log.info({ root: root.path }, 'the root is another directory now');
  }

  #giveRoot(root: ServedRoot): void {
    const lease = root.acquire();
    try {
      this.#plane!.setRoot(lease.fd);
    } finally {
      lease.release();
    }
  }

  async #makeHandler(root: ServedRoot, settings: Settings): Promise<StaticHandler> {
    const handler = new StaticHandler(root, httpOptionsOf(settings), {
      onError: (error) => this.#log.error(describeError(error), 'a request could not be resolved'),
    });
    await handler.prepare();
    for (const page of await missingPages(root, settings)) {
      this.#log.warn(page, 'no such file below the root; the built-in error page is sent until it is there');
    }
    return handler;
  }

  async #listen(host: string) {
    const { settings } = this;
    const { workers } = settings;
    const shares = shareFileLimit(settings, openFileLimit());
    if (shares.warning !== null) this.#log.warn({}, shares.warning);
    const lease = this.#root!.acquire();
    try {
      this.#plane = new Plane(
        {
          host,
          port: settings.port,
          workers,
          rootFd: lease.fd,
          nic: this.#nic === undefined ? null : engineNic(this.#nic, settings),
          limits: {
            backlog: settings.backlog,
            congestionControl: settings.congestionControl,
            maxConnections: shares.maxConnections,
            maxHandshakeBytes: settings.maxHandshakeBytes,
            handshakeTimeoutMs: settings.handshakeTimeout,
            headerTimeoutMs: settings.headerTimeout,
            keepAliveTimeoutMs: settings.keepAliveTimeout,
            writeTimeoutMs: settings.writeTimeout,
            maxHeaderBytes: settings.maxHeaderBytes,
            maxTargetBytes: settings.maxTargetBytes,
            maxRequestsPerConnection: settings.maxRequestsPerConnection,
            maxBodyBytes: settings.maxBodyBytes,
            cacheEntries: shares.cacheEntries,
            cacheBytes: settings.cacheBytes,
            cacheFileBytes: settings.cacheFileBytes,
            revalidateMs: settings.revalidate,
            keyByOrigin: this.#handler!.keyByOrigin,
            recordLimit: 0,
            accelerator: acceleratorOf(settings),
          },
        },
        {
          handshakes: this.#handshakes instanceof HandshakeControl ? this.#handshakes : null,
          handler: this.#current!,
          log: this.#log,
          accessLog: this.#accessLog,
        },
      );
      const bound = await this.#plane.listen();
      this.#workers?.attach(this.#plane.handshakeChannels());
      return bound;
    } catch (error) {
      throw errnoName(error) === '' ? error : listenError(error, 'HTTPS', host, settings.port);
    } finally {
      lease.release();
    }
  }

  async #startObserving(given: MetricRegistry | undefined): Promise<void> {
    const { metricsHost, metricsPort, processMetrics } = this.settings;
    let registry = given;
    if (registry === undefined && metricsPort !== null) {
      const { Registry, collectDefaultMetrics } = await import('prom-client');
      const own = new Registry();
      if (processMetrics) collectDefaultMetrics({ register: own });
      registry = own;
    }
    if (registry === undefined) return;
    this.#unregister = registerFamilies(registry, families, () => this.#snapshot());
    if (metricsPort === null) return;
    this.#admin = await startAdmin({
      host: metricsHost,
      port: metricsPort,
      registry,
      notReady: () => this.#notReady(),
      log: this.#log,
    });
  }

  #notReady(): string | null {
    if (this.#closing !== undefined) return 'draining';
    if (!this.#listening) return 'starting';
    return this.#root?.vanished === true ? 'the root has vanished' : null;
  }

  #snapshot(): Snapshot {
    const log = this.#accessLog?.counters();
    return {
      engines: new EngineCounters(this.#layout, this.#plane?.counters() ?? []),
      handshakes: this.#handshakes!.counters(),
      certificates: this.credentials.store.credentials.flatMap((credential) =>
        (credential.names.length > 0 ? credential.names : [credential.subject]).map((serverName) => ({
          serverName,
          keyType: credential.key.type,
          notAfter: credential.notAfter,
        })),
      ),
      offload: this.offload,
      drivers: [...native.ocf.reports(), ...(this.#plane?.drivers().flat() ?? [])].map(driverInfo),
      nic: this.#nicSnapshot(),
      build: {
        version: VERSION,
        node: process.version,
        tlsLibrary: `libcrypto ${native.crypto.libcryptoVersion()}`,
      },
      reload: this.#reload,
      accessLog:
        log === undefined ? null : { written: log[0] ?? 0, dropped: log[1] ?? 0, errors: log[2] ?? 0 },
      redirects: this.#redirect?.counts() ?? null,
    };
  }

  #nicSnapshot(): Snapshot['nic'] {
    if (this.#nic === undefined) return null;
    const { alive, flows, retainedBytes } = this.#nic.status();
    return { alive, flows, retainedBytes, counters: this.#nic.counters() };
  }

  stats(): ServerStats {
    if (this.#last !== undefined) return this.#last;
    const engines = new EngineCounters(this.#layout, this.#plane?.counters() ?? []);
    const counters = Object.fromEntries(this.#layout.names.map((name) => [name, engines.value(name)]));
    const sum = (pattern: RegExp) =>
      this.#layout.names.reduce((total, name) => (pattern.test(name) ? total + counters[name]! : total), 0);
    const { full, resumed, failed } = this.#handshakes!.counters();
    return {
      uptimeSeconds: (Date.now() - this.#startedAt.getTime()) / 1000,
      connections: sum(/^connections_(?:handshake|idle|reading|writing|draining)$/),
      requests: sum(/^requests_(?:get|head|options|other)$/),
      responseBytes: sum(/^response_bytes_/),
      handshakes: {
        full,
        resumed,
        failed:
          [...failed.values()].reduce((a, b) => a + b, 0) +
          sum(/^handshake_(?:timeout|plaintext|eof|too_big)$/),
      },
      counters,
    };
  }

  reload(options?: ServeSettings | (() => ServeSettings)): Promise<ReloadReport> {
    return this.#enqueue(async () => {
      try {
        if (this.#closing !== undefined) {
          throw new SocryptError(
            'ERR_SOCRYPT_CLOSED',
            'Expected a running server to reload, but it is closing.',
          );
        }
        const given = typeof options === 'function' ? options() : options;
        const wanted = given === undefined ? this.settings : settingsFromProgram(given, EXTRA_KEYS);
        const report = await this.#takeSettings(wanted);
        this.#reload = { successful: true, lastSuccess: new Date() };
        this.#log.info(report, 'reloaded');
        if (report.needRestart.length > 0) {
          this.#log.warn(
            { options: report.needRestart },
            'these options count only at a start; restart to apply them',
          );
        }
        return report;
      } catch (error) {
        this.#reload = { ...this.#reload, successful: false };
        this.#log.error(describeError(error), 'the reload failed; everything stays as it was');
        throw error;
      }
    });
  }

  /** Everything that can fail comes first and changes nothing. */
  async #takeSettings(wanted: Settings): Promise<ReloadReport> {
    const before = this.settings;
    const differ = optionKeys.filter((key) => JSON.stringify(wanted[key]) !== JSON.stringify(before[key]));
    const applied = differ.filter((key) => optionOf(key).reload === true);
    const needRestart = differ.filter((key) => optionOf(key).reload !== true);
    const next: Settings = { ...before, ...Object.fromEntries(applied.map((key) => [key, wanted[key]])) };

    const credentials = loadCredentials(next, this.credentials);
    const takeTicketKeys = await this.#ticketKeys!.prepare();
    const root = next.root === before.root ? this.#root! : this.#openRoot(next.root);
    try {
      const handler = await this.#makeHandler(root, next);
      // The engines' cache keys are settled at the start.
      if (handler.keyByOrigin !== this.#handler!.keyByOrigin) {
        throw new SocryptError(
          'ERR_SOCRYPT_NEEDS_RESTART',
          'The option cors can change on reload only from one list of origins to another; restart to apply it.',
        );
      }
      this.#accessLog?.reopen();
      await this.#handshakes!.setCredentials(credentials.store, credentials.clients);
      this.#handler = handler;
    } catch (error) {
      if (root !== this.#root) root.close();
      throw error;
    }

    const oldRoot = this.#root!;
    this.#root = root;
    this.credentials = credentials;
    this.settings = next;
    takeTicketKeys();
    this.#current!.replace(this.#handler);
    if (root !== oldRoot) this.#giveRoot(root);
    this.#plane!.setHandler(this.#current!);
    if (root !== oldRoot) oldRoot.close();
    if (applied.includes('logLevel') && 'level' in this.#log)
      (this.#log as { level: string }).level = next.logLevel;
    this.#warnOfCredentials();
    return { applied, needRestart };
  }

  close(deadlineMs: number = this.settings.drainTimeout): Promise<void> {
    if (this.#closing === undefined) {
      this.#closing = this.#drain(deadlineMs).then(() => this.release());
    } else if (deadlineMs === 0) {
      // Ends the drain that is waited for.
      void this.#plane?.close();
    }
    return this.#closing;
  }

  async #drain(deadlineMs: number): Promise<void> {
    this.#log.info({ deadlineMs }, 'draining');
    await this.#redirect?.close();
    if (deadlineMs > 0) await this.#plane!.drain(deadlineMs);
  }

  /** Closes whatever is open, in the order of who uses whom. Never throws. */
  async release(): Promise<void> {
    clearInterval(this.#watch);
    const steps: (() => unknown)[] = [
      () => this.#redirect?.close(),
      () => this.#control?.close(),
      () => this.#plane?.close(),
      () => this.#nic?.detach(),
      () => this.#workers?.close(),
      () => this.#ticketKeys?.wipe(),
      () => this.#changes,
      () => this.#admin?.close(),
      () => this.#unregister?.(),
      () => this.#accessLog?.close(),
      () => this.#root?.close(),
    ];
    if (this.#listening) this.#last = this.stats();
    for (const step of steps) {
      try {
        await step();
      } catch (error) {
        this.#log.error(describeError(error), 'closing one part failed');
      }
    }
    // What is native lives as long as it is referred to, however long the program keeps this object.
    this.#plane = undefined;
    this.#nic = undefined;
    this.#handshakes = this.#workers = undefined;
    this.#accessLog = null;
    if (this.#listening) this.#log.info({}, 'closed');
  }

  /** One change at a time: a reload and a root that is replaced must not overtake each other. */
  #enqueue<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#changes.then(change);
    this.#changes = result.catch(() => {});
    return result;
  }

  #warnOfCredentials(): void {
    for (const { code, message } of this.credentials.warnings) this.#log.warn({ code }, message);
  }

  #watchAccessLog(): void {
    const error = this.#accessLog?.lastError() ?? '';
    const path = this.settings.accessLog;
    if (error !== '' && !this.#accessLogFailing) {
      this.#log.warn(
        { path, error },
        'the access log cannot be written; its lines wait, and are dropped and counted when there is no more room',
      );
    } else if (error === '' && this.#accessLogFailing) {
      this.#log.info({ path }, 'the access log is written again');
    }
    this.#accessLogFailing = error !== '';
  }
}

function openAccessLog({ accessLog, accessLogFormat }: Settings): NativeAccessLog {
  try {
    return new native.AccessLog(accessLogFormat, accessLog!);
  } catch (error) {
    throw new SocryptError(
      'ERR_SOCRYPT_ACCESS_LOG',
      `Expected to write the access log to ${accessLog}, but ${(error as Error).message}; check the path and its permissions.`,
      { cause: error },
    );
  }
}
