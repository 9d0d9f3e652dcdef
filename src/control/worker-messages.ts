/** What the main thread and a control worker say to each other (worker_threads messages). */
import type { ClientAuthenticationOptions } from './client-authentication.ts';
import type { SharedCredential } from './credential-store.ts';
import type { HandshakeControlOptions } from './handshake-control.ts';
import type { TicketSecrets } from './tickets/ticket-sealer.ts';

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
  | {
      readonly type: 'credentials';
      readonly id: number;
      readonly credentials: readonly SharedCredential[];
      readonly clients: ClientAuthenticationOptions | null;
    }
  /** For tickets and cookies from now on; the receiver wipes its copy. */
  | { readonly type: 'ticketSecrets'; readonly secrets: TicketSecrets }
  /** Answer what is here, and end. */
  | { readonly type: 'close' };

export type FromWorker = { readonly type: 'ready' } | { readonly type: 'taken'; readonly id: number };
