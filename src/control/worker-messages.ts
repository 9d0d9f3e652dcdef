/** What the main thread and a control worker say to each other (worker_threads messages). */
import type { SharedCredential } from './credential-store.ts';
import type { HandshakeControlOptions } from './handshake-control.ts';

/** `workerData`. */
export interface WorkerStart {
  readonly options: HandshakeControlOptions;
  readonly credentials: readonly SharedCredential[];
  readonly counters: SharedArrayBuffer;
}

export type ToWorker =
  /** Handshake channels of engines to answer. */
  | { readonly type: 'attach'; readonly channels: readonly number[] }
  /** For handshakes from now on; answered by 'taken'. */
  | { readonly type: 'credentials'; readonly id: number; readonly credentials: readonly SharedCredential[] }
  /** Answer what is here, and end. */
  | { readonly type: 'close' };

export type FromWorker = { readonly type: 'ready' } | { readonly type: 'taken'; readonly id: number };
