/** Runs a ClientHandshake against bytes, answering its requests at once. */
import {
  type CertificateRefusal,
  type ClientConfig,
  ClientHandshake,
  type HandshakeEvent,
} from '../../src/tls/index.ts';
import { caused, type Established, type Failed } from './handshake-driver.ts';
import { nodeCryptoProvider, P256, P384, X25519 } from './node-crypto-provider.ts';
import { signWith } from './sign-with.ts';
import { NAME } from './test-credentials.ts';
import type { EchoCredential } from './tls-echo-server.ts';

export const clientConfig: ClientConfig = {
  versions: [0x0304],
  suites: [0x1301, 0x1302, 0x1303],
  groups: [X25519, P256, P384],
  keyShareGroups: [X25519],
  alpn: [],
  maxHandshakeBytes: 65_536,
  serverName: NAME,
  signatureSchemes: [0x0403, 0x0503, 0x0807, 0x0804, 0x0805, 0x0806],
  requestOcsp: false,
  requestScts: false,
  certificateAuthorities: [],
  compatibilityMode: true,
  selectCredential: () => undefined,
};

export interface ClientAnswers {
  readonly refusal?: CertificateRefusal;
  readonly signature?: (data: Uint8Array, scheme: number) => Uint8Array;
}

export class ClientDriver {
  readonly handshake: ClientHandshake;
  readonly events: HandshakeEvent[] = [];
  established: Established | undefined;
  failed: Failed | undefined;
  verified: Extract<HandshakeEvent, { type: 'verify' }> | undefined;
  #answers: ClientAnswers;
  #sent: Uint8Array[] = [];

  constructor(
    changes: Partial<ClientConfig> = {},
    answers: ClientAnswers = {},
    provider = nodeCryptoProvider(),
  ) {
    this.handshake = new ClientHandshake({ ...clientConfig, ...changes }, provider);
    this.#answers = answers;
  }

  start(): Buffer {
    this.#take(this.handshake.start());
    return this.#flush();
  }

  /** Feeds bytes, `portion` at a time; gives what the client sends in answer, alerts included. */
  feed(bytes: Uint8Array, portion = bytes.length || 1): Buffer {
    for (let at = 0; at < bytes.length; at += portion) {
      // A buffer that is overwritten after the call, as an engine's is.
      const lent = Uint8Array.from(bytes.subarray(at, at + portion));
      this.#take(this.handshake.receive(lent));
      lent.fill(0xaa);
    }
    return this.#flush();
  }

  #flush(): Buffer {
    const sent = Buffer.concat(this.#sent);
    this.#sent = [];
    return sent;
  }

  #take(events: HandshakeEvent[]): void {
    for (const event of events) {
      this.events.push(event);
      switch (event.type) {
        case 'send':
          this.#sent.push(event.bytes);
          break;
        case 'sign': {
          const { data, scheme } = event;
          const { key } = event.credential as EchoCredential;
          const signature = this.#answers.signature?.(data, scheme) ?? signWith(key, scheme, data);
          this.#take(this.handshake.provideSignature(signature));
          break;
        }
        case 'verify':
          this.verified = event;
          this.#take(this.handshake.provideVerification(this.#answers.refusal));
          break;
        case 'established':
          this.established = event;
          break;
        case 'fail':
          this.failed = event;
          caused.add(event.reason);
          this.#sent.push(event.bytes);
      }
    }
  }
}
