/** Runs a ServerHandshake against bytes, answering its requests for signatures at once. */
import { generateKeyPairSync, sign } from 'node:crypto';
import {
  type CertificateRefusal,
  type Credential,
  type HandshakeEvent,
  type ServerConfig,
  ServerHandshake,
} from '../../src/tls/index.ts';
import { nodeCryptoProvider, P256, X25519 } from './node-crypto-provider.ts';

const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
export const publicKey = keys.publicKey.export({ format: 'pem', type: 'spki' }) as string;
/** Not a certificate: the handshake passes it on unread. */
export const credential: Credential = { chain: [new Uint8Array(600).fill(0x30)], schemes: [0x0403] };

export const signature = (data: Uint8Array): Uint8Array => sign('sha256', data, keys.privateKey);

export const config: ServerConfig = {
  versions: [0x0304],
  suites: [0x1301, 0x1302, 0x1303],
  groups: [X25519, P256],
  alpn: [],
  selectCredential: () => credential,
  maxHandshakeBytes: 65_536,
};

export type Established = Extract<HandshakeEvent, { type: 'established' }>;
export type Failed = Extract<HandshakeEvent, { type: 'fail' }>;

/** Reasons for which a driver of this test file has seen a handshake fail. */
export const caused = new Set<string>();

export class Driver {
  readonly handshake: ServerHandshake;
  readonly events: HandshakeEvent[] = [];
  established: Established | undefined;
  failed: Failed | undefined;
  /** The answer to 'verify' events. */
  verdict: CertificateRefusal | undefined;
  #sent: Uint8Array[] = [];

  constructor(changes: Partial<ServerConfig> = {}, provider = nodeCryptoProvider()) {
    this.handshake = new ServerHandshake({ ...config, ...changes }, provider);
  }

  /** Feeds bytes; gives what the server sends in answer, alerts included. */
  feed(bytes: Uint8Array): Buffer {
    this.#take(this.handshake.receive(bytes));
    const sent = Buffer.concat(this.#sent);
    this.#sent = [];
    return sent;
  }

  #take(events: HandshakeEvent[]): void {
    for (const event of events) {
      this.events.push(event);
      if (event.type === 'send') this.#sent.push(event.bytes);
      if (event.type === 'sign') this.#take(this.handshake.provideSignature(signature(event.data)));
      if (event.type === 'verify') this.#take(this.handshake.provideVerification(this.verdict));
      if (event.type === 'established') this.established = event;
      if (event.type === 'fail') {
        this.failed = event;
        caused.add(event.reason);
        this.#sent.push(event.bytes);
      }
    }
  }
}
