/** What holders of ticket keys, and caches of sessions, use. */
export type { Resumption, ResumptionRefusal, Sealer, SessionTickets } from './api.ts';
export type { SessionCache } from './cache.ts';
export { MAX_LIFETIME } from './resumable.ts';
export {
  open,
  type Purpose,
  SEALING_KEY_LENGTH,
  type SealingKey,
  saltOf,
  seal,
  sealingKey,
} from './sealed.ts';
export {
  decodeSessionState,
  encodeSessionState,
  type SessionState,
  type SessionState12,
  type SessionState13,
} from './session-state.ts';
