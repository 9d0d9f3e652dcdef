/** The log: JSON lines by pino, on stderr unless a logger is given. */
import { type DestinationStream, type Logger, pino } from 'pino';

/** What is asked of an injected logger; pino's has it. */
export interface Log {
  error(fields: object, text: string): void;
  warn(fields: object, text: string): void;
  info(fields: object, text: string): void;
  debug(fields: object, text: string): void;
}

/** What an error may say in the log: never its enumerable properties, which could hold anything. */
export function describeError(error: unknown): { readonly code?: string; readonly error: string } {
  if (!(error instanceof Error)) return { error: String(error) };
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' ? { code, error: error.message } : { error: error.message };
}

/** A lost or full stderr costs log lines, never the server. */
export function createLog(level: string, destination: DestinationStream = stderr()): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: describeError },
    },
    destination,
  );
}

function stderr(): DestinationStream {
  const destination = pino.destination({ dest: 2, sync: true });
  destination.on('error', () => {});
  return destination;
}
