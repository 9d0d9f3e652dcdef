import type { HandshakeInfo } from '../../api.ts';
import type { Randoms } from '../../schedule/master-secret.ts';
import type { Suite } from '../../suites.ts';
import type { Transcript } from '../../transcript.ts';
import type { SessionFacts } from './session.ts';

/** What the two hellos have settled, and the messages since. */
export interface Agreed {
  readonly suite: Suite;
  readonly randoms: Randoms;
  readonly extendedMasterSecret: boolean;
  readonly transcript: Transcript;
  readonly session: SessionFacts;
  readonly info: HandshakeInfo;
}
