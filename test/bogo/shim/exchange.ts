/** One connection to the runner: a socket on one side, the connection under test on the other, the runner's protocol in between. */
import { connect, type Socket } from 'node:net';
import type { ConnectionEvent, TlsConnection } from '../../../src/tls/index.ts';
import { signWith } from '../../support/sign-with.ts';
import { createConnection, type Observed } from './engine.ts';
import { checkEstablished, checkPeer, checkSession } from './expectations.ts';
import type { Options } from './flags.ts';
import type { ShimCredential } from './keys.ts';
import { Refused } from './refused.ts';
import { refusalOf } from './verification.ts';

/** The runner drains for less; after that its listener is gone anyway. */
const LINGER_MS = 2000;

export type Established = Extract<ConnectionEvent, { type: 'established' }>;

export class Exchange {
  readonly #options: Options;
  readonly #isResumption: boolean;
  readonly #socket: Socket;
  readonly #connection: TlsConnection;
  readonly #observed: Observed;
  readonly #done: Promise<Uint8Array | undefined>;
  #resolve: (session: Uint8Array | undefined) => void = () => {};
  /** Of the newest ticket; and whether it came with or after the handshake. */
  #session: Uint8Array | undefined;
  #reject: (error: Error) => void = () => {};
  #established: Established | undefined;
  #settled = false;
  /** Steps that an -async test has delayed; input waits behind them as it does in the kernel. */
  #pending: (() => void)[] = [];

  private constructor(options: Options, isResumption: boolean, session: Uint8Array | undefined) {
    this.#options = options;
    this.#observed = {
      offer: undefined,
      request: undefined,
      credential: undefined,
      offeredSession: session,
      sessionCached: false,
      hookFailed: false,
    };
    this.#isResumption = isResumption;
    this.#done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#connection = createConnection(options, this.#observed);
    this.#socket = connect({
      port: options.port ?? 0,
      host: options.ipv6 || options['shim-id'] === undefined ? '::1' : '127.0.0.1',
      allowHalfOpen: true,
      noDelay: true,
    });
  }

  /** Resolves to a session, if there came one, when the exchange went as it should; rejects with the reason when not. */
  static run(
    options: Options,
    isResumption: boolean,
    session: Uint8Array | undefined,
  ): Promise<Uint8Array | undefined> {
    const exchange = new Exchange(options, isResumption, session);
    exchange.#start();
    return exchange.#done;
  }

  #start(): void {
    const socket = this.#socket;
    socket.on('error', (error) => this.#fail(new Refused(`socket: ${error.message}`)));
    socket.on('connect', () => {
      const id = this.#options['shim-id'];
      if (id !== undefined) {
        const bytes = Buffer.alloc(8);
        bytes.writeBigUInt64LE(id);
        socket.write(bytes);
      }
      this.#guard(() => this.#apply(this.#connection.start()));
    });
    socket.on('data', (bytes) => this.#guard(() => this.#input(bytes)));
    socket.on('end', () => this.#guard(() => this.#end()));
  }

  /** What throws in here is an expectation that was not met, or a fault of ours; both fail the test. */
  #guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #input(bytes: Uint8Array): void {
    if (this.#settled) return;
    // An -async test is one whose input comes in the smallest portions there are.
    const portion = this.#options.async ? 1 : bytes.length;
    for (let at = 0; at < bytes.length; at += portion) {
      this.#apply(this.#connection.receive(bytes.subarray(at, at + portion)));
    }
  }

  #end(): void {
    if (this.#settled) return;
    if (this.#pending.length > 0) {
      this.#pending.push(() => this.#end());
      return;
    }
    // The runner ends most connections without a close_notify; only some tests mind.
    if (this.#established !== undefined && !this.#options['check-close-notify']) {
      this.#connection.destroy();
      this.#succeed();
      return;
    }
    this.#apply(this.#connection.end());
  }

  #apply(events: readonly ConnectionEvent[]): void {
    for (const event of events) {
      if (this.#settled) return;
      this.#event(event);
    }
  }

  #event(event: ConnectionEvent): void {
    switch (event.type) {
      case 'send':
        this.#socket.write(event.bytes);
        return;
      case 'sign': {
        const credential = event.credential as ShimCredential;
        this.#observed.credential = credential;
        const { scheme, data } = event;
        this.#answer(() => this.#connection.provideSignature(signWith(credential.key, scheme, data)));
        return;
      }
      case 'verify': {
        checkPeer(this.#options, event);
        const refusal = refusalOf(this.#options, this.#isResumption, event.chain);
        this.#answer(() => this.#connection.provideVerification(refusal));
        return;
      }
      case 'established':
        this.#established = event;
        checkEstablished(this.#options, event, this.#observed, this.#isResumption);
        this.#begin(event);
        return;
      case 'data':
        this.#echo(event.bytes);
        return;
      case 'closed':
        if (!this.#options['shim-shuts-down']) this.#apply(this.#connection.close());
        this.#succeed();
        return;
      case 'ticket':
        this.#session = event.session;
        return;
      case 'keyUpdate':
        return;
      case 'fail':
        this.#socket.write(event.bytes);
        this.#fail(this.#failure(event));
        return;
      default:
        throw new Error(`event ${(event as { type: string }).type} is not understood`);
    }
  }

  #failure(event: Extract<ConnectionEvent, { type: 'fail' }>): Error {
    const received = event.received === undefined ? '' : ` (alert ${event.received})`;
    const message = `${event.reason}${received}`;
    return event.reason === 'internal_error' && !this.#observed.hookFailed
      ? new Error(message)
      : new Refused(message);
  }

  /** Answers a question of the engine, in an -async test later. */
  #answer(step: () => ConnectionEvent[]): void {
    if (!this.#options.async) {
      this.#apply(step());
      return;
    }
    this.#pending.push(() => this.#apply(step()));
    setImmediate(() => {
      const steps = this.#pending;
      this.#pending = [];
      for (const pending of steps) this.#guard(pending);
    });
  }

  /** Right after the handshake. */
  #begin({ exporter }: Established): void {
    const options = this.#options;
    const length = options['export-keying-material'];
    if (length !== undefined) {
      const label = (options['export-label'] ?? Buffer.alloc(0)).toString('latin1');
      const context = options['use-export-context']
        ? (options['export-context'] ?? Buffer.alloc(0))
        : undefined;
      this.#write(exporter.export(label, context, length));
    }
    exporter.wipe();
    if (options['shim-writes-first']) {
      const greeting = options['shim-initial-write'] ?? Buffer.from('hello');
      for (let i = 0; i < (options['repeat-shim-initial-write'] ?? 1); i++) this.#write(greeting);
    }
    if (options['write-different-record-sizes']) {
      for (const size of [0, 1, 255, 256, 257, 16383, 16384, 16385, 32767, 32768, 32769]) {
        this.#write(Buffer.alloc(size, 0x42));
      }
    }
    if (options['shim-shuts-down']) {
      this.#apply(this.#connection.close());
      if (!options['check-close-notify']) this.#succeed();
      return;
    }
    if (options['key-update-before-read']) this.#apply(this.#connection.updateKeys(false));
  }

  #echo(bytes: Uint8Array): void {
    if (this.#options['shim-shuts-down']) throw new Refused('application_data_on_shutdown');
    if (this.#options['key-update']) this.#apply(this.#connection.updateKeys(false));
    this.#write(bytes.map((byte) => byte ^ 0xff));
    if (this.#options['key-update-before-read']) this.#apply(this.#connection.updateKeys(false));
  }

  #write(bytes: Uint8Array): void {
    this.#apply(this.#connection.write(bytes));
  }

  #succeed(): void {
    const established = this.#established;
    if (established === undefined) throw new Error('the connection ended well and was never established');
    checkSession(this.#options, established, this.#isResumption, {
      ticket: this.#session !== undefined,
      cached: this.#observed.sessionCached,
    });
    this.#settle(() => this.#resolve(this.#session));
  }

  #fail(error: Error): void {
    this.#settle(() => this.#reject(error));
  }

  /** Half-closes and drains, so that what we sent last, an alert perhaps, is not lost in a reset. */
  #settle(report: () => void): void {
    if (this.#settled) return;
    this.#settled = true;
    const socket = this.#socket;
    const timer = setTimeout(() => socket.destroy(), LINGER_MS);
    socket.on('close', () => {
      clearTimeout(timer);
      report();
    });
    if (socket.destroyed) socket.emit('close');
    socket.end();
    socket.resume();
  }
}
