/** Which places of the program have been run, by V8's own counters (the precise coverage of the inspector). */
import { type Profiler, Session } from 'node:inspector';

/** Places per script and function: 1 where it has been run. */
export type Places = Map<string, Uint8Array>;

/**
 * Asking costs a millisecond, so it is done for many inputs at once. The counters of a thread can be had by one
 * Coverage at a time.
 */
export class Coverage {
  readonly #session = new Session();
  readonly #wants: (url: string) => boolean;

  /** `wants`: the scripts that count, by their URL. */
  constructor(wants: (url: string) => boolean) {
    this.#wants = wants;
    this.#session.connect();
    this.#post('Profiler.enable');
    this.#post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
    this.clear();
  }

  /** Forgets what has been run so far. */
  clear(): void {
    this.#post('Profiler.takePreciseCoverage');
  }

  /** Whether anything that has been run since the last time is not in `seen`; with `keep` it then is. */
  isFresh(seen: Places, keep: boolean): boolean {
    const taken = this.#post<Profiler.TakePreciseCoverageReturnType>('Profiler.takePreciseCoverage');
    let fresh = false;
    for (const script of taken.result) {
      if (!this.#wants(script.url)) continue;
      for (const called of script.functions) fresh = isFresh(seen, script.url, called, keep) || fresh;
    }
    return fresh;
  }

  close(): void {
    this.#session.disconnect();
  }

  #post<Result>(method: string, parameters?: object): Result {
    let answer: Result | undefined;
    this.#session.post(method, parameters, (error, result) => {
      if (error !== null) throw error;
      answer = result as Result;
    });
    return answer!;
  }
}

/**
 * V8 joins neighbouring blocks that have run equally often, so that its ranges differ from run to run; what has been run
 * is therefore kept character by character.
 */
function isFresh(seen: Places, url: string, called: Profiler.FunctionCoverage, keep: boolean): boolean {
  const whole = called.ranges[0]!;
  if (whole.count === 0) return false;
  const id = `${url}:${whole.startOffset}`;
  const before = seen.get(id);
  const run = new Uint8Array(whole.endOffset - whole.startOffset);
  // Inner ranges come after the ones they lie in.
  for (const { startOffset, endOffset, count } of called.ranges) {
    run.fill(count > 0 ? 1 : 0, startOffset - whole.startOffset, endOffset - whole.startOffset);
  }
  const fresh = before === undefined || run.some((place, at) => place > before[at]!);
  if (fresh && keep) seen.set(id, before === undefined ? run : run.map((place, at) => place | before[at]!));
  return fresh;
}
