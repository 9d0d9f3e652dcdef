/**
 * A TLS 1.2 server for tests, made of node:crypto and the RFCs and of nothing from src/: it says what it is told to, right
 * or wrong, and checks what the client says.
 */
import { createHash, createPublicKey, randomBytes, verify } from 'node:crypto';
import { Ephemeral, nodeCryptoProvider, X25519 } from './node-crypto-provider.ts';
import { signWith } from './sign-with.ts';
import { type TestCredential, testCredential } from './test-credentials.ts';
import { CCS, FACTS, keyBlock, prf, seal12 } from './tls12-client.ts';
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
import { type ParsedHello, parseHello, vector24 } from './tls13-server.ts';

const crypto = nodeCryptoProvider();
const EMPTY = Buffer.alloc(0);

export interface Hello12Options {
  readonly version?: number;
  readonly suite?: number;
  readonly sessionId?: Uint8Array;
  readonly compression?: number;
  readonly random?: Uint8Array;
  readonly ems?: boolean;
  /** Changes the list of extensions at will. */
  readonly edit?: (extensions: Extension[]) => Extension[];
}

export interface KeyExchangeOptions {
  readonly curveType?: number;
  readonly group?: number;
  readonly share?: Uint8Array;
  readonly scheme?: number;
  readonly signature?: Uint8Array;
}

export class TestServer12 {
  readonly random: Buffer = randomBytes(32);
  readonly credential: TestCredential;
  readonly alerts: number[] = [];
  readonly messages: { type: number; body: Buffer }[] = [];
  readonly applicationData: Buffer[] = [];
  transcript: Buffer[] = [];
  hello!: ParsedHello;
  suite = 0xc02b;
  group: number = X25519;
  ems = true;
  master: Buffer = EMPTY;
  rx: Keys | undefined;
  tx: Keys | undefined;
  clientFinished = false;
  #ephemeral = new Ephemeral(X25519);
  #input: Buffer = EMPTY;
  #joined: Buffer = EMPTY;
  #keys: { client: Keys; server: Keys } | undefined;

  constructor(credential: TestCredential = testCredential('ecdsa-p256')) {
    this.credential = credential;
  }

  get randoms(): Buffer {
    return Buffer.concat([this.hello.random, this.random]);
  }

  /** The message, which counts as sent. */
  push(whole: Buffer): Buffer {
    this.transcript.push(whole);
    return whole;
  }

  serverHello(options: Hello12Options = {}): Buffer {
    this.suite = options.suite ?? this.suite;
    this.ems = options.ems ?? true;
    if (options.random !== undefined) this.random.set(options.random);
    let extensions: Extension[] = [[0xff01, Buffer.of(0)]];
    if (this.ems) extensions.push([23, EMPTY]);
    if (options.edit !== undefined) extensions = options.edit(extensions);
    const block = extensions.map(([type, body]) => Buffer.concat([u16(type), vector16(body)]));
    const head = Buffer.concat([
      u16(options.version ?? 0x0303),
      this.random,
      vector8(options.sessionId ?? EMPTY),
      u16(this.suite),
      Uint8Array.of(options.compression ?? 0),
    ]);
    return this.push(message(2, block.length === 0 ? head : Buffer.concat([head, vector16(...block)])));
  }

  certificate(chain: readonly Uint8Array[] = this.credential.chain): Buffer {
    return this.push(message(11, vector24(...chain.map((der) => vector24(der)))));
  }

  keyExchange(options: KeyExchangeOptions = {}): Buffer {
    const group = options.group ?? this.group;
    const share = options.share ?? this.#share(group);
    const params = Buffer.concat([Uint8Array.of(options.curveType ?? 3), u16(group), vector8(share)]);
    const scheme = options.scheme ?? this.credential.schemes[0]!;
    const signature =
      options.signature ?? signWith(this.credential.key, scheme, Buffer.concat([this.randoms, params]));
    return this.push(message(12, Buffer.concat([params, u16(scheme), vector16(signature)])));
  }

  request(
    types: readonly number[],
    schemes: readonly number[],
    authorities: readonly Uint8Array[] = [],
  ): Buffer {
    const names = vector16(...authorities.map((name) => vector16(name)));
    return this.push(
      message(13, Buffer.concat([vector8(Uint8Array.from(types)), vector16(u16(...schemes)), names])),
    );
  }

  done(): Buffer {
    return this.push(message(14, EMPTY));
  }

  /** ServerHello to ServerHelloDone in one record. */
  flight(options: Hello12Options = {}): Buffer {
    const messages = [this.serverHello(options), this.certificate(), this.keyExchange(), this.done()];
    return record(22, Buffer.concat(messages));
  }

  ticket(ticket: Uint8Array = Buffer.from('ticket'), lifetime = 7200): Buffer {
    const seconds = Buffer.alloc(4);
    seconds.writeUInt32BE(lifetime);
    return this.push(message(4, Buffer.concat([seconds, vector16(ticket)])));
  }

  finished(verifyData: Uint8Array = this.verifyData('server')): Buffer {
    this.useKeys();
    return this.push(message(20, verifyData));
  }

  /** Resumes the session of another connection: ServerHello, a ticket if given, ChangeCipherSpec and Finished. */
  resume(session: TestServer12, options: Hello12Options = {}, ticket?: Uint8Array): Buffer {
    this.master = session.master;
    const { sessionId } = this.hello;
    const edit: Hello12Options['edit'] = (list) =>
      ticket === undefined ? list : [...list, [35, EMPTY] as const];
    const messages = [this.serverHello({ suite: session.suite, sessionId, edit, ...options })];
    if (ticket !== undefined) messages.push(this.ticket(ticket));
    return Buffer.concat([record(22, Buffer.concat(messages)), this.secondFlight()]);
  }

  /** ChangeCipherSpec and Finished. */
  secondFlight(): Buffer {
    return Buffer.concat([CCS, this.seal(22, this.finished())]);
  }

  useKeys(): void {
    this.tx ??= this.#derive().server;
  }

  seal(type: number, content: Uint8Array, more: Parameters<typeof seal12>[4] = {}): Buffer {
    return seal12(this.suite, this.tx!, type, content, more);
  }

  verifyData(side: 'client' | 'server'): Buffer {
    return prf(FACTS[this.suite]![0], this.master, `${side} finished`, this.#hash(), 12);
  }

  /** Takes what the client sent. Throws when the client is wrong. */
  receive(bytes: Uint8Array): void {
    this.#input = Buffer.concat([this.#input, bytes]);
    while (this.#input.length >= 5) {
      const length = this.#input.readUInt16BE(3);
      if (this.#input.length < 5 + length) return;
      const type = this.#input[0]!;
      const body = this.#input.subarray(5, 5 + length);
      this.#input = this.#input.subarray(5 + length);
      if (type === 20) this.rx = this.#derive().client;
      else this.#content(type, this.rx === undefined ? body : this.#open(type, body, this.rx));
    }
  }

  #open(type: number, body: Buffer, keys: Keys): Uint8Array {
    const before = keys.iv.length === 4 ? 8 : 0;
    const sequence = Buffer.alloc(8);
    sequence.writeBigUInt64BE(keys.seq);
    const aad = Buffer.concat([sequence, Uint8Array.of(type), u16(0x0303, body.length - before - 16)]);
    const nonce = before > 0 ? Buffer.concat([keys.iv, body.subarray(0, before)]) : nonceOf(keys);
    const content = crypto.aeadOpen(FACTS[this.suite]![2], keys.key, nonce, aad, body.subarray(before));
    if (content === null) throw new Error('a record of the client does not decrypt');
    keys.seq++;
    return content;
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
    if (type === 1) this.hello = parseHello(whole);
    if (type === 15) this.#verifyClient(body);
    if (type === 20) {
      if (!this.verifyData('client').equals(body)) throw new Error("the client's Finished is wrong");
      this.clientFinished = true;
    }
    this.transcript.push(whole);
    if (type === 16) this.#agree(body.subarray(1));
  }

  /** RFC 5246 7.4.8: signed are the messages so far. */
  #verifyClient(body: Buffer): void {
    const scheme = body.readUInt16BE(0);
    const certificate = this.messages.find(({ type }) => type === 11)!.body.subarray(6);
    const key = createPublicKey({
      key: Buffer.from(
        `-----BEGIN CERTIFICATE-----\n${certificate.toString('base64')}\n-----END CERTIFICATE-----`,
      ),
    });
    if (scheme !== 0x0403) throw new Error(`scheme ${scheme}`);
    if (!verify('sha256', Buffer.concat(this.transcript), key, body.subarray(4))) {
      throw new Error("the client's CertificateVerify is wrong");
    }
  }

  #share(group: number): Uint8Array {
    if (![X25519, 0x17, 0x18].includes(group)) return Buffer.alloc(32, 9);
    this.group = group;
    this.#ephemeral = new Ephemeral(group);
    return this.#ephemeral.publicKey;
  }

  #agree(share: Buffer): void {
    const premaster = this.#ephemeral.combine(share);
    const [label, seed] = this.ems
      ? (['extended master secret', this.#hash()] as const)
      : (['master secret', this.randoms] as const);
    this.master = prf(FACTS[this.suite]![0], premaster, label, seed, 48);
  }

  #derive(): { client: Keys; server: Keys } {
    this.#keys ??= keyBlock(this.suite, this.master, this.hello.random, this.random);
    return this.#keys;
  }

  #hash(): Buffer {
    return createHash(FACTS[this.suite]![0]).update(Buffer.concat(this.transcript)).digest();
  }
}
