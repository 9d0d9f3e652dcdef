/**
 * A TLS 1.3 client for tests, made of node:crypto and RFC 8446 and of nothing from src/: it says what it is told
 * to, right or wrong, and checks what the server says.
 */
import { createPublicKey, verify } from 'node:crypto';
import { Ephemeral, nodeCryptoProvider, X25519 } from './node-crypto-provider.ts';

const crypto = nodeCryptoProvider();
export const u16 = (...values: number[]) =>
  Buffer.from(values.flatMap((value) => [value >> 8, value & 0xff]));
const u24 = (value: number) => Buffer.of(value >> 16, value >> 8, value);
export const vector8 = (...parts: Uint8Array[]) => {
  const content = Buffer.concat(parts);
  return Buffer.concat([Uint8Array.of(content.length), content]);
};
export const vector16 = (...parts: Uint8Array[]) => {
  const content = Buffer.concat(parts);
  return Buffer.concat([u16(content.length), content]);
};
export const message = (type: number, body: Uint8Array) =>
  Buffer.concat([Uint8Array.of(type, body.length >> 16, body.length >> 8, body.length & 0xff), body]);
export const record = (type: number, content: Uint8Array, version = 0x0303) =>
  Buffer.concat([Uint8Array.of(type), u16(version, content.length), content]);

export type Extension = readonly [type: number, body: Uint8Array];

export interface HelloOptions {
  readonly legacyVersion?: number;
  readonly sessionId?: Uint8Array;
  readonly suites?: readonly number[];
  readonly groups?: readonly number[];
  /** Groups with a share; the first of `groups` unless given. */
  readonly shares?: readonly number[];
  readonly schemes?: readonly number[];
  readonly serverName?: string;
  readonly alpn?: readonly string[];
  readonly compression?: readonly number[];
  /** Changes the list of extensions at will. */
  readonly edit?: (extensions: Extension[]) => Extension[];
  /** Offers to resume these, as the last extension. */
  readonly sessions?: readonly Session[];
  /** psk_key_exchange_modes. */
  readonly pskModes?: readonly number[];
  /** Spoils a binder. */
  readonly editBinders?: (binders: Buffer[]) => Uint8Array[];
}

/** What a NewSessionTicket gives. */
export interface Session {
  readonly ticket: Uint8Array;
  readonly psk: Uint8Array;
  readonly hash: 'sha256' | 'sha384';
  readonly lifetime: number;
  readonly nonce: Uint8Array;
}

export interface Keys {
  readonly key: Uint8Array;
  readonly iv: Uint8Array;
  seq: bigint;
}

export class TestClient {
  readonly random = crypto.randomBytes(32);
  readonly messages: { type: number; body: Buffer }[] = [];
  readonly plainRecords: number[] = [];
  readonly alerts: number[] = [];
  readonly applicationData: Buffer[] = [];
  /** The request_update of each KeyUpdate that came. */
  readonly keyUpdateRequests: number[] = [];
  suite = 0;
  retriedGroup: number | undefined;
  retryCookie: Buffer | undefined;
  readonly sessions: Session[] = [];
  /** Which of the offered sessions the server took. */
  selectedIdentity: number | undefined;
  tx: Keys | undefined;
  rx: Keys | undefined;
  clientApplicationSecret = new Uint8Array(0);
  serverApplicationSecret = new Uint8Array(0);
  #options: HelloOptions;
  #ephemeral = new Map<number, Ephemeral>();
  #transcript: Buffer[] = [];
  #clientSecret = new Uint8Array(0);
  #serverSecret = new Uint8Array(0);
  #handshakeSecret = new Uint8Array(0);
  #joined = Buffer.alloc(0);
  #input = Buffer.alloc(0);
  #offered: readonly Session[] = [];
  #master: Uint8Array = new Uint8Array(0);
  #exporterSecret: Uint8Array = new Uint8Array(0);

  constructor(options: HelloOptions = {}) {
    this.#options = options;
  }

  get hash(): 'sha256' | 'sha384' {
    return this.suite === 0x1302 ? 'sha384' : 'sha256';
  }

  /** A ClientHello message; each call counts as the one that was sent last. */
  hello(more: HelloOptions = {}): Buffer {
    const options = { ...this.#options, ...more };
    const groups = options.groups ?? [X25519, 0x0017];
    const shares =
      options.shares ?? (this.retriedGroup === undefined ? groups.slice(0, 1) : [this.retriedGroup]);
    const entries = shares.map((group) => {
      if (group !== X25519 && group !== 0x17 && group !== 0x18)
        return Buffer.concat([u16(group), vector16(Buffer.alloc(32, 1))]);
      const ephemeral = new Ephemeral(group);
      this.#ephemeral.set(group, ephemeral);
      return Buffer.concat([u16(group), vector16(ephemeral.publicKey)]);
    });
    let extensions: Extension[] = [
      [10, vector16(u16(...groups))],
      [13, vector16(u16(...(options.schemes ?? [0x0403, 0x0804])))],
      [43, vector8(u16(0x0304))],
      [51, vector16(...entries)],
    ];
    if (options.serverName !== undefined) {
      extensions.unshift([
        0,
        vector16(Buffer.concat([Uint8Array.of(0), vector16(Buffer.from(options.serverName))])),
      ]);
    }
    if (options.alpn !== undefined) {
      extensions.push([16, vector16(...options.alpn.map((name) => vector8(Buffer.from(name, 'latin1'))))]);
    }
    if (this.retryCookie !== undefined) extensions.push([44, vector16(this.retryCookie)]);
    if (options.pskModes !== undefined) extensions.push([45, vector8(Uint8Array.from(options.pskModes))]);
    if (options.edit !== undefined) extensions = options.edit(extensions);
    const sessions = options.sessions ?? [];
    const lengths = sessions.map(({ hash }) => (hash === 'sha384' ? 48 : 32));
    if (sessions.length > 0) {
      const identities = sessions.map(({ ticket }) => Buffer.concat([vector16(ticket), Buffer.alloc(4, 7)]));
      const zeros = lengths.map((length) => vector8(Buffer.alloc(length)));
      extensions.push([41, Buffer.concat([vector16(...identities), vector16(...zeros)])]);
    }
    this.#offered = sessions;
    let hello = message(
      1,
      Buffer.concat([
        u16(options.legacyVersion ?? 0x0303),
        this.random,
        vector8(options.sessionId ?? Buffer.alloc(0)),
        vector16(u16(...(options.suites ?? [0x1301, 0x1302, 0x1303]))),
        vector8(Uint8Array.from(options.compression ?? [0])),
        vector16(...extensions.map(([type, body]) => Buffer.concat([u16(type), vector16(body)]))),
      ]),
    );
    if (sessions.length > 0) {
      const bindersLength = 2 + lengths.reduce((sum, length) => sum + 1 + length, 0);
      const truncated = hello.subarray(0, hello.length - bindersLength);
      const binders = sessions.map((session) => this.#binder(session, truncated));
      const edited = options.editBinders?.(binders) ?? binders;
      hello = Buffer.concat([truncated, vector16(...edited.map((binder) => vector8(binder)))]);
    }
    this.#transcript.push(hello);
    return hello;
  }

  #binder({ psk, hash }: Session, truncated: Buffer): Buffer {
    const empty = crypto.hash(hash, Buffer.alloc(0));
    const early = crypto.hkdfExtract(hash, Buffer.alloc(empty.length), psk);
    const key = crypto.hkdfExpandLabel(hash, early, 'res binder', empty, empty.length);
    const finished = crypto.hkdfExpandLabel(hash, key, 'finished', Buffer.alloc(0), empty.length);
    return Buffer.from(
      crypto.hmac(hash, finished, crypto.hash(hash, Buffer.concat([...this.#transcript, truncated]))),
    );
  }

  /** A Certificate message of the client's; counts as sent. */
  certificate(
    chain: readonly Uint8Array[],
    context: Uint8Array = Buffer.alloc(0),
    extensions = Buffer.alloc(0),
  ): Buffer {
    const entries = Buffer.concat(
      chain.map((der) => Buffer.concat([u24(der.length), der, vector16(extensions)])),
    );
    return this.#say(message(11, Buffer.concat([vector8(context), u24(entries.length), entries])));
  }

  /** `sign` gets what is to be signed. Counts as sent. */
  certificateVerify(scheme: number, sign: (data: Buffer) => Uint8Array): Buffer {
    const data = Buffer.concat([
      Buffer.alloc(64, 0x20),
      Buffer.from('TLS 1.3, client CertificateVerify\0'),
      crypto.hash(this.hash, Buffer.concat(this.#transcript)),
    ]);
    return this.#say(message(15, Buffer.concat([u16(scheme), vector16(sign(data))])));
  }

  #say(bytes: Buffer): Buffer {
    this.#transcript.push(bytes);
    return bytes;
  }

  /** TLS-Exporter of RFC 8446 7.5, from the master secret. */
  exportKey(label: string, context: Uint8Array, length: number): Uint8Array {
    const derived = crypto.hkdfExpandLabel(
      this.hash,
      this.#exporterSecret,
      label,
      crypto.hash(this.hash, Buffer.alloc(0)),
      this.#exporterSecret.length,
    );
    return crypto.hkdfExpandLabel(this.hash, derived, 'exporter', crypto.hash(this.hash, context), length);
  }

  helloRecord(more: HelloOptions = {}): Buffer {
    return record(22, this.hello(more), 0x0301);
  }

  /** Takes what the server sent. Throws when the server is wrong. */
  receive(bytes: Uint8Array): void {
    this.#input = Buffer.concat([this.#input, bytes]);
    while (this.#input.length >= 5) {
      const length = this.#input.readUInt16BE(3);
      if (this.#input.length < 5 + length) return;
      const header = this.#input.subarray(0, 5);
      const body = this.#input.subarray(5, 5 + length);
      this.#input = this.#input.subarray(5 + length);
      if (header[0] !== 23) {
        this.plainRecords.push(header[0]!);
        this.#content(header[0]!, body);
        continue;
      }
      const inner = this.#open(header, body);
      let end = inner.length;
      while (inner[end - 1] === 0) end--;
      this.#content(inner[end - 1]!, inner.subarray(0, end - 1));
    }
  }

  /** Its own Finished message, once the server's has come. */
  finished(): Buffer {
    if (this.#master.length === 0) throw new Error('the server has not finished');
    return message(20, this.#verifyData(this.#clientSecret));
  }

  /** A protected record under the present keys. */
  seal(type: number, content: Uint8Array, padding = 0): Buffer {
    const keys = this.tx!;
    const inner = Buffer.concat([content, Uint8Array.of(type), Buffer.alloc(padding)]);
    const header = Buffer.concat([Uint8Array.of(23), u16(0x0303, inner.length + 16)]);
    const nonce = nonceOf(keys);
    keys.seq++;
    return Buffer.concat([header, crypto.aeadSeal(this.suite, keys.key, nonce, header, inner)]);
  }

  useApplicationKeys(): void {
    this.tx = this.keysOf(this.clientApplicationSecret);
  }

  /** After a KeyUpdate of its own. */
  updateClientKeys(): void {
    this.clientApplicationSecret = this.#nextSecret(this.clientApplicationSecret);
    this.useApplicationKeys();
  }

  keysOf(secret: Uint8Array): Keys {
    return {
      key: crypto.hkdfExpandLabel(this.hash, secret, 'key', Buffer.alloc(0), this.suite === 0x1301 ? 16 : 32),
      iv: crypto.hkdfExpandLabel(this.hash, secret, 'iv', Buffer.alloc(0), 12),
      seq: 0n,
    };
  }

  /** The signature of the server's CertificateVerify fits `publicKey`. */
  verifySignature(publicKey: string): boolean {
    const index = this.#transcript.findIndex((bytes) => bytes[0] === 15);
    const body = this.#transcript[index]!.subarray(4);
    const input = Buffer.concat([
      Buffer.alloc(64, 0x20),
      Buffer.from('TLS 1.3, server CertificateVerify\0'),
      crypto.hash(this.hash, Buffer.concat(this.#transcript.slice(0, index))),
    ]);
    return verify('sha256', input, createPublicKey(publicKey), body.subarray(4));
  }

  #open(header: Buffer, body: Buffer): Uint8Array {
    const keys = this.rx;
    if (keys === undefined) throw new Error('a protected record before the keys');
    const inner = crypto.aeadOpen(this.suite, keys.key, nonceOf(keys), header, body);
    if (inner === null) throw new Error('a record of the server does not decrypt');
    keys.seq++;
    return inner;
  }

  #content(type: number, content: Uint8Array): void {
    if (type === 21) this.alerts.push(content[1]!);
    if (type === 23) this.applicationData.push(Buffer.from(content));
    if (type !== 22) return;
    this.#joined = Buffer.concat([this.#joined, content]);
    while (this.#joined.length >= 4) {
      const length = 4 + this.#joined.readUIntBE(1, 3);
      if (this.#joined.length < length) return;
      const whole = this.#joined.subarray(0, length);
      this.#joined = this.#joined.subarray(length);
      this.#message(whole);
    }
  }

  #message(whole: Buffer): void {
    const type = whole[0]!;
    const body = whole.subarray(4);
    this.messages.push({ type, body });
    if (type === 24) {
      this.keyUpdateRequests.push(body[0]!);
      this.serverApplicationSecret = this.#nextSecret(this.serverApplicationSecret);
      this.rx = this.keysOf(this.serverApplicationSecret);
      return;
    }
    if (type === 4) this.#newSessionTicket(body);
    else if (type === 20) this.#serverFinished(whole, body);
    else this.#transcript.push(whole);
    if (type === 2) this.#serverHello(body);
  }

  #serverHello(body: Buffer): void {
    const sessionLength = body[34]!;
    this.suite = body.readUInt16BE(35 + sessionLength);
    let at = 40 + sessionLength;
    let share: Buffer | undefined;
    while (at < body.length) {
      const length = body.readUInt16BE(at + 2);
      if (body.readUInt16BE(at) === 51) share = body.subarray(at + 4, at + 4 + length);
      if (body.readUInt16BE(at) === 44)
        this.retryCookie = Buffer.from(body.subarray(at + 6, at + 4 + length));
      if (body.readUInt16BE(at) === 41) this.selectedIdentity = body.readUInt16BE(at + 4);
      at += 4 + length;
    }
    if (share === undefined) throw new Error('ServerHello without key_share');
    const group = share.readUInt16BE(0);
    if (share.length === 2) {
      this.retriedGroup = group;
      const hash = crypto.hash(this.hash, this.#transcript[0]!);
      this.#transcript[0] = message(254, hash);
      return;
    }
    const zeros = Buffer.alloc(this.hash === 'sha384' ? 48 : 32);
    const shared = this.#ephemeral.get(group)!.combine(share.subarray(4));
    const session = this.selectedIdentity === undefined ? undefined : this.#offered[this.selectedIdentity];
    const early = crypto.hkdfExtract(this.hash, zeros, session?.psk ?? zeros);
    this.#handshakeSecret = Uint8Array.from(
      crypto.hkdfExtract(this.hash, this.#derive(early, 'derived', []), shared),
    );
    this.#clientSecret = Uint8Array.from(
      this.#derive(this.#handshakeSecret, 'c hs traffic', this.#transcript),
    );
    this.#serverSecret = Uint8Array.from(
      this.#derive(this.#handshakeSecret, 's hs traffic', this.#transcript),
    );
    this.tx = this.keysOf(this.#clientSecret);
    this.rx = this.keysOf(this.#serverSecret);
  }

  #serverFinished(whole: Buffer, body: Buffer): void {
    if (!this.#verifyData(this.#serverSecret).equals(body)) throw new Error("the server's Finished is wrong");
    this.#transcript.push(whole);
    const zeros = Buffer.alloc(body.length);
    const master = crypto.hkdfExtract(this.hash, this.#derive(this.#handshakeSecret, 'derived', []), zeros);
    this.#master = Uint8Array.from(master);
    this.#exporterSecret = Uint8Array.from(this.#derive(master, 'exp master', this.#transcript));
    this.clientApplicationSecret = Uint8Array.from(this.#derive(master, 'c ap traffic', this.#transcript));
    this.serverApplicationSecret = Uint8Array.from(this.#derive(master, 's ap traffic', this.#transcript));
    this.rx = this.keysOf(this.serverApplicationSecret);
  }

  #nextSecret(secret: Uint8Array) {
    return Uint8Array.from(
      crypto.hkdfExpandLabel(this.hash, secret, 'traffic upd', Buffer.alloc(0), secret.length),
    );
  }

  #newSessionTicket(body: Buffer): void {
    const nonce = body.subarray(9, 9 + body[8]!);
    const at = 9 + nonce.length;
    const ticket = Buffer.from(body.subarray(at + 2, at + 2 + body.readUInt16BE(at)));
    if (at + 4 + ticket.length !== body.length || body.readUInt16BE(body.length - 2) !== 0) {
      throw new Error('a NewSessionTicket with extensions, or too long');
    }
    const resumption = this.#derive(this.#master, 'res master', [...this.#transcript, this.finished()]);
    const psk = Uint8Array.from(
      crypto.hkdfExpandLabel(this.hash, resumption, 'resumption', nonce, resumption.length),
    );
    const lifetime = body.readUInt32BE(0);
    this.sessions.push({ ticket, psk, hash: this.hash, lifetime, nonce: Buffer.from(nonce) });
  }

  #verifyData(secret: Uint8Array): Buffer {
    const length = this.hash === 'sha384' ? 48 : 32;
    const key = crypto.hkdfExpandLabel(this.hash, secret, 'finished', Buffer.alloc(0), length);
    return Buffer.from(crypto.hmac(this.hash, key, crypto.hash(this.hash, Buffer.concat(this.#transcript))));
  }

  #derive(secret: Uint8Array, label: string, messages: Buffer[]): Uint8Array {
    const context = crypto.hash(this.hash, Buffer.concat(messages));
    return crypto.hkdfExpandLabel(this.hash, secret, label, context, context.length);
  }
}

export function nonceOf(keys: Keys): Uint8Array {
  const nonce = Buffer.from(keys.iv);
  nonce.writeBigUInt64BE(nonce.readBigUInt64BE(4) ^ keys.seq, 4);
  return nonce;
}
