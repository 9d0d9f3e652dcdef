/** Why a peer's chain is refused: a stable code for programs, and words for people. */

const REASONS = [
  'no_certificate',
  /** More certificates, bytes or elements than are looked at. */
  'chain_too_large',
  'malformed',
  'unsupported_key',
  'weak_key',
  /** The AlgorithmIdentifier inside of what is signed differs from the one beside the signature. */
  'signature_algorithm_mismatch',
  'unsupported_signature_algorithm',
  'bad_signature',
  'unknown_issuer',
  'not_yet_valid',
  'expired',
  'unknown_critical_extension',
  'issuer_not_ca',
  'path_length_exceeded',
  'key_usage',
  'extended_key_usage',
  'name_constraint',
  /** A constraint on a form of name that is not processed, where such a name occurs. */
  'unsupported_name_constraint',
  'name_mismatch',
  'revoked',
  'revocation_unknown',
  'revocation_stale',
  /** More intermediates in a row than are followed. */
  'path_too_long',
  /** The search cost as much as it may before it found a path. */
  'path_too_complex',
  /** A fault of this program and not of the peer. */
  'internal_error',
] as const;

export type RefusalReason = (typeof REASONS)[number];

/** Every reason there is, for tests and metrics. */
export const REFUSAL_REASONS: readonly RefusalReason[] = REASONS;

export interface Refusal {
  readonly reason: RefusalReason;
  /** What was expected and what came. Holds names from the peer's certificates, made printable; no line breaks. */
  readonly detail: string;
}

export function refusal(reason: RefusalReason, detail: string): Refusal {
  return { reason, detail };
}

export function isRefusal(value: object | undefined): value is Refusal {
  return value !== undefined && 'reason' in value;
}
