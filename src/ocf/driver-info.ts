/** What is told of a driver. */
import type { NativeDriverInfo } from '../native.ts';
import { ALGORITHMS, type ExperimentalAlgorithm } from './crypto-names.ts';
import { algorithmName } from './driver-op.ts';
import type { OfferName } from './js-driver.ts';
import type { DriverId } from './params.ts';

export interface OfferInfo {
  readonly algorithm: OfferName | ExperimentalAlgorithm;
  /** Of a cipher that is offered with one. */
  readonly mac: OfferName | null;
  readonly withdrawn: boolean;
  readonly cost: {
    readonly batchNs: number;
    readonly opNs: number;
    readonly byteNs: number;
    readonly lanes: number;
  };
  /** What measurement since made of it, as a factor. */
  readonly learned: number;
  readonly ops: number;
  readonly bytes: number;
  readonly failed: number;
  readonly sessions: number;
}
/** Its counters, and what is said of it here in other words than in native code. */
export interface DriverInfo
  extends Omit<
    NativeDriverInfo,
    'id' | 'flags' | 'state' | 'maxLength' | 'queueDepth' | 'maxSessions' | 'offers'
  > {
  /** 0: drivers of this name that are gone, all together. */
  readonly id: DriverId;
  readonly kind: 'hardware' | 'accelerator' | 'software';
  /** Ops are done within the call that hands them down. */
  readonly synchronous: boolean;
  /** It has a source of random numbers. */
  readonly random: boolean;
  readonly state: 'running' | 'draining' | 'quarantined';
  /** Bytes per op; null: any. */
  readonly maxLength: number | null;
  /** Ops that it holds; null: it has no queue. */
  readonly queueDepth: number | null;
  readonly maxSessions: number | null;
  readonly offers: readonly OfferInfo[];
}

const STATES = ['running', 'draining', 'quarantined'] as const;
const HARDWARE = 1;
const ACCELERATOR = 2;
const SYNCHRONOUS = 8;
const RANDOM = 1024;

export function driverInfo(native: NativeDriverInfo): DriverInfo {
  const { id, flags, state, maxLength, queueDepth, maxSessions, offers, ...rest } = native;
  return {
    ...rest,
    id: id as DriverId,
    kind: (flags & HARDWARE) !== 0 ? 'hardware' : (flags & ACCELERATOR) !== 0 ? 'accelerator' : 'software',
    synchronous: (flags & SYNCHRONOUS) !== 0,
    random: (flags & RANDOM) !== 0,
    state: STATES[state]!,
    maxLength: maxLength || null,
    queueDepth: queueDepth || null,
    maxSessions: maxSessions || null,
    offers: offers.map(({ alg, mac, batchNs, opNs, byteNs, lanes, ...other }) => ({
      ...other,
      algorithm: algorithmName(alg),
      mac: mac === ALGORITHMS.null.id ? null : algorithmName(mac),
      cost: { batchNs, opNs, byteNs, lanes },
    })),
  };
}
