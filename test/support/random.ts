/** Small, seeded and the same everywhere (mulberry32): a failure is replayed by its seed. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** An integer in [0, below). */
  below(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  }

  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.below(256)));
  }
}

/** Integers in [0, below), of a sequence of its own. */
export function random(seed: number): (below: number) => number {
  const source = new Random(seed);
  return (below) => source.below(below);
}

/** `SOCRYPT_TEST_SEED`, or a fresh one. */
export function testSeed(): number {
  return Number(process.env.SOCRYPT_TEST_SEED ?? Date.now() % 0x7fffffff);
}
