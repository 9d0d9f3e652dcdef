import type { CertificateRefusal } from '../../api.ts';
import { type AwaitsVerification, State } from '../../state.ts';
import type { ServerConfig } from '../api.ts';
import type { Connection, ServerState } from '../state.ts';
import { answerInFull, answerResuming, type Plan } from './respond.ts';
import type { ResumableSession } from './resume.ts';

/** The certificate that a client had in the session it resumes is judged anew. A refusal costs it the session only. */
export class AwaitResumedPeer extends State<ServerConfig> implements AwaitsVerification<ServerConfig> {
  readonly name = 'AwaitResumedPeer';
  readonly #plan: Plan;
  readonly #session: ResumableSession;

  constructor(plan: Plan, session: ResumableSession) {
    super();
    this.#plan = plan;
    this.#session = session;
  }

  verified(refusal: CertificateRefusal | undefined, connection: Connection): ServerState {
    if (refusal === undefined) return answerResuming(connection, this.#plan, this.#session);
    this.wipe();
    return answerInFull(connection, this.#plan, 'peer_refused');
  }

  override wipe(): void {
    this.#session.state.secret.fill(0);
  }
}
