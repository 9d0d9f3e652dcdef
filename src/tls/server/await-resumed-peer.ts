import type { CertificateRefusal } from '../api.ts';
import { type AwaitsVerification, Tls13State } from '../state.ts';
import type { ServerConfig } from './api.ts';
import { answer, type Plan } from './respond.ts';
import type { Connection, ServerState } from './state.ts';

/** The certificate that a client had in the session it resumes is judged anew. A refusal costs it the session only. */
export class AwaitResumedPeer extends Tls13State<ServerConfig> implements AwaitsVerification<ServerConfig> {
  readonly name = 'AwaitResumedPeer';
  readonly #plan: Plan;

  constructor(plan: Plan) {
    super();
    this.#plan = plan;
  }

  verified(refusal: CertificateRefusal | undefined, connection: Connection): ServerState {
    if (refusal === undefined) return answer(connection, this.#plan);
    this.#plan.session?.early.wipe();
    return answer(connection, { ...this.#plan, session: undefined, resumption: 'peer_refused' });
  }

  override wipe(): void {
    this.#plan.session?.early.wipe();
  }
}
