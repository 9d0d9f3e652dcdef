/**
 * A TLS 1.3 server for tests, made of node:crypto and RFC 8446 and of nothing from src/: it says what it is told
 * to, right or wrong, and checks what the client says.
 */
import { Ephemeral, nodeCryptoProvider } from './node-crypto-provider.ts';
import { signWith } from './sign-with.ts';
import { testCredential } from './test-credentials.ts';
import type { EchoCredential } from './tls-echo-server.ts';
import {
  type Extension,
  type Keys,
  message,
  nonceOf,
  record,
  u16,
  vector8,
  vector16,
} from './tls13-client.ts';

const crypto = nodeCryptoProvider();
const RETRY_RANDOM = crypto.hash('sha256', Buffer.from('HelloRetryRequest'));
const EMPTY = Buffer.alloc(0);

export const vector24 = (...parts: Uint8Array[]) => {
  const content = Buffer.concat(parts);
  return Buffer.concat([Uint8Array.of(content.length >> 16), u16(content.length & 0xffff), content]);
};
const block = (extensions: readonly Extension[]) =>
  vector16(...extensions.map(([type, body]) => Buffer.concat([u16(type), vector16(body)])));

export interface ParsedHello {
  readonly whole: Buffer;
  readonly legacyVersion: number;
  readonly random: Buffer;
  readonly sessionId: Buffer;
  readonly suites: readonly number[];
  readonly compression: Buffer;
  readonly extensions: readonly Extension[];
  readonly shares: ReadonlyMap<number, Buffer>;
}

export interface ServerHelloOptions {
  readonly legacyVersion?: number;
  readonly random?: Uint8Array;
  readonly sessionId?: Uint8Array;
  readonly suite?: number;
  readonly compression?: number;
  readonly group?: number;
  /** In place of a key share that fits. */
  readonly share?: Uint8Array;
  /** Changes the list of extensions at will. */
  readonly edit?: (extensions: Extension[]) => Extension[];
  /** In place of the whole extensions block, length included. */
  readonly block?: Uint8Array;
}

export interface CertificateOptions {
  readonly context?: Uint8Array;
  readonly chain?: readonly Uint8Array[];
  /** Of the leaf. */
  readonly extensions?: readonly Extension[];
}

export class TestServer {
  readonly credential: EchoCredential;
  /** ClientHellos, in order. */
  readonly hellos: ParsedHello[] = [];
  /** Messages under the client's handshake and application keys. */
  readonly messages: { readonly type: number; readonly body: Buffer }[] = [];
  readonly plainRecords: number[] = [];
  readonly recordVersions: number[] = [];
  readonly alerts: number[] = [];
  readonly applicationData: Buffer[] = [];
  suite = 0x1301;
  tx: Keys | undefined;
  rx: Keys | undefined;
  clientApplicationSecret: Uint8Array = EMPTY;
  serverApplicationSecret: Uint8Array = EMPTY;
  resumptionSecret: Uint8Array = EMPTY;
  clientFinished = false;
  readonly transcript: Buffer[] = [];
  #clientSecret: Uint8Array = EMPTY;
  #serverSecret: Uint8Array = EMPTY;
  #handshakeSecret: Uint8Array = EMPTY;
  #masterSecret: Uint8Array = EMPTY;
  #psk: Uint8Array | undefined;
  #input = Buffer.alloc(0);
  #joined = Buffer.alloc(0);

  constructor(credential: EchoCredential = testCredential('ecdsa-p256')) {
    this.credential = credential;
  }

  get hash(): 'sha256' | 'sha384' {
    return this.suite === 0x1302 ? 'sha384' : 'sha256';
  }

  get hashLength(): number {
    return this.suite === 0x1302 ? 48 : 32;
  }

  get hello(): ParsedHello {
    return this.hellos.at(-1)!;
  }

  /** The body of an extension that the last hello offered. */
  offered(type: number): Buffer | undefined {
    const found = this.hello.extensions.find(([each]) => each === type);
    return found && Buffer.from(found[1]);
  }

  /** Takes what the client sent. Throws when the client is wrong. */
  receive(bytes: Uint8Array): void {
    this.#input = Buffer.concat([this.#input, bytes]);
    while (this.#input.length >= 5) {
      const length = this.#input.readUInt16BE(3);
      if (this.#input.length < 5 + length) return;
      const header = this.#input.subarray(0, 5);
      const body = this.#input.subarray(5, 5 + length);
      this.#input = this.#input.subarray(5 + length);
      this.recordVersions.push(header.readUInt16BE(1));
      if (header[0] !== 23) {
        this.plainRecords.push(header[0]!);
        this.#content(header[0]!, body);
        continue;
      }
      const keys = this.rx;
      if (keys === undefined) throw new Error('a protected record before the keys');
      const inner = crypto.aeadOpen(this.suite, keys.key, nonceOf(keys), header, body);
      if (inner === null) throw new Error('a record of the client does not decrypt');
      keys.seq++;
      let end = inner.length;
      while (inner[end - 1] === 0) end--;
      this.#content(inner[end - 1]!, inner.subarray(0, end - 1));
    }
  }

  /** A HelloRetryRequest message; it goes into the transcript. */
  retry(options: ServerHelloOptions & { readonly cookie?: Uint8Array } = {}): Buffer {
    this.suite = options.suite ?? this.suite;
    const first = this.transcript[0]!;
    this.transcript[0] = message(254, crypto.hash(this.hash, first));
    const extensions: Extension[] = [[43, u16(0x0304)]];
    if (options.group !== undefined) extensions.push([51, u16(options.group)]);
    if (options.cookie !== undefined) extensions.push([44, vector16(options.cookie)]);
    return this.#push(this.#helloMessage({ random: RETRY_RANDOM, ...options }, extensions));
  }

  /** A ServerHello message, whatever the options make of it; when it is right, keys follow from it. */
  serverHello(options: ServerHelloOptions = {}): Buffer {
    this.suite = options.suite ?? this.suite;
    const group = options.group ?? [...this.hello.shares.keys()][0] ?? 0x17;
    const theirs = this.hello.shares.get(group);
    const known = group === 0x1d || group === 0x17 || group === 0x18;
    const ephemeral = known ? new Ephemeral(group) : undefined;
    const share = options.share ?? ephemeral?.publicKey ?? Buffer.alloc(32, 9);
    const whole = this.#helloMessage({ random: crypto.randomBytes(32), ...options }, [
      [51, Buffer.concat([u16(group), vector16(share)])],
      [43, u16(0x0304)],
    ]);
    this.#push(whole);
    if (theirs !== undefined && ephemeral !== undefined) this.#deriveHandshake(ephemeral.combine(theirs));
    return whole;
  }

  /** The messages of a server that a client must take; each may be replaced. */
  encryptedExtensions(extensions: readonly Extension[] = []): Buffer {
    return this.#push(message(8, block(extensions)));
  }

  certificateRequest(
    extensions: readonly Extension[] = [[13, vector16(u16(0x0403, 0x0804))]],
    context: Uint8Array = EMPTY,
  ): Buffer {
    return this.#push(message(13, Buffer.concat([vector8(context), block(extensions)])));
  }

  certificate(options: CertificateOptions = {}): Buffer {
    const entries = (options.chain ?? this.credential.chain).map((der, i) =>
      Buffer.concat([vector24(der), block(i === 0 ? (options.extensions ?? []) : [])]),
    );
    return this.#push(message(11, Buffer.concat([vector8(options.context ?? EMPTY), vector24(...entries)])));
  }

  certificateVerify(
    options: { readonly scheme?: number; readonly sign?: (input: Buffer) => Uint8Array } = {},
  ): Buffer {
    const scheme = options.scheme ?? this.credential.schemes[0]!;
    const input = Buffer.concat([
      Buffer.alloc(64, 0x20),
      Buffer.from('TLS 1.3, server CertificateVerify\0'),
      crypto.hash(this.hash, Buffer.concat(this.transcript)),
    ]);
    const signature = options.sign?.(input) ?? signWith(this.credential.key, scheme, input);
    return this.#push(message(15, Buffer.concat([u16(scheme), vector16(signature)])));
  }

  finished(verifyData: Uint8Array = this.#verifyData(this.#serverSecret)): Buffer {
    return this.#push(message(20, verifyData));
  }

  /** A whole flight after the ServerHello, sealed in one record. Application keys from here on. */
  flight(): Buffer {
    const sealed = this.seal(
      22,
      Buffer.concat([
        this.encryptedExtensions(),
        this.certificate(),
        this.certificateVerify(),
        this.finished(),
      ]),
    );
    this.useApplicationKeys();
    return sealed;
  }

  /** After our Finished. */
  useApplicationKeys(): void {
    const zeros = Buffer.alloc(this.hashLength);
    const derived = this.#derive(this.#handshakeSecret, 'derived', []);
    this.#masterSecret = Uint8Array.from(crypto.hkdfExtract(this.hash, derived, zeros));
    this.clientApplicationSecret = this.#derive(this.#masterSecret, 'c ap traffic', this.transcript);
    this.serverApplicationSecret = this.#derive(this.#masterSecret, 's ap traffic', this.transcript);
    this.tx = this.keysOf(this.serverApplicationSecret);
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

  keysOf(secret: Uint8Array): Keys {
    return {
      key: crypto.hkdfExpandLabel(this.hash, secret, 'key', EMPTY, this.suite === 0x1301 ? 16 : 32),
      iv: crypto.hkdfExpandLabel(this.hash, secret, 'iv', EMPTY, 12),
      seq: 0n,
    };
  }

  /** The PSK that a ticket with this nonce stands for (RFC 8446 4.6.1). */
  pskOf(nonce: Uint8Array): Uint8Array {
    return crypto.hkdfExpandLabel(this.hash, this.resumptionSecret, 'resumption', nonce, this.hashLength);
  }

  /**
   * Takes the PSK that the last hello offers: checks that its binder was made with `psk`, and uses it.
   * Gives the identity and the obfuscated age.
   */
  takePsk(psk: Uint8Array, suite: number): { readonly identity: Buffer; readonly obfuscatedAge: number } {
    this.suite = suite;
    const body = this.offered(41)!;
    const identities = body.subarray(2, 2 + body.readUInt16BE(0));
    const identity = identities.subarray(2, 2 + identities.readUInt16BE(0));
    const binders = body.subarray(2 + identities.length);
    const binder = binders.subarray(3);
    const truncated = this.hello.whole.subarray(0, this.hello.whole.length - binders.length);
    const early = crypto.hkdfExtract(this.hash, Buffer.alloc(this.hashLength), psk);
    const key = this.#derive(early, 'res binder', []);
    const expected = this.#mac(key, Buffer.concat([...this.transcript.slice(0, -1), truncated]));
    if (!expected.equals(binder)) throw new Error('the binder is wrong');
    this.#psk = psk;
    return { identity, obfuscatedAge: identities.readUInt32BE(2 + identity.length) };
  }

  #push(whole: Buffer): Buffer {
    this.transcript.push(whole);
    return whole;
  }

  #helloMessage(options: ServerHelloOptions, extensions: Extension[]): Buffer {
    return message(
      2,
      Buffer.concat([
        u16(options.legacyVersion ?? 0x0303),
        options.random!,
        vector8(options.sessionId ?? this.hello.sessionId),
        u16(options.suite ?? this.suite),
        Uint8Array.of(options.compression ?? 0),
        options.block ?? block(options.edit?.(extensions) ?? extensions),
      ]),
    );
  }

  #deriveHandshake(shared: Uint8Array): void {
    const zeros = Buffer.alloc(this.hashLength);
    const early = crypto.hkdfExtract(this.hash, zeros, this.#psk ?? zeros);
    const derived = this.#derive(early, 'derived', []);
    this.#handshakeSecret = Uint8Array.from(crypto.hkdfExtract(this.hash, derived, shared));
    this.#clientSecret = this.#derive(this.#handshakeSecret, 'c hs traffic', this.transcript);
    this.#serverSecret = this.#derive(this.#handshakeSecret, 's hs traffic', this.transcript);
    this.tx = this.keysOf(this.#serverSecret);
    this.rx = this.keysOf(this.#clientSecret);
  }

  #content(type: number, content: Uint8Array): void {
    if (type === 21) this.alerts.push(content[1]!);
    if (type === 23) this.applicationData.push(Buffer.from(content));
    if (type !== 22) return;
    this.#joined = Buffer.concat([this.#joined, content]);
    while (this.#joined.length >= 4) {
      const length = 4 + this.#joined.readUIntBE(1, 3);
      if (this.#joined.length < length) return;
      const whole = Buffer.from(this.#joined.subarray(0, length));
      this.#joined = this.#joined.subarray(length);
      this.#message(whole);
    }
  }

  #message(whole: Buffer): void {
    const type = whole[0]!;
    const body = whole.subarray(4);
    if (type === 1) {
      this.hellos.push(parseHello(whole));
      this.transcript.push(whole);
      return;
    }
    this.messages.push({ type, body });
    if (type === 24) {
      this.clientApplicationSecret = this.#next(this.clientApplicationSecret);
      this.rx = this.keysOf(this.clientApplicationSecret);
    }
    if (this.clientFinished) return;
    if (type === 20) {
      if (!this.#verifyData(this.#clientSecret).equals(body))
        throw new Error("the client's Finished is wrong");
      this.clientFinished = true;
      this.rx = this.keysOf(this.clientApplicationSecret);
    }
    this.transcript.push(whole);
    if (type === 20) this.resumptionSecret = this.#derive(this.#masterSecret, 'res master', this.transcript);
  }

  /** After a KeyUpdate of our own. */
  updateKeys(): void {
    this.serverApplicationSecret = this.#next(this.serverApplicationSecret);
    this.tx = this.keysOf(this.serverApplicationSecret);
  }

  #next(secret: Uint8Array): Uint8Array {
    return Uint8Array.from(crypto.hkdfExpandLabel(this.hash, secret, 'traffic upd', EMPTY, secret.length));
  }

  #verifyData(secret: Uint8Array): Buffer {
    return this.#mac(secret, Buffer.concat(this.transcript));
  }

  #mac(secret: Uint8Array, transcript: Uint8Array): Buffer {
    const key = crypto.hkdfExpandLabel(this.hash, secret, 'finished', EMPTY, this.hashLength);
    return Buffer.from(crypto.hmac(this.hash, key, crypto.hash(this.hash, transcript)));
  }

  #derive(secret: Uint8Array, label: string, messages: readonly Buffer[]): Uint8Array {
    const context = crypto.hash(this.hash, Buffer.concat(messages));
    return Uint8Array.from(crypto.hkdfExpandLabel(this.hash, secret, label, context, context.length));
  }
}

export function parseHello(whole: Buffer): ParsedHello {
  let at = 4;
  const take = (length: number) => {
    if (at + length > whole.length) throw new Error('a ClientHello that is too short');
    at += length;
    return whole.subarray(at - length, at);
  };
  const legacyVersion = take(2).readUInt16BE();
  const random = take(32);
  const sessionId = take(take(1)[0]!);
  const suiteBytes = take(take(2).readUInt16BE());
  const suites = Array.from({ length: suiteBytes.length / 2 }, (_, i) => suiteBytes.readUInt16BE(2 * i));
  const compression = take(take(1)[0]!);
  const extensions: Extension[] = [];
  const end = take(2).readUInt16BE() + at;
  if (end !== whole.length) throw new Error('extensions that do not end where the ClientHello does');
  while (at < end) extensions.push([take(2).readUInt16BE(), take(take(2).readUInt16BE())]);
  const shares = new Map<number, Buffer>();
  const keyShare = extensions.find(([type]) => type === 51)?.[1];
  if (keyShare !== undefined) {
    const list = Buffer.from(keyShare).subarray(2);
    for (let i = 0; i < list.length; i += 4 + list.readUInt16BE(i + 2)) {
      shares.set(list.readUInt16BE(i), list.subarray(i + 4, i + 4 + list.readUInt16BE(i + 2)));
    }
  }
  return { whole, legacyVersion, random, sessionId, suites, compression, extensions, shares };
}

export { message, record, u16, vector8, vector16 };
