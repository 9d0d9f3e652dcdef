/** What the daemon does when nobody says otherwise. */
export const DEFAULTS = {
  mode: 0o600,
  drivers: ['soft'],
  maxConnections: 256,
  maxSessions: 1024,
  maxPending: 256,
  maxArenaBytes: 64 * 2 ** 20,
} as const;
