/** What a driver written in TypeScript is shown of sessions and ops, and its ways to answer. */
import type { NativeTaken, NativeTakenOp } from '../native.ts';
import { ALGORITHM_IDS, ALGORITHMS } from './crypto-names.ts';
import type { DriverOp, DriverSession, Offer, OfferName } from './js-driver.ts';
import type { CipherName, MacName } from './params.ts';

export const OK = 0;
export const BAD_TAG = -74;
export const CANCELED = -125;
/** ocf::Kind. */
const NAMES = [
  'seal',
  'open',
  'encrypt',
  'decrypt',
  'mac',
  'null',
  'sign',
  'verify',
  'derive',
  'modexp',
  'modexp-crt',
] as const;

const NAME_OF = new Map([...ALGORITHM_IDS].map(([name, id]) => [id, name]));
/** The name of an algorithm that a session has. */
export const algorithmName = (id: number): OfferName => NAME_OF.get(id) as OfferName;
const idOf = (name: OfferName): number => ALGORITHM_IDS.get(name)!;
/** AlgId of the algorithm, and of the MAC or of none. */
export const idsOf = (offer: Offer): readonly [number, number] =>
  typeof offer === 'string' ? [idOf(offer), ALGORITHMS.null.id] : [idOf(offer[0]), idOf(offer[1])];

/** A session as a driver is told of it. */
export function sessionOf(chain: NativeTaken['opened'][number]['chain']): DriverSession {
  const [first, second] = chain;
  const { id, key, tagLength } = first!;
  const algorithm = algorithmName(id);
  if (second === undefined) return { algorithm, key, tagLength };
  return {
    algorithm: algorithm as CipherName,
    mac: algorithmName(second.id) as MacName,
    key,
    macKey: second.key,
    tagLength: second.tagLength,
  };
}

/** An op as a driver sees it. `answer` says whether somebody still waited for it. */
export function driverOp<S>(
  op: NativeTakenOp,
  session: S,
  answer: (status: number, results: readonly Uint8Array[]) => boolean,
): DriverOp<S> {
  const done = (...results: readonly Uint8Array[]) => answer(OK, results);
  const badTag = () => answer(BAD_TAG, []);
  const elsewhere = () => answer(CANCELED, []);
  const kind = NAMES[op.kind]!;
  const base = { session, elsewhere };
  if ('inputs' in op) {
    const { scheme, inputs } = op;
    return { ...base, kind, scheme, inputs, done, badTag } as DriverOp<S>;
  }
  const { input, length, iv, aad } = op;
  switch (kind) {
    case 'seal':
      return { ...base, kind, iv, aad, plaintext: input, done };
    case 'open':
      // Of a MAC alone nothing is written.
      if (op.resultLength === 0 && op.isMac) {
        const data = input.subarray(0, length);
        const tag = input.subarray(length);
        return { ...base, kind: 'check-mac', aad, data, tag, done: () => answer(OK, []), badTag };
      }
      return { ...base, kind, iv, aad, sealed: input, done, badTag };
    case 'encrypt':
    case 'decrypt':
      return { ...base, kind, iv, data: input, done };
    case 'mac':
      return { ...base, kind, aad, data: input, done };
    default:
      return { ...base, kind: 'null', data: input, done };
  }
}

/** The same op, with `then` called after each answer. */
export function watched<S>(op: DriverOp<S>, then: () => void): DriverOp<S> {
  const wrap =
    (answer: (...results: Uint8Array[]) => boolean) =>
    (...results: Uint8Array[]): boolean => {
      const taken = answer(...results);
      then();
      return taken;
    };
  const copy = { ...op, elsewhere: wrap(op.elsewhere), done: wrap(op.done as () => boolean) };
  return 'badTag' in copy ? { ...copy, badTag: wrap(copy.badTag) } : copy;
}
