/**
 * Known answers for drivers written in TypeScript, which the framework itself cannot wait for: they answer when the event
 * loop goes on. The answers are the framework's own (native/ocf/known_answers.cc, key_known_answers.cc).
 */
import { SocryptError } from '../errors.ts';
import { type NativeKnownAnswers, type NativeTakenOp, native } from '../native.ts';
import { ALGORITHMS, KEY_ALGORITHMS } from './crypto-names.ts';
import { BAD_TAG, driverOp, idsOf, OK, sessionOf } from './driver-op.ts';
import type { DriverCost, DriverSession, JsDriver, Offer } from './js-driver.ts';

const SEAL = 0;
const OPEN = 1;
const CIPHER = 2;
const DECIPHER = 3;
const MAC = 4;
const NOTHING = new Uint8Array(0);
const SHORT = 64;
const LONG = 4096;
const BURST = 16;
/** No result of a key operation's known answers is longer. */
const ROOM = 256;

type Answer = { readonly status: number; readonly results: readonly Uint8Array[] };
type Ask =
  | Omit<Extract<NativeTakenOp, { input: unknown }>, 'token' | 'session'>
  | Omit<Extract<NativeTakenOp, { inputs: unknown }>, 'token' | 'session'>;

const same = (a: Uint8Array | undefined, b: Uint8Array): boolean =>
  a !== undefined && a.length === b.length && Buffer.compare(a, b) === 0;
const nameOf = (offer: Offer): string => (typeof offer === 'string' ? offer : offer.join(' and '));

class Examination<S> {
  readonly #driver: JsDriver<S>;
  readonly #offer: Offer;
  readonly #withinMs: number;

  constructor(driver: JsDriver<S>, offer: Offer, withinMs: number) {
    this.#driver = driver;
    this.#offer = offer;
    this.#withinMs = withinMs;
  }

  get maxLength(): number {
    return this.#driver.maxLength ?? Number.POSITIVE_INFINITY;
  }

  open(session: DriverSession): S {
    try {
      return this.#driver.open(session);
    } catch (error) {
      throw this.wrong('it would open no session', error);
    }
  }
  close(session: S): void {
    try {
      this.#driver.close?.(session);
    } catch (error) {
      throw this.wrong('it would not close a session', error);
    }
  }

  /** One burst of the same op. */
  ask(session: S, ask: Ask, count = 1): Promise<Answer[]> {
    return new Promise((resolve, reject) => {
      const answers: Answer[] = [];
      const timer = setTimeout(
        () => reject(this.wrong(`it did not answer within ${this.#withinMs} ms`)),
        this.#withinMs,
      );
      const fail = (error: unknown) => {
        clearTimeout(timer);
        reject(this.wrong('it threw', error));
      };
      const ops = Array.from({ length: count }, (_, i) =>
        driverOp({ ...ask, token: i, session: 0 } as NativeTakenOp, session, (status, results) => {
          if (answers[i] !== undefined) {
            fail(new Error('it answered an op twice'));
            return false;
          }
          answers[i] = { status, results: results.map((result) => Uint8Array.from(result)) };
          if (Object.keys(answers).length === count) {
            clearTimeout(timer);
            // After whatever it still has to say.
            setImmediate(() => resolve(answers));
          }
          return true;
        }),
      );
      try {
        const ended = this.#driver.process(ops);
        if (ended instanceof Promise) ended.catch(fail);
      } catch (error) {
        fail(error);
      }
    });
  }

  wrong(what: string, cause?: unknown): SocryptError {
    return new SocryptError(
      'ERR_SOCRYPT_OCF_WRONG_ANSWER',
      `attach: expected ${JSON.stringify(this.#driver.name)} to give the known answers of ${nameOf(this.#offer)}, but ${what}`,
      { cause },
    );
  }
}

/** Resolves to what it costs. */
export async function examine<S>(
  known: NativeKnownAnswers,
  driver: JsDriver<S>,
  offer: Offer,
  withinMs: number,
): Promise<DriverCost> {
  const [alg, mac] = idsOf(offer);
  const examination = new Examination(driver, offer, withinMs);
  const symmetric = known.symmetric.filter((one) => one.alg === alg && one.mac === mac);
  const keys = mac === ALGORITHMS.null.id ? known.keys.filter((one) => one.alg === alg) : [];
  if (symmetric.length + keys.length === 0) {
    throw new SocryptError(
      'ERR_SOCRYPT_OCF_UNTESTED',
      `attach: expected an algorithm whose answers are known, received ${nameOf(offer)}; nobody can say whether a driver does it right`,
    );
  }
  let cost: DriverCost | undefined;
  for (const one of symmetric) cost = await examineData(examination, one);
  for (const one of keys) {
    const took = await examineKey(examination, one);
    cost ??= { batchNs: 0, opNs: took, byteNs: 0 };
  }
  return cost!;
}

async function examineData<S>(
  examination: Examination<S>,
  one: NativeKnownAnswers['symmetric'][number],
): Promise<DriverCost> {
  const { kind, iv, aad, plaintext, ciphertext, tag, longTag, longLength } = one;
  const part = (id: number, key: Uint8Array) => ({ id, tagLength: tag.length, key: Uint8Array.from(key) });
  const chain = [part(one.alg, one.key)];
  if (one.mac !== ALGORITHMS.null.id) chain.push(part(one.mac, one.macKey));
  const session = examination.open(sessionOf(chain));
  const isMac = kind === MAC;
  const op = (of: number, input: Uint8Array, length: number, resultLength: number): Ask => ({
    kind: of,
    iv: Uint8Array.from(iv),
    aad: Uint8Array.from(aad),
    input: Uint8Array.from(input),
    length,
    resultLength,
    isMac,
  });
  const forth = async (data: Uint8Array, resultLength: number): Promise<Uint8Array> => {
    const [answer] = await examination.ask(session, op(kind, data, data.length, resultLength));
    if (answer?.status === OK && answer.results[0]?.length === resultLength) return answer.results[0];
    throw examination.wrong('its result is another one');
  };
  const back = async (from: Uint8Array, data: Uint8Array): Promise<void> => {
    if (kind !== SEAL && kind !== CIPHER) return;
    const reverse = kind === SEAL ? OPEN : DECIPHER;
    const [answer] = await examination.ask(session, op(reverse, from, data.length, data.length));
    if (answer?.status !== OK || !same(answer.results[0], data))
      throw examination.wrong('the way back leads elsewhere');
  };
  const sealed = isMac ? tag : Buffer.concat([ciphertext, tag]);
  if (!same(await forth(plaintext, sealed.length), sealed))
    throw examination.wrong('its result is another one');
  await back(sealed, plaintext);
  // Long inputs take other code than short ones in every fast library.
  if (longTag.length > 0 && longLength <= examination.maxLength) {
    const data = Uint8Array.from({ length: longLength }, (_, i) => i * 7 + 3);
    const result = await forth(data, isMac ? tag.length : longLength + tag.length);
    if (!same(result.subarray(result.length - longTag.length), longTag))
      throw examination.wrong('its result for a long input is another one');
    await back(result, data);
  }
  if (tag.length > 0) {
    const whole = isMac ? Buffer.concat([plaintext, tag]) : sealed;
    const bad = Uint8Array.from(whole);
    bad[bad.length - 1]! ^= 1;
    const [answer] = await examination.ask(
      session,
      op(OPEN, bad, plaintext.length, isMac ? 0 : plaintext.length),
    );
    if (answer?.status !== BAD_TAG) throw examination.wrong('it took a wrong tag for the right one');
    if (isMac) {
      const [good] = await examination.ask(session, op(OPEN, whole, plaintext.length, 0));
      if (good?.status !== OK) throw examination.wrong('it took the right tag for a wrong one');
    }
  }
  const time = async (length: number, count: number): Promise<number> => {
    const result = isMac ? tag.length : length + tag.length;
    const start = performance.now();
    await examination.ask(session, op(kind, new Uint8Array(length), length, result), count);
    return (performance.now() - start) * 1e6;
  };
  const single = await time(SHORT, 1);
  const many = await time(SHORT, BURST);
  const long = await time(LONG, BURST);
  examination.close(session);
  const opNs = Math.max(1, (many - single) / (BURST - 1));
  const byteNs = Math.max(0, (long - many) / BURST / (LONG - SHORT));
  return { batchNs: Math.max(0, single - opNs), opNs, byteNs };
}

/** Nanoseconds of one op. */
async function examineKey<S>(
  examination: Examination<S>,
  one: NativeKnownAnswers['keys'][number],
): Promise<number> {
  const { alg, kind, scheme, inputs, outputs, status, verifyKey } = one;
  const session = examination.open(sessionOf([{ id: alg, tagLength: 0, key: Uint8Array.from(one.key) }]));
  const ask: Ask = {
    kind,
    scheme,
    inputs: inputs.map((input) => Uint8Array.from(input)),
    rooms: outputs.map(() => ROOM),
  };
  const start = performance.now();
  const [answer] = await examination.ask(session, ask);
  const took = (performance.now() - start) * 1e6;
  examination.close(session);
  if (answer?.status !== status)
    throw examination.wrong(`it ended with status ${answer?.status}, not ${status}`);
  if (status !== OK || outputs.length === 0) return took;
  const [first, second] = answer.results;
  const verified = (): boolean => {
    if (alg === KEY_ALGORITHMS.dsa) return first !== undefined && second !== undefined;
    return native.crypto.verify(scheme, verifyKey, inputs[0]!, first ?? NOTHING) === true;
  };
  if (verifyKey.length > 0 ? !verified() : !same(first, outputs[0]!))
    throw examination.wrong('its result is another one');
  return took;
}
