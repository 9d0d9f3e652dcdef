/** Errors of the operator's side. */
import { SocryptError } from '../errors.ts';

export const OPTION_ERROR = 'ERR_SOCRYPT_OPTION';

/** The options as given cannot be meant; `problems` holds one sentence for each that is wrong. */
export class UsageError extends SocryptError {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(OPTION_ERROR, problems.join('\n'));
    this.problems = problems;
  }
}

/** The errno's name of a system error ('ENOENT', …), or ''. */
export function errnoName(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && /^E[A-Z0-9]+$/.test(code) ? code : '';
}
