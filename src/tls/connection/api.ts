/** What a whole connection says to its caller. */
import type { HandshakeEvent } from '../api.ts';

export interface ConnectionOptions {
  /**
   * Records that may be sealed under one key: then comes a KeyUpdate, or in TLS 1.2 the end. Default for AES-GCM:
   * 2^24.5 (RFC 8446 5.5); ChaCha20-Poly1305 has no such limit, but a counter of 32 bits here.
   */
  readonly recordLimit?: number;
}

type Established = Extract<HandshakeEvent, { type: 'established' }>;

export type ConnectionEvent =
  | Extract<HandshakeEvent, { type: 'send' | 'sign' | 'verify' | 'ticket' | 'fail' }>
  | Omit<Established, 'tx' | 'rx' | 'leftover' | 'update'>
  /** Application data of one record that verified; not empty. */
  | { readonly type: 'data'; readonly bytes: Uint8Array }
  /** The peer has changed the key it sends under. */
  | { readonly type: 'keyUpdate' }
  /** The peer has said close_notify: nothing more comes, and what came was all. */
  | { readonly type: 'closed' };
