import type { HandshakeSecret } from '../schedule/key-schedule.ts';
import { Tls13State } from '../state.ts';
import type { Suite } from '../suites.ts';
import type { Transcript } from '../transcript.ts';
import type { CertificateRequest, ClientConfig } from './api.ts';
import type { Offer } from './offer.ts';

/** What has been agreed on once the server's messages are protected. */
export interface Progress {
  readonly secret: HandshakeSecret;
  readonly transcript: Transcript;
  readonly offer: Offer;
  readonly suite: Suite;
  readonly group: number;
  readonly helloRetry: boolean;
}

export interface Extended extends Progress {
  readonly alpn: string | undefined;
}

export interface Requested extends Extended {
  /** The server wants to know who we are. */
  readonly request: CertificateRequest | undefined;
}

export interface Proven extends Requested {
  /** SignatureScheme that the server proved itself with. */
  readonly scheme: number;
  /** The server's, DER, leaf first. */
  readonly peerCertificates: readonly Uint8Array[];
}

/** A state in the server's protected flight. */
export abstract class ProtectedState<P extends Progress> extends Tls13State<ClientConfig> {
  protected readonly progress: P;

  constructor(progress: P) {
    super();
    this.progress = progress;
  }

  override wipe(): void {
    this.progress.secret.wipe();
  }
}
