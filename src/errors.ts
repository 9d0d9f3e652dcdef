export type ErrorCode = `ERR_SOCRYPT_${string}`;

/**
 * Every error socrypt throws on purpose. `code` is stable and meant for programs; `message` is for people and says what was
 * expected, what came and what to do. Neither carries secrets.
 */
export class SocryptError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
  }

  override get name(): string {
    return 'SocryptError';
  }
}

/** True for errors made by socrypt, optionally with one given code. */
export function isSocryptError(error: unknown, code?: ErrorCode): error is SocryptError {
  return error instanceof SocryptError && (code === undefined || error.code === code);
}
