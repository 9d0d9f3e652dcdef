/** Gives drivers written in TypeScript their work, and takes what they make of it, whatever that is. */
import { SocryptError } from '../errors.ts';
import type { NativeOcf, NativeTaken } from '../native.ts';
import { statusError } from './crypto-names.ts';
import { CANCELED, driverOp, idsOf, sessionOf, watched } from './driver-op.ts';
import { examine } from './examiner.ts';
import type { DriverCost, DriverFault, DriverOp, JsDriver } from './js-driver.ts';
import type { DriverId } from './params.ts';

const TAKEN = 0;
const WRONG_LENGTH = 2;
/** ocf::Caps. */
const FLAGS = { hardware: 1, accelerator: 2, software: 4 } as const;
const CAPABLE = 64 | 128 | 512; // out of place, verifies, key operations
const RANKS = { hardware: 400, accelerator: 300, software: 100 } as const;
const QUEUE_DEPTH = 256;
const ANSWER_WITHIN_MS = 1_000;
/** Bursts in a row of which something was not answered; then the driver is taken for broken. */
const MAX_FAULTS = 4;
const FIRST_KEY_ALGORITHM = 64;

interface Attached {
  readonly id: DriverId;
  readonly driver: JsDriver<unknown>;
  /** By the addon's number; undefined: the driver would not open it. */
  readonly sessions: Map<number, { readonly opened: unknown } | undefined>;
  faults: number;
}

interface BurstOfOps {
  /** Tokens of ops that are not answered. */
  readonly left: Set<number>;
  /** No answer had a wrong length. */
  clean: boolean;
}

export class DriverHost {
  readonly #native: NativeOcf;
  readonly #attached = new Map<DriverId, Attached>();

  constructor(native: NativeOcf) {
    this.#native = native;
  }

  /**
   * Once it has given the known answers for all that it offers. Throws ERR_SOCRYPT_OCF_WRONG_ANSWER,
   * ERR_SOCRYPT_OCF_UNTESTED for what has none, and ERR_SOCRYPT_OCF_DRIVER for a driver that is none.
   */
  async attach<S>(driver: JsDriver<S>): Promise<DriverId> {
    if (driver.offers.length === 0) {
      throw new SocryptError(
        'ERR_SOCRYPT_OCF_DRIVER',
        `attach: expected the driver ${JSON.stringify(driver.name)} to offer an algorithm, received none`,
      );
    }
    const answerWithinMs = driver.answerWithinMs ?? ANSWER_WITHIN_MS;
    const offers = [];
    for (const offer of driver.offers) {
      const measured = await examine(this.#native.knownAnswers(), driver, offer, answerWithinMs);
      const cost: DriverCost = driver.cost ?? measured;
      const [alg, mac] = idsOf(offer);
      offers.push({ alg, mac, rank: RANKS[driver.kind], lanes: 1, ...cost });
    }
    const keys = offers.some(({ alg }) => alg >= FIRST_KEY_ALGORITHM);
    const id = this.#native.attachMailbox(
      {
        name: driver.name,
        flags: FLAGS[driver.kind] | (keys ? CAPABLE : CAPABLE & ~512),
        queueDepth: driver.queueDepth ?? QUEUE_DEPTH,
        maxLength: driver.maxLength ?? 0,
        maxSessions: driver.maxSessions ?? 0,
      },
      offers,
    );
    if (id < 0) throw statusError('attach', id);
    this.#attached.set(id as DriverId, {
      id: id as DriverId,
      driver: driver as JsDriver<unknown>,
      sessions: new Map(),
      faults: 0,
    });
    return id as DriverId;
  }

  /** It gets no more work; what it has goes elsewhere. */
  abandon(id: DriverId): void {
    if (this.#attached.has(id)) this.#native.abandonMailbox(id);
  }

  /** Whatever lies in the mailboxes goes to the drivers. */
  pump(): void {
    for (const attached of [...this.#attached.values()]) {
      const taken = this.#native.takeOps(attached.id);
      if (taken === undefined) this.#forget(attached);
      else this.#give(attached, taken);
    }
  }

  #forget({ id, driver, sessions }: Attached): void {
    this.#attached.delete(id);
    for (const session of sessions.values())
      if (session !== undefined) this.#closeSession(driver, session.opened);
  }

  #give(attached: Attached, { opened, closed, ops }: NativeTaken): void {
    const { id, driver, sessions } = attached;
    for (const { session, chain } of opened) {
      try {
        sessions.set(session, { opened: driver.open(sessionOf(chain)) });
      } catch (error) {
        sessions.set(session, undefined);
        this.#report(attached, { type: 'threw', error });
      }
    }
    const left = new Set<number>();
    const burst = { left, clean: true };
    const answer = (token: number, status: number, results: readonly Uint8Array[]): boolean => {
      const known = left.delete(token);
      const said = known ? this.#native.answerOp(id, token, status, results) : 1;
      if (said === WRONG_LENGTH) {
        burst.clean = false;
        this.#report(attached, { type: 'wrong-length' });
      } else if (said !== TAKEN) this.#report(attached, { type: 'late' });
      return said === TAKEN;
    };
    const given: DriverOp<unknown>[] = [];
    for (const op of ops) {
      left.add(op.token);
      const session = sessions.get(op.session);
      if (session === undefined) answer(op.token, CANCELED, []);
      else given.push(driverOp(op, session.opened, (status, results) => answer(op.token, status, results)));
    }
    if (given.length > 0) this.#process(attached, given, burst);
    for (const session of closed) {
      const known = sessions.get(session);
      sessions.delete(session);
      if (known !== undefined) this.#closeSession(driver, known.opened);
    }
  }

  #process(attached: Attached, given: readonly DriverOp<unknown>[], burst: BurstOfOps): void {
    const { driver } = attached;
    const { left } = burst;
    const failed = (): void => {
      if (++attached.faults === MAX_FAULTS) this.#breakOff(attached);
    };
    const giveUp = (fault: DriverFault): void => {
      clearTimeout(timer);
      if (left.size === 0) return;
      for (const token of left) this.#native.answerOp(attached.id, token, CANCELED, []);
      left.clear();
      this.#report(attached, fault);
      failed();
    };
    const timer = setTimeout(() => {
      giveUp({ type: 'silent', ops: left.size });
    }, driver.answerWithinMs ?? ANSWER_WITHIN_MS);
    const check = (): void => {
      if (left.size > 0) return;
      clearTimeout(timer);
      if (burst.clean) attached.faults = 0;
      else failed();
    };
    const ops = given.map((op) => watched(op, check));
    try {
      const ended = driver.process(ops);
      if (ended instanceof Promise) ended.catch((error: unknown) => giveUp({ type: 'threw', error }));
    } catch (error) {
      giveUp({ type: 'threw', error });
    }
  }

  #breakOff(attached: Attached): void {
    this.#native.abandonMailbox(attached.id);
    this.#native.detach(attached.id, 0);
    this.#forget(attached);
    this.#report(attached, { type: 'detached' });
  }

  #closeSession(driver: JsDriver<unknown>, session: unknown): void {
    try {
      driver.close?.(session);
    } catch {
      // Nobody waits for it, and its ops are over.
    }
  }

  #report({ driver }: Attached, fault: DriverFault): void {
    try {
      driver.fault?.(fault);
    } catch {
      // It cannot make things worse.
    }
  }
}
