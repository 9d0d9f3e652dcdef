/** What a command may touch of the outside; tests bring their own. */
export interface Io {
  readonly env: NodeJS.ProcessEnv;
  /** Whole lines for people and pipes. */
  out(text: string): void;
  err(text: string): void;
  readonly columns: number;
  /** Calls back for every arrival until the result is called. */
  onSignal(signal: 'SIGHUP' | 'SIGINT' | 'SIGTERM', listener: () => void): () => void;
}

export const EXIT_OK = 0;
export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
/** 128 + the signal's number, as shells count: ended by the second SIGINT or SIGTERM. */
export const EXIT_INTERRUPTED = 130;
export const EXIT_TERMINATED = 143;

export function processIo(): Io {
  // A reader that went away (`socrypt serve | head`) is no reason to stop serving.
  process.stdout.on('error', () => {});
  process.stderr.on('error', () => {});
  return {
    env: process.env,
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    columns: Math.min(process.stdout.columns ?? 100, 120),
    onSignal: (signal, listener) => {
      process.on(signal, listener);
      return () => void process.off(signal, listener);
    },
  };
}
