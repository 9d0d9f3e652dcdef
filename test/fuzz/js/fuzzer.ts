/**
 * Coverage-guided fuzzing, small: inputs that run a place which none before has run are kept and changed further.
 * The prebuilt libFuzzer binding for Node that there is wants a newer libc than Debian 12 has.
 */
import type { Random } from '../../support/random.ts';
import { Coverage, type Places } from './coverage.ts';
import { type MutatorOptions, mutated } from './mutator.ts';

export interface Target extends Partial<MutatorOptions> {
  /** Throws for what must not be. What it may throw it catches. */
  run(input: Uint8Array): void;
}

export interface Finding {
  readonly input: Uint8Array;
  readonly error: unknown;
}

export interface Progress {
  runs: number;
  readonly corpus: Uint8Array[];
  finding: Finding | undefined;
}

/** Inputs between two looks at the counters: more of them the less there is to be seen. */
const MIN_BATCH = 16;
const MAX_BATCH = 1024;
const MAX_LENGTH = 4096;

export interface FuzzOptions {
  readonly random: Random;
  readonly seeds: readonly Uint8Array[];
  /** Asked after each batch. */
  readonly goesOn: (progress: Progress) => boolean;
  /** Scripts whose places count. */
  readonly wants: (url: string) => boolean;
  /** Told of each input before it runs, so that one that never ends is known. */
  readonly about?: (input: Uint8Array) => void;
}

export function fuzz(target: Target, options: FuzzOptions): Progress {
  const { random, about } = options;
  const mutator = { words: [], der: false, maxLength: MAX_LENGTH, ...target };
  const coverage = new Coverage(options.wants);
  const seen: Places = new Map();
  const progress: Progress = { runs: 0, corpus: [], finding: undefined };
  const run = (input: Uint8Array): boolean => {
    about?.(input);
    progress.runs++;
    try {
      target.run(Uint8Array.from(input));
      return true;
    } catch (error) {
      progress.finding = { input, error };
      return false;
    }
  };
  /** Keeps those that run something new: each of them is found by halving. */
  const keepFresh = (inputs: readonly Uint8Array[]): boolean => {
    if (!inputs.every(run) || !coverage.isFresh(seen, inputs.length === 1)) return false;
    if (inputs.length === 1) progress.corpus.push(inputs[0]!);
    else {
      const middle = inputs.length >> 1;
      keepFresh(inputs.slice(0, middle));
      keepFresh(inputs.slice(middle));
    }
    return true;
  };
  try {
    for (const seed of [new Uint8Array(0), ...options.seeds]) {
      if (progress.finding === undefined) keepFresh([seed]);
    }
    // Even an input that runs nothing new is one to begin with.
    if (progress.corpus.length === 0) progress.corpus.push(Uint8Array.of(0));
    let size = MIN_BATCH;
    while (progress.finding === undefined && options.goesOn(progress)) {
      const batch = Array.from({ length: size }, () =>
        mutated(random, pick(random, progress.corpus), pick(random, progress.corpus), mutator),
      );
      size = keepFresh(batch) ? MIN_BATCH : Math.min(2 * size, MAX_BATCH);
    }
  } finally {
    coverage.close();
  }
  return progress;
}

/** The fewest and shortest inputs, more or less, that run the same places. */
export function minimised(
  target: Target,
  inputs: readonly Uint8Array[],
  wants: (url: string) => boolean,
): Uint8Array[] {
  const coverage = new Coverage(wants);
  const seen: Places = new Map();
  try {
    return inputs
      .toSorted((a, b) => a.length - b.length)
      .filter((input) => {
        target.run(Uint8Array.from(input));
        return coverage.isFresh(seen, true);
      });
  } finally {
    coverage.close();
  }
}

/** Later ones more often: they lead further. */
function pick(random: Random, corpus: readonly Uint8Array[]): Uint8Array {
  const from = random.below(2) === 0 ? 0 : corpus.length >> 1;
  return corpus[from + random.below(corpus.length - from)]!;
}
