/** The engines' counters as one snapshot: sums over engines, and histograms put together again. */

export interface NativeHistogram {
  /** Observations per bucket, not cumulative; the last bucket has no upper bound. */
  readonly buckets: readonly number[];
  readonly sum: number;
}

/** Where each name stands; made once, since the names never change. */
export class CounterLayout {
  readonly names: readonly string[];
  readonly #index: ReadonlyMap<string, number>;

  constructor(names: readonly string[]) {
    this.names = names;
    this.#index = new Map(names.map((name, index) => [name, index]));
  }

  indexOf(name: string): number {
    const index = this.#index.get(name);
    if (index === undefined) throw new RangeError(`The engine has no counter "${name}"`);
    return index;
  }
}

export class EngineCounters {
  readonly #layout: CounterLayout;
  readonly #engines: readonly Float64Array[];

  constructor(layout: CounterLayout, engines: readonly Float64Array[]) {
    this.#layout = layout;
    this.#engines = engines;
  }

  value(name: string): number {
    return this.#sumAt(this.#layout.indexOf(name));
  }

  perEngine(name: string): readonly number[] {
    const index = this.#layout.indexOf(name);
    return this.#engines.map((engine) => engine[index] ?? 0);
  }

  /** `bounds`: how many upper bounds there are; the engine has one bucket more. */
  histogram(name: string, bounds: number): NativeHistogram {
    const first = this.#layout.indexOf(`${name}_0`);
    const buckets = Array.from({ length: bounds + 1 }, (_, i) => this.#sumAt(first + i));
    return { buckets, sum: this.#sumAt(this.#layout.indexOf(`${name}_sum`)) };
  }

  #sumAt(index: number): number {
    let sum = 0;
    for (const engine of this.#engines) sum += engine[index] ?? 0;
    return sum;
  }
}
