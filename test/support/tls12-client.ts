/**
 * A TLS 1.2 client for tests, made of node:crypto and RFC 5246, 5288, 7627, 7905 and 8422 and of nothing from src/: it
 * says what it is told to, right or wrong, and checks what the server says.
 */
import { createHash, createHmac, createPublicKey, randomBytes, verify } from 'node:crypto';
import { Ephemeral, nodeCryptoProvider, P256, X25519 } from './node-crypto-provider.ts';
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

export interface Hello12 {
  readonly legacyVersion?: number;
  readonly sessionId?: Uint8Array;
  readonly suites?: readonly number[];
  readonly groups?: readonly number[];
  readonly schemes?: readonly number[];
  readonly serverName?: string;
  readonly alpn?: readonly string[];
  readonly compression?: readonly number[];
  /** extended_master_secret; default true. */
  readonly ems?: boolean;
  /** session_ticket; absent unless given. */
  readonly ticket?: Uint8Array;
  /** Changes the list of extensions at will. */
  readonly edit?: (extensions: Extension[]) => Extension[];
}

/** Of a suite: hash, key length, and the suite of TLS 1.3 with its AEAD. */
export const FACTS: Readonly<Record<number, readonly ['sha256' | 'sha384', number, number]>> = {
  49195: ['sha256', 16, 0x1301],
  49196: ['sha384', 32, 0x1302],
  49199: ['sha256', 16, 0x1301],
  49200: ['sha384', 32, 0x1302],
  52392: ['sha256', 32, 0x1303],
  52393: ['sha256', 32, 0x1303],
};

/** RFC 5246 5, written down once more. */
export function prf(
  hash: string,
  secret: Uint8Array,
  label: string,
  seed: Uint8Array,
  length: number,
): Buffer {
  const labelled = Buffer.concat([Buffer.from(label), seed]);
  const blocks: Buffer[] = [];
  let a: Uint8Array = labelled;
  for (let made = 0; made < length; made += blocks.at(-1)!.length) {
    a = createHmac(hash, secret).update(a).digest();
    blocks.push(createHmac(hash, secret).update(a).update(labelled).digest());
  }
  return Buffer.concat(blocks).subarray(0, length);
}

/** The keys of both sides (RFC 5246 6.3). */
export function keyBlock(
  suite: number,
  master: Uint8Array,
  clientRandom: Uint8Array,
  serverRandom: Uint8Array,
): { client: Keys; server: Keys } {
  const [hash, keyLength] = FACTS[suite]!;
  const ivLength = suite >> 8 === 0xcc ? 12 : 4;
  const seed = Buffer.concat([serverRandom, clientRandom]);
  const block = prf(hash, master, 'key expansion', seed, 2 * (keyLength + ivLength));
  const keys = (index: number): Keys => ({
    key: block.subarray(index * keyLength, (index + 1) * keyLength),
    iv: block.subarray(2 * keyLength + index * ivLength, 2 * keyLength + (index + 1) * ivLength),
    seq: 0n,
  });
  return { client: keys(0), server: keys(1) };
}

/** A protected record of TLS 1.2, its explicit nonce (of AES-GCM) the sequence number unless given. */
export function seal12(
  suite: number,
  keys: Keys,
  type: number,
  content: Uint8Array,
  more: { readonly version?: number; readonly explicit?: Uint8Array; readonly sequence?: bigint } = {},
): Buffer {
  const [, , aead] = FACTS[suite]!;
  const sequence = Buffer.alloc(8);
  sequence.writeBigUInt64BE(more.sequence ?? keys.seq);
  const version = more.version ?? 0x0303;
  const aad = Buffer.concat([sequence, Uint8Array.of(type), u16(version, content.length)]);
  const isGcm = keys.iv.length === 4;
  const explicit = more.explicit ?? sequence;
  const nonce = isGcm ? Buffer.concat([keys.iv, explicit]) : nonceOf(keys);
  keys.seq++;
  const sealed = crypto.aeadSeal(aead, keys.key, nonce, aad, content);
  return record(type, Buffer.concat([isGcm ? explicit : Buffer.alloc(0), sealed]), version);
}

export class TestClient12 {
  readonly random = randomBytes(32);
  readonly messages: { type: number; body: Buffer }[] = [];
  readonly alerts: number[] = [];
  readonly applicationData: Buffer[] = [];
  /** Types of the records that came, in order. */
  readonly records: number[] = [];
  /** Explicit nonces of the server's records, in order. */
  readonly explicitNonces: Buffer[] = [];
  readonly extensions = new Map<number, Buffer>();
  suite = 0;
  serverRandom: Buffer = Buffer.alloc(0);
  sessionId: Buffer = Buffer.alloc(0);
  group = 0;
  master: Buffer = Buffer.alloc(0);
  ticket: Buffer | undefined;
  tx: Keys | undefined;
  rx: Keys | undefined;
  transcript: Buffer[] = [];
  serverFinished = false;
  readonly #options: Hello12;
  #peerPublic: Buffer = Buffer.alloc(0);
  #pending: { client: Keys; server: Keys } | undefined;
  #joined: Buffer = Buffer.alloc(0);
  #input: Buffer = Buffer.alloc(0);

  constructor(options: Hello12 = {}) {
    this.#options = options;
  }

  get hash(): 'sha256' | 'sha384' {
    return FACTS[this.suite]![0];
  }

  get randoms(): Buffer {
    return Buffer.concat([this.random, this.serverRandom]);
  }

  hello(more: Hello12 = {}): Buffer {
    const options = { ...this.#options, ...more };
    let extensions: Extension[] = [
      [10, vector16(u16(...(options.groups ?? [X25519, P256])))],
      [11, vector8(Uint8Array.of(0))],
      [13, vector16(u16(...(options.schemes ?? [0x0403, 0x0804, 0x0401])))],
      [0xff01, Buffer.of(0)],
    ];
    if (options.ems !== false) extensions.push([23, Buffer.alloc(0)]);
    if (options.ticket !== undefined) extensions.push([35, Buffer.from(options.ticket)]);
    if (options.serverName !== undefined) {
      const name = Buffer.concat([Uint8Array.of(0), vector16(Buffer.from(options.serverName))]);
      extensions.push([0, vector16(name)]);
    }
    if (options.alpn !== undefined) {
      extensions.push([16, vector16(...options.alpn.map((name) => vector8(Buffer.from(name, 'latin1'))))]);
    }
    if (options.edit !== undefined) extensions = options.edit(extensions);
    const hello = message(
      1,
      Buffer.concat([
        u16(options.legacyVersion ?? 0x0303),
        this.random,
        vector8(options.sessionId ?? Buffer.alloc(0)),
        vector16(u16(...(options.suites ?? Object.keys(FACTS).map(Number)))),
        vector8(Uint8Array.from(options.compression ?? [0])),
        vector16(...extensions.map(([type, body]) => Buffer.concat([u16(type), vector16(body)]))),
      ]),
    );
    this.transcript = [hello];
    return hello;
  }

  helloRecord(more: Hello12 = {}): Buffer {
    return record(22, this.hello(more), 0x0301);
  }

  /** Takes what the server sent. Throws when the server is wrong. */
  receive(bytes: Uint8Array): void {
    this.#input = Buffer.concat([this.#input, bytes]);
    while (this.#input.length >= 5) {
      const length = this.#input.readUInt16BE(3);
      if (this.#input.length < 5 + length) return;
      const type = this.#input[0]!;
      const version = this.#input.readUInt16BE(1);
      if (version !== 0x0303) throw new Error(`a record of version ${version}`);
      const body = this.#input.subarray(5, 5 + length);
      this.#input = this.#input.subarray(5 + length);
      this.records.push(type);
      if (type === 20) {
        if (this.rx !== undefined || body.length !== 1 || body[0] !== 1) throw new Error('a bad CCS');
        this.rx = this.#keys().server;
      } else {
        this.#content(type, this.rx === undefined ? body : this.#open(type, body, this.rx));
      }
    }
  }

  /** Resumes the session of another connection: the hello has its ticket, or its id. */
  resume(session: TestClient12, by: 'ticket' | 'id', more: Hello12 = {}): Buffer {
    this.master = session.master;
    const offer =
      by === 'id'
        ? { sessionId: session.sessionId }
        : { ticket: session.ticket!, sessionId: Buffer.alloc(32, 0x1d) };
    return this.helloRecord({ ...offer, ...more });
  }

  /** ChangeCipherSpec and Finished, which is all that is left to say in a resumed handshake. */
  resumedFlight(): Buffer {
    return Buffer.concat([CCS, this.seal(22, this.finished())]);
  }

  /** RFC 5705 4. */
  exported(label: string, context: Uint8Array | undefined, length: number): Buffer {
    const seed = context === undefined ? this.randoms : Buffer.concat([this.randoms, vector16(context)]);
    return prf(this.hash, this.master, label, seed, length);
  }

  /** A ClientKeyExchange for the group of the server; makes the keys. `point`: sent in place of our share. */
  keyExchange(point?: Uint8Array): Buffer {
    const ephemeral = new Ephemeral(this.group);
    const premaster = ephemeral.combine(this.#peerPublic);
    const whole = message(16, vector8(point ?? ephemeral.publicKey));
    this.transcript.push(whole);
    const isExtended = this.extensions.has(23);
    const seed = isExtended ? this.transcriptHash() : this.randoms;
    const label = isExtended ? 'extended master secret' : 'master secret';
    this.master = prf(this.hash, premaster, label, seed, 48);
    return whole;
  }

  /** The client's Finished; from here on this client seals. */
  finished(): Buffer {
    this.tx ??= this.#keys().client;
    const whole = message(20, this.verifyData('client'));
    this.transcript.push(whole);
    return whole;
  }

  verifyData(side: 'client' | 'server'): Buffer {
    return prf(this.hash, this.master, `${side} finished`, this.transcriptHash(), 12);
  }

  /** ClientKeyExchange, ChangeCipherSpec and Finished, as records. */
  secondFlight(): Buffer {
    const keyExchange = record(22, this.keyExchange());
    return Buffer.concat([keyExchange, CCS, this.seal(22, this.finished())]);
  }

  /** A protected record under the client's keys. */
  seal(type: number, content: Uint8Array, more: Parameters<typeof seal12>[4] = {}): Buffer {
    return seal12(this.suite, this.tx!, type, content, more);
  }

  /** Begins to protect what is sent. */
  useKeys(): Keys {
    this.tx ??= this.#keys().client;
    return this.tx;
  }

  /** The signature of the server's key exchange fits `publicKey`, ECDSA with SHA-256. */
  verifySignature(publicKey: string): boolean {
    const body = this.messages.find(({ type }) => type === 12)!.body;
    const params = body.subarray(0, 4 + body[3]!);
    const signature = body.subarray(params.length + 4);
    return verify('sha256', Buffer.concat([this.randoms, params]), createPublicKey(publicKey), signature);
  }

  transcriptHash(): Buffer {
    return createHash(this.hash).update(Buffer.concat(this.transcript)).digest();
  }

  #keys(): { client: Keys; server: Keys } {
    if (this.#pending !== undefined) return this.#pending;
    this.#pending = keyBlock(this.suite, this.master, this.random, this.serverRandom);
    return this.#pending;
  }

  #open(type: number, body: Buffer, keys: Keys): Uint8Array {
    const [, , aead] = FACTS[this.suite]!;
    const before = keys.iv.length === 4 ? 8 : 0;
    const sequence = Buffer.alloc(8);
    sequence.writeBigUInt64BE(keys.seq);
    const aad = Buffer.concat([sequence, Uint8Array.of(type), u16(0x0303, body.length - before - 16)]);
    const explicit = body.subarray(0, before);
    if (before > 0) this.explicitNonces.push(explicit);
    const nonce = before > 0 ? Buffer.concat([keys.iv, explicit]) : nonceOf(keys);
    const content = crypto.aeadOpen(aead, keys.key, nonce, aad, body.subarray(before));
    if (content === null) throw new Error('a record of the server does not decrypt');
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
    if (type === 20) {
      if (this.rx === undefined) throw new Error('a Finished that is not protected');
      if (!this.verifyData('server').equals(body)) throw new Error("the server's Finished is wrong");
      this.serverFinished = true;
    }
    this.transcript.push(whole);
    if (type === 2) this.#serverHello(body);
    if (type === 4 && body.length > 6) this.ticket = body.subarray(6);
    if (type === 12) {
      this.group = body.readUInt16BE(1);
      this.#peerPublic = body.subarray(4, 4 + body[3]!);
    }
  }

  #serverHello(body: Buffer): void {
    this.serverRandom = body.subarray(2, 34);
    const sessionLength = body[34]!;
    this.sessionId = body.subarray(35, 35 + sessionLength);
    this.suite = body.readUInt16BE(35 + sessionLength);
    for (let at = 40 + sessionLength; at < body.length; ) {
      const length = body.readUInt16BE(at + 2);
      this.extensions.set(body.readUInt16BE(at), body.subarray(at + 4, at + 4 + length));
      at += 4 + length;
    }
  }
}

export const CCS = record(20, Uint8Array.of(1));
