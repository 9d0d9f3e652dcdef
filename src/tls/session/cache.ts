/** Sessions by their session id (RFC 5246 F.1.4), for clients of TLS 1.2 that take no tickets. */

/** Values are encodeSessionState() bytes: secret. A cache is bounded, forgets at will, and must not throw. */
export interface SessionCache {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Seconds that a session is kept at most, 1 to 604800. */
  readonly lifetime: number;
  /** Takes `state` over. `lifetime`: seconds from now. */
  store(id: Uint8Array, state: Uint8Array, lifetime: number): void;
  /** A copy, the caller's to wipe. */
  find(id: Uint8Array): Uint8Array | undefined;
}
