/**
 * Sessions: what one can do with each kind of key. Every op ends once: as a promise, or by a callback where one is given.
 * Ops of one turn of the event loop go down together.
 */
import type { SocryptError } from '../errors.ts';
import { KEY_KINDS, KINDS, statusError } from './crypto-names.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { RowOp } from './rows.ts';

/** Of an op that failed there is no result. */
export type Callback<T> = (error: SocryptError | null, result: T | undefined) => void;

/** What a session needs of the framework. */
export interface SessionHost {
  readonly dispatcher: Dispatcher;
  close(session: number): void;
}

const NOTHING = new Uint8Array(0);

export abstract class Session {
  readonly #host: SessionHost;
  protected readonly number: number;

  constructor(host: SessionHost, number: number) {
    this.#host = host;
    this.number = number;
  }

  /** Ops that are under way end as they would have; later ones with ERR_SOCRYPT_OCF_CLOSED. Keys are wiped. Idempotent. */
  close(): void {
    this.#host.close(this.number);
  }
  [Symbol.dispose](): void {
    this.close();
  }

  protected run<T>(
    what: string,
    op: RowOp,
    result: (results: readonly Uint8Array[]) => T,
    done: Callback<T> | undefined,
  ): Promise<T> {
    if (done === undefined) {
      return new Promise((resolve, reject) => {
        this.#host.dispatcher.run(what, op, (error, results) => {
          if (error === null) resolve(result(results));
          else reject(error);
        });
      });
    }
    this.#host.dispatcher.run(what, op, (error, results) => {
      if (error === null) done(null, result(results));
      else done(error, undefined);
    });
    return CALLED_BACK;
  }

  /** What needs no driver to be told wrong; told later, as everything is. */
  protected refuse<T>(what: string, done: Callback<T> | undefined): Promise<T> {
    const error = statusError(what, BAD_TAG);
    if (done === undefined) return Promise.reject(error);
    queueMicrotask(() => done(error, undefined));
    return CALLED_BACK;
  }
}

const BAD_TAG = -74;

/** Who gave a callback gets nothing to await; the signatures say `void`. */
const CALLED_BACK = new Promise<never>(() => {});

const only = (results: readonly Uint8Array[]): Uint8Array => results[0]!;
const none = (): void => {};

export interface SealOp {
  readonly iv: Uint8Array;
  readonly aad?: Uint8Array;
  readonly plaintext: Uint8Array;
}
export interface OpenOp {
  readonly iv: Uint8Array;
  readonly aad?: Uint8Array;
  /** Ciphertext, and the tag behind it. */
  readonly sealed: Uint8Array;
}

/** An AEAD, or a cipher and a MAC. */
export class SealingSession extends Session {
  readonly #tag: number;
  readonly #inPlace: boolean;

  constructor(host: SessionHost, number: number, tag: number, inPlace: boolean) {
    super(host, number);
    this.#tag = tag;
    this.#inPlace = inPlace;
  }

  /** Ciphertext, and the tag behind it. */
  seal(op: SealOp): Promise<Uint8Array>;
  seal(op: SealOp, done: Callback<Uint8Array>): void;
  seal({ iv, aad = NOTHING, plaintext }: SealOp, done?: Callback<Uint8Array>): Promise<Uint8Array> {
    const { length } = plaintext;
    const resultLength = length + this.#tag;
    return this.run('seal', this.#op(KINDS.seal, iv, aad, plaintext, length, resultLength), only, done);
  }

  /** Plaintext. ERR_SOCRYPT_OCF_BAD_TAG: not what was sealed, or with another key, iv or aad. */
  open(op: OpenOp): Promise<Uint8Array>;
  open(op: OpenOp, done: Callback<Uint8Array>): void;
  open({ iv, aad = NOTHING, sealed }: OpenOp, done?: Callback<Uint8Array>): Promise<Uint8Array> {
    if (sealed.length < this.#tag) return this.refuse('open', done);
    const length = sealed.length - this.#tag;
    return this.run('open', this.#op(KINDS.open, iv, aad, sealed, length, length), only, done);
  }

  /** Results in the order of what was asked for, at most `inFlight` ops ahead of whoever reads them. */
  sealAll(ops: Ops<SealOp>, inFlight?: number): AsyncGenerator<Uint8Array, void, undefined> {
    return inOrder(ops, (op) => this.seal(op), inFlight);
  }
  openAll(ops: Ops<OpenOp>, inFlight?: number): AsyncGenerator<Uint8Array, void, undefined> {
    return inOrder(ops, (op) => this.open(op), inFlight);
  }

  #op(
    kind: number,
    iv: Uint8Array,
    aad: Uint8Array,
    input: Uint8Array,
    length: number,
    resultLength: number,
  ) {
    return { session: this.number, kind, iv, aad, input, length, resultLength, inPlace: this.#inPlace };
  }
}

export interface CipherOp {
  readonly iv: Uint8Array;
  readonly data: Uint8Array;
}

export class CipherSession extends Session {
  readonly #inPlace: boolean;
  constructor(host: SessionHost, number: number, inPlace: boolean) {
    super(host, number);
    this.#inPlace = inPlace;
  }

  encrypt(op: CipherOp): Promise<Uint8Array>;
  encrypt(op: CipherOp, done: Callback<Uint8Array>): void;
  encrypt(op: CipherOp, done?: Callback<Uint8Array>): Promise<Uint8Array> {
    return this.run('encrypt', this.#op(KINDS.cipher, op), only, done);
  }
  decrypt(op: CipherOp): Promise<Uint8Array>;
  decrypt(op: CipherOp, done: Callback<Uint8Array>): void;
  decrypt(op: CipherOp, done?: Callback<Uint8Array>): Promise<Uint8Array> {
    return this.run('decrypt', this.#op(KINDS.decipher, op), only, done);
  }

  #op(kind: number, { iv, data }: CipherOp) {
    const { length } = data;
    const inPlace = this.#inPlace;
    return {
      session: this.number,
      kind,
      iv,
      aad: NOTHING,
      input: data,
      length,
      resultLength: length,
      inPlace,
    };
  }
}

/** Of data a MAC or a hash, `resultLength` bytes. */
const digestOp = (session: number, data: Uint8Array, resultLength: number) => ({
  session,
  kind: KINDS.mac,
  iv: NOTHING,
  aad: NOTHING,
  input: data,
  length: data.length,
  resultLength,
  inPlace: false,
});

export class MacSession extends Session {
  readonly #tag: number;
  constructor(host: SessionHost, number: number, tag: number) {
    super(host, number);
    this.#tag = tag;
  }

  compute(data: Uint8Array): Promise<Uint8Array>;
  compute(data: Uint8Array, done: Callback<Uint8Array>): void;
  compute(data: Uint8Array, done?: Callback<Uint8Array>): Promise<Uint8Array> {
    return this.run('compute', digestOp(this.number, data, this.#tag), only, done);
  }

  /** ERR_SOCRYPT_OCF_BAD_TAG: `tag` is not that of `data`. */
  verify(data: Uint8Array, tag: Uint8Array): Promise<void>;
  verify(data: Uint8Array, tag: Uint8Array, done: Callback<void>): void;
  verify(data: Uint8Array, tag: Uint8Array, done?: Callback<void>): Promise<void> {
    if (tag.length !== this.#tag) return this.refuse('verify', done);
    const input = new Uint8Array(data.length + tag.length);
    input.set(data);
    input.set(tag, data.length);
    const op = { session: this.number, kind: KINDS.open, iv: NOTHING, aad: NOTHING, input };
    return this.run('verify', { ...op, length: data.length, resultLength: 0, inPlace: false }, none, done);
  }
}

export class HashSession extends Session {
  readonly #bytes: number;
  constructor(host: SessionHost, number: number, bytes: number) {
    super(host, number);
    this.#bytes = bytes;
  }

  digest(data: Uint8Array): Promise<Uint8Array>;
  digest(data: Uint8Array, done: Callback<Uint8Array>): void;
  digest(data: Uint8Array, done?: Callback<Uint8Array>): Promise<Uint8Array> {
    return this.run('digest', digestOp(this.number, data, this.#bytes), only, done);
  }
}

export class NullSession extends Session {
  readonly #inPlace: boolean;
  constructor(host: SessionHost, number: number, inPlace: boolean) {
    super(host, number);
    this.#inPlace = inPlace;
  }
  pass(data: Uint8Array): Promise<Uint8Array>;
  pass(data: Uint8Array, done: Callback<Uint8Array>): void;
  pass(data: Uint8Array, done?: Callback<Uint8Array>): Promise<Uint8Array> {
    const { length } = data;
    const op = { session: this.number, kind: KINDS.null, iv: NOTHING, aad: NOTHING, input: data, length };
    return this.run('pass', { ...op, resultLength: length, inPlace: this.#inPlace }, only, done);
  }
}

/** RSA-16384 has signatures of 2,048 bytes, which is as much as libcrypto does. */
const SIGNATURE_ROOM = 2048;

export class SigningSession extends Session {
  /** `scheme`: a TLS SignatureScheme (RFC 8446 4.2.3). ERR_SOCRYPT_OCF_ALGORITHM: not one of this key. */
  sign(scheme: number, message: Uint8Array): Promise<Uint8Array>;
  sign(scheme: number, message: Uint8Array, done: Callback<Uint8Array>): void;
  sign(scheme: number, message: Uint8Array, done?: Callback<Uint8Array>): Promise<Uint8Array> {
    const op = {
      session: this.number,
      kind: KEY_KINDS.sign,
      scheme,
      inputs: [message],
      rooms: [SIGNATURE_ROOM],
    };
    return this.run('sign', op, only, done);
  }
}

export class VerifyingSession extends Session {
  /** ERR_SOCRYPT_OCF_BAD_TAG: `signature` is not that of `message`. */
  verify(scheme: number, message: Uint8Array, signature: Uint8Array): Promise<void>;
  verify(scheme: number, message: Uint8Array, signature: Uint8Array, done: Callback<void>): void;
  verify(scheme: number, message: Uint8Array, signature: Uint8Array, done?: Callback<void>): Promise<void> {
    const op = {
      session: this.number,
      kind: KEY_KINDS.verify,
      scheme,
      inputs: [message, signature],
      rooms: [],
    };
    return this.run('verify', op, none, done);
  }
}

const SECRET_ROOM = 48;
const POINT_ROOM = 97;

/** With a key of ours. */
export class AgreementSession extends Session {
  /** ERR_SOCRYPT_OCF_BAD_TAG: the peer's public value is none. */
  derive(peer: Uint8Array): Promise<Uint8Array>;
  derive(peer: Uint8Array, done: Callback<Uint8Array>): void;
  derive(peer: Uint8Array, done?: Callback<Uint8Array>): Promise<Uint8Array> {
    const op = {
      session: this.number,
      kind: KEY_KINDS.derive,
      scheme: 0,
      inputs: [peer],
      rooms: [SECRET_ROOM],
    };
    return this.run('derive', op, only, done);
  }
}

export interface Agreed {
  readonly secret: Uint8Array;
  readonly publicKey: Uint8Array;
}
/** With a new key of ours each time. */
export class EphemeralSession extends Session {
  derive(peer: Uint8Array): Promise<Agreed>;
  derive(peer: Uint8Array, done: Callback<Agreed>): void;
  derive(peer: Uint8Array, done?: Callback<Agreed>): Promise<Agreed> {
    const rooms = [SECRET_ROOM, POINT_ROOM];
    const op = { session: this.number, kind: KEY_KINDS.derive, scheme: 0, inputs: [peer], rooms };
    return this.run(
      'derive',
      op,
      ([secret, publicKey]) => ({ secret: secret!, publicKey: publicKey! }),
      done,
    );
  }
}

export interface ModExp {
  readonly base: Uint8Array;
  readonly exponent: Uint8Array;
  /** Odd. */
  readonly modulus: Uint8Array;
}
export interface ModExpCrt {
  readonly base: Uint8Array;
  readonly p: Uint8Array;
  readonly q: Uint8Array;
  readonly dp: Uint8Array;
  readonly dq: Uint8Array;
  readonly qInverse: Uint8Array;
}
export interface DiffieHellman {
  readonly privateKey: Uint8Array;
  readonly peer: Uint8Array;
  readonly prime: Uint8Array;
}

/** Big integers are big-endian; results have the length of the modulus, leading zeros included. */
export class ModExpSession extends Session {
  modExp(op: ModExp): Promise<Uint8Array>;
  modExp(op: ModExp, done: Callback<Uint8Array>): void;
  modExp({ base, exponent, modulus }: ModExp, done?: Callback<Uint8Array>): Promise<Uint8Array> {
    const inputs = [base, exponent, modulus];
    const op = { session: this.number, kind: KEY_KINDS.modexp, scheme: 0, inputs, rooms: [modulus.length] };
    return this.run('modExp', op, only, done);
  }
}
export class ModExpCrtSession extends Session {
  modExp(op: ModExpCrt): Promise<Uint8Array>;
  modExp(op: ModExpCrt, done: Callback<Uint8Array>): void;
  modExp({ base, p, q, dp, dq, qInverse }: ModExpCrt, done?: Callback<Uint8Array>): Promise<Uint8Array> {
    const inputs = [base, p, q, dp, dq, qInverse];
    const rooms = [p.length + q.length];
    const op = { session: this.number, kind: KEY_KINDS['modexp-crt'], scheme: 0, inputs, rooms };
    return this.run('modExp', op, only, done);
  }
}
export class DiffieHellmanSession extends Session {
  derive(op: DiffieHellman): Promise<Uint8Array>;
  derive(op: DiffieHellman, done: Callback<Uint8Array>): void;
  derive({ privateKey, peer, prime }: DiffieHellman, done?: Callback<Uint8Array>): Promise<Uint8Array> {
    const inputs = [privateKey, peer, prime];
    const op = { session: this.number, kind: KEY_KINDS.derive, scheme: 0, inputs, rooms: [prime.length] };
    return this.run('derive', op, only, done);
  }
}

export type Ops<T> = Iterable<T> | AsyncIterable<T>;
const IN_FLIGHT = 32;

async function* inOrder<Op, Result>(
  ops: Ops<Op>,
  run: (op: Op) => Promise<Result>,
  inFlight = IN_FLIGHT,
): AsyncGenerator<Result, void, undefined> {
  const begun: Promise<Result>[] = [];
  for await (const op of ops) {
    const result = run(op);
    // Looked at in its turn; a failure before that is no unhandled one.
    result.catch(() => {});
    begun.push(result);
    if (begun.length >= inFlight) yield await begun.shift()!;
  }
  for (const result of begun) yield await result;
}
