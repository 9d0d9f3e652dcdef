/** Whether a session may be resumed here: the one place where what it is bound to is compared. */
import type { ResumptionRefusal } from './api.ts';
import type { SessionState } from './session-state.ts';

/** What the handshake at hand has, that the session must have been made with. */
export interface SessionSetting {
  readonly version: number;
  readonly serverName: string | undefined;
  readonly alpn: string | undefined;
  readonly identity: Uint8Array;
  readonly context: Uint8Array;
  /** Milliseconds since the Unix epoch. */
  readonly now: number;
  /** Seconds that a ticket lives in this configuration, which may be shorter by now. */
  readonly lifetime: number;
}

/** RFC 8446 4.6.1: "Servers MUST NOT use any value greater than 604800 seconds (7 days)." */
export const MAX_LIFETIME = 604_800;

/**
 * undefined: it may, as far as this goes. The suite is the version's business: its hash in TLS 1.3, itself in
 * TLS 1.2. Renewed tickets do not lengthen a session: 7 days after the full handshake it is over.
 */
export function whyNotResumable(state: SessionState, setting: SessionSetting): ResumptionRefusal | undefined {
  if (state.version !== setting.version) return 'other_version';
  const age = setting.now - state.issuedAt;
  if (
    age < -CLOCK_SKEW_MS ||
    age >= 1000 * Math.min(state.lifetime, setting.lifetime) ||
    setting.now - state.authenticatedAt >= 1000 * MAX_LIFETIME
  ) {
    return 'expired';
  }
  // RFC 6066 3: "MUST NOT accept the request to resume the session if the server_name extension contains a different
  // name".
  if (state.serverName !== setting.serverName) return 'other_server_name';
  if (state.alpn !== setting.alpn) return 'other_alpn';
  if (!isSame(state.identity, setting.identity)) return 'other_identity';
  if (!isSame(state.context, setting.context)) return 'other_context';
  return undefined;
}

/** Between the clocks of hosts that share keys. */
const CLOCK_SKEW_MS = 60_000;

/** Neither is secret. */
function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
