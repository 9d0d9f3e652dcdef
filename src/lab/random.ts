/** Chance from a seed, for scenarios that draw their rates: the same numbers everywhere (SplitMix64). */
export class Random {
  #state: bigint;

  constructor(seed: number) {
    this.#state = BigInt(seed);
  }

  #next(): bigint {
    this.#state = BigInt.asUintN(64, this.#state + 0x9e3779b97f4a7c15n);
    let z = this.#state;
    z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
    return z ^ (z >> 31n);
  }

  /** A whole number from `low` to `high`. */
  between(low: number, high: number): number {
    return low + Number(this.#next() % BigInt(high - low + 1));
  }

  /** True in `percent` of cases. */
  chance(percent: number): boolean {
    return this.between(1, 100) <= percent;
  }

  one<T>(of: readonly T[]): T {
    return of[this.between(0, of.length - 1)] as T;
  }
}
