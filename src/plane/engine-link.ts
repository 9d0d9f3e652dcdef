/** One engine as the control plane's main thread sees it. */

import { SocryptError } from '../errors.ts';
import {
  type EngineOptions,
  type NativeAccessLog,
  type NativeDriverInfo,
  type NativeEngine,
  native,
} from '../native.ts';
import { dispatchHandshake, type HandshakeHandler, MessageSockets } from './crypt-sockets.ts';
import type { RequestHead, Resolution } from './entry.ts';
import { Down, type MessageReader, Notice, Up, WHOLE_DRIVER } from './messages.ts';
import { Messenger } from './messenger.ts';

export type { CryptSockets, HandshakeHandler } from './crypt-sockets.ts';

export interface EngineLinkHooks {
  /** null: another thread has them; see `handshakeChannel`. */
  readonly handshakes: HandshakeHandler | null;
  request(link: EngineLink, token: number, request: RequestHead): void;
  drained(link: EngineLink): void;
  notice(text: string, recovered: boolean): void;
}

export class EngineLink {
  readonly #engine: NativeEngine;
  readonly #hooks: EngineLinkHooks;
  readonly #messenger: Messenger;
  readonly #sockets: MessageSockets;
  /** Changes of drivers that are not answered yet. */
  readonly #changes = new Map<number, { done(driver: number): void; failed(error: Error): void }>();
  #lastChange = 0;

  constructor(
    options: Omit<EngineOptions, 'separateHandshakes'>,
    accessLog: NativeAccessLog | null,
    hooks: EngineLinkHooks,
  ) {
    this.#hooks = hooks;
    const all = { ...options, separateHandshakes: hooks.handshakes === null };
    this.#engine = new native.Engine(all, accessLog, () => this.#messenger.onWake());
    this.#messenger = new Messenger(this.#engine, (message) => this.#dispatch(message));
    this.#sockets = new MessageSockets(this.#messenger);
  }

  listen(): number {
    return this.#engine.listen();
  }
  start(): void {
    this.#engine.start();
  }
  drain(deadlineMs: number): void {
    this.#engine.drain(deadlineMs);
  }
  stop(): void {
    if (this.#messenger.stopped) return;
    // Descriptors in messages that wait here become the engine's, which closes them.
    this.#messenger.stop();
    this.#engine.stop();
    for (const { failed } of this.#changes.values())
      failed(new SocryptError('ERR_SOCRYPT_CLOSED', 'The engine ended before it had changed its drivers.'));
    this.#changes.clear();
  }
  counters(): Float64Array {
    return this.#engine.counters();
  }
  drivers(): NativeDriverInfo[] {
    return this.#engine.drivers();
  }
  /** Resolves to its number in this engine, once it has given its known answers. */
  attachDriver(name: string): Promise<number> {
    return this.#change((token) => this.#messenger.begin(Down.AttachDriver, token).string(name));
  }
  /** Resolves when it is gone: what it has begun may end until then. `algorithm`: of it that alone, at once. */
  withdrawDriver(driver: number, algorithm: number | null, deadlineMs: number): Promise<unknown> {
    return this.#change((token) => {
      const writer = this.#messenger.begin(Down.WithdrawDriver, token);
      writer.u32(driver);
      writer.u16(algorithm ?? WHOLE_DRIVER);
      writer.u32(deadlineMs);
    });
  }
  #change(write: (token: number) => void): Promise<number> {
    return new Promise((done, failed) => {
      if (this.#messenger.stopped) {
        failed(new SocryptError('ERR_SOCRYPT_CLOSED', 'Expected a running engine, but it has ended.'));
        return;
      }
      const token = ++this.#lastChange;
      this.#changes.set(token, { done, failed });
      write(token);
      this.#messenger.end();
    });
  }
  /** For a thread that answers its handshakes. */
  handshakeChannel(): number {
    return this.#engine.handshakeChannel();
  }

  /** Answers a request. Ownership of the descriptors in `resolution` passes on. */
  resolve(token: number, resolution: Resolution): void {
    if (this.#messenger.stopped) {
      closeDescriptors(resolution);
      return;
    }
    this.#messenger.write((writer) => writer.resolution(token, resolution));
  }
  errorPage(status: number, headers: string, body: Uint8Array): void {
    const writer = this.#messenger.begin(Down.ErrorPage, 0);
    writer.u32(status);
    writer.string(headers);
    writer.bytes(body);
    this.#messenger.end();
  }
  flush(): void {
    this.#messenger.begin(Down.Flush, 0);
    this.#messenger.end();
  }
  /** Connections leave the NIC at their next record, or come back to it. */
  pauseNic(pause: boolean): void {
    this.#messenger.begin(Down.PauseNic, 0).u8(pause ? 1 : 0);
    this.#messenger.end();
  }
  /** Ownership of `fd` passes on. */
  setRoot(fd: number): void {
    const writer = this.#messenger.begin(Down.SetRoot, 0);
    writer.i32(fd);
    this.#messenger.end();
  }

  #dispatch(reader: MessageReader): void {
    const { handshakes } = this.#hooks;
    if (handshakes !== null && dispatchHandshake(reader, this.#sockets, handshakes)) return;
    switch (reader.type) {
      case Up.Request:
        this.#hooks.request(this, reader.id, {
          method: reader.latin1(),
          target: reader.latin1(),
          path: reader.latin1(),
          query: reader.latin1(),
          headers: parseFields(reader.latin1()),
        });
        break;
      case Up.Drained:
        this.#hooks.drained(this);
        break;
      case Up.DriverAnswer: {
        const change = this.#changes.get(reader.id);
        this.#changes.delete(reader.id);
        const driver = reader.u32();
        const why = reader.text();
        if (driver !== 0) change?.done(driver);
        else change?.failed(new SocryptError('ERR_SOCRYPT_DRIVER', why));
        break;
      }
      case Up.Notice: {
        const what = reader.u32();
        if (what === Notice.AcceptFailed)
          this.#hooks.notice(
            'no file descriptor is left: new connections are refused until some are free (raise ulimit -n)',
            false,
          );
        else if (what === Notice.AcceptRecovered)
          this.#hooks.notice('file descriptors are free again: connections are accepted', true);
        else if (what === Notice.FileChanged)
          this.#hooks.notice(
            'a file changed while the NIC sent it; its connection was ended (zeroCopy copy reads files before they are sent)',
            false,
          );
        break;
      }
    }
  }
}

/** Raw field lines -> lower-case names; repeated fields are joined (RFC 9110 section 5.2). */
function parseFields(raw: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const line of raw.split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon <= 0) continue;
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    const before = fields.get(name);
    fields.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return fields;
}

function closeDescriptors(resolution: Resolution): void {
  if (resolution.kind === 'file') for (const variant of resolution.variants) native.files.close(variant.fd);
  else if (resolution.kind === 'segments') native.files.close(resolution.fd);
}
