import type { HandshakeSecret } from '../schedule/key-schedule.ts';
import type { Resumption } from '../session/api.ts';
import { Tls13State } from '../state.ts';
import type { Suite } from '../suites.ts';
import type { Transcript } from '../transcript.ts';
import type { CertificateRequest, ClientConfig } from './api.ts';
import type { Offer } from './offer.ts';
import type { OfferedSession } from './resumption.ts';

/** What has been agreed on once the server's messages are protected. */
export interface Progress {
  readonly secret: HandshakeSecret;
  readonly transcript: Transcript;
  readonly offer: Offer;
  readonly suite: Suite;
  readonly group: number;
  readonly helloRetry: boolean;
  /** undefined: a full handshake. Its secret is wiped. */
  readonly resumed: OfferedSession | undefined;
  readonly resumption: Resumption;
}

export interface Extended extends Progress {
  readonly alpn: string | undefined;
  /** Bytes of content that a record to the server may have (RFC 8449). */
  readonly maxFragment: number;
}

export interface Requested extends Extended {
  /** The server wants to know who we are. */
  readonly request: CertificateRequest | undefined;
}

export interface Proven extends Requested {
  /** SignatureScheme that the server proved itself with, in the handshake that the session began with. */
  readonly scheme: number;
  readonly presented: PresentedCertificate;
}

/** What the server has shown of itself. */
export interface PresentedCertificate {
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[];
  readonly ocspResponse: Uint8Array | undefined;
  readonly sctList: Uint8Array | undefined;
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
