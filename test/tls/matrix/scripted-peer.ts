/**
 * A peer that plays an honest handshake one message at a time, so that a test can stop anywhere and say something
 * else. The handshake is our own of the other role, whose records are taken apart before they are made: what is
 * under test is what the victim does with a message in a state, not how the message came to be.
 */
import type { Handshake } from '../../../src/tls/handshake.ts';
import type { ConnectionEvent, HandshakeEvent, TlsConnection } from '../../../src/tls/index.ts';
import { RecordWriter } from '../../../src/tls/records/record-writer.ts';
import type { RecordKeys } from '../../../src/tls/schedule/traffic-secret.ts';
import { suiteById } from '../../../src/tls/suites.ts';
import { nodeCryptoProvider } from '../../support/node-crypto-provider.ts';
import { signWith } from '../../support/sign-with.ts';
import type { TestCredential } from '../../support/test-credentials.ts';

const CHANGE_CIPHER_SPEC = 20;
const HANDSHAKE = 22;

/** One message, or one record of another type, that the peer means to send. */
export interface Unit {
  readonly type: number;
  readonly content: Uint8Array;
  /** New keys that the peer takes before this; undefined: those it had. */
  readonly keys: { readonly keys: RecordKeys; readonly recordSeq: number } | undefined;
}

interface Insides {
  readonly connection: { readonly writer: RecordWriter };
}

// biome-ignore lint/suspicious/noExplicitAny: a peer of either role.
type AnyHandshake = Handshake<any>;

export class ScriptedPeer {
  readonly #peer: AnyHandshake;
  readonly #victim: TlsConnection;
  readonly #writer = new RecordWriter(nodeCryptoProvider());
  readonly #units: Unit[] = [];
  #pendingKeys: Unit['keys'];
  #lastKey = Buffer.alloc(0);
  readonly events: ConnectionEvent[] = [];
  #interjected = false;

  constructor(peer: AnyHandshake, victim: TlsConnection) {
    this.#peer = peer;
    this.#victim = victim;
    this.#tap((peer as unknown as Insides).connection.writer);
    // Whoever is the client speaks first.
    this.#victimSaid(victim.start());
    this.#peerSaid(peer.start());
  }

  get state(): string {
    return this.#victim.state;
  }

  /** Lets the peer say the next thing it means to. False: it has nothing more to say. */
  step(): boolean {
    const unit = this.#units.shift();
    if (unit === undefined) return false;
    this.#say(unit);
    return true;
  }

  get next(): Unit | undefined {
    return this.#units[0];
  }

  /** Says something else instead, under the keys that the victim expects; gives what the victim makes of it. */
  interject(type: number, content: Uint8Array): ConnectionEvent[] {
    const next = this.#units.find((unit) => unit.type !== CHANGE_CIPHER_SPEC);
    let keys = next === undefined ? this.#pendingKeys : next.keys;
    // In TLS 1.2 it is the ChangeCipherSpec that puts keys in force, and it has not come yet.
    if (keys !== undefined && this.#units[0]?.type === CHANGE_CIPHER_SPEC && !isTls13(keys)) keys = undefined;
    this.#interjected = true;
    this.events.length = 0;
    this.#say({ type, content, keys });
    return [...this.events];
  }

  #say({ type, content, keys }: Unit): void {
    if (keys !== undefined) this.#install(keys);
    const parts: Uint8Array[] = [];
    // Never protected in TLS 1.3; in TLS 1.2, where a second one is nothing special, like everything else.
    const { keys: inForce } = this.#writer;
    if (type === CHANGE_CIPHER_SPEC && (inForce === undefined || isTls13({ keys: inForce }))) {
      this.#writer.writeChangeCipherSpec(parts);
    } else this.#writer.write(type, content, parts);
    this.#victimSaid(this.#victim.receive(Buffer.concat(parts)));
  }

  #install({ keys, recordSeq }: NonNullable<Unit['keys']>): void {
    this.#writer.install(
      { ...keys, key: Uint8Array.from(keys.key), iv: Uint8Array.from(keys.iv) },
      recordSeq,
    );
  }

  #victimSaid(events: readonly ConnectionEvent[]): void {
    for (const event of events) {
      this.events.push(event);
      // After an interjection the two no longer agree on what was said.
      if (event.type === 'send') {
        if (!this.#interjected) this.#peerSaid(this.#peer.receive(event.bytes));
      } else if (event.type === 'sign') this.#victimSaid(this.#victim.provideSignature(signed(event)));
      else if (event.type === 'verify') this.#victimSaid(this.#victim.provideVerification(undefined));
    }
  }

  #peerSaid(events: readonly HandshakeEvent[]): void {
    for (const event of events) {
      if (event.type === 'sign') this.#peerSaid(this.#peer.provideSignature(signed(event)));
      else if (event.type === 'verify') this.#peerSaid(this.#peer.provideVerification(undefined));
      else if (event.type === 'fail') throw new Error(`the honest peer failed: ${event.reason}`);
      else if (event.type === 'established') {
        const { suite, key, iv } = event.tx;
        // Nothing was sealed by the peer itself, so that its count of records says nothing; ours does.
        if (!Buffer.from(key).equals(this.#lastKey)) {
          this.#pendingKeys = { keys: { suite: suiteById(suite)!, key, iv }, recordSeq: 0 };
        }
      }
    }
  }

  /** Its writer writes nothing any more: what it is told is kept, message by message. */
  #tap(writer: RecordWriter): void {
    const take = (type: number, content: Uint8Array): void => {
      this.#units.push({ type, content: Uint8Array.from(content), keys: this.#pendingKeys });
      this.#pendingKeys = undefined;
    };
    writer.install = (keys, recordSeq = 0) => {
      this.#pendingKeys = {
        keys: { ...keys, key: Uint8Array.from(keys.key), iv: Uint8Array.from(keys.iv) },
        recordSeq,
      };
      this.#lastKey = Buffer.from(keys.key);
      RecordWriter.prototype.install.call(writer, keys, recordSeq);
    };
    writer.write = (type, content) => {
      if (type !== HANDSHAKE) return take(type, content);
      for (let at = 0; at < content.length; ) {
        const length = 4 + ((content[at + 1]! << 16) | (content[at + 2]! << 8) | content[at + 3]!);
        take(HANDSHAKE, content.subarray(at, at + length));
        at += length;
      }
    };
    writer.writeFirstHello = (message) => take(HANDSHAKE, message);
    writer.writeChangeCipherSpec = () => {
      // The keys that come with it are in force after it (RFC 5246 7.1), or are the middleboxes' business.
      const keys = this.#pendingKeys;
      this.#pendingKeys = undefined;
      take(CHANGE_CIPHER_SPEC, Uint8Array.of(1));
      this.#pendingKeys = keys;
    };
  }
}

function signed(event: Extract<HandshakeEvent, { type: 'sign' }>): Uint8Array {
  return signWith((event.credential as TestCredential).key, event.scheme, event.data);
}

function isTls13({ keys }: { readonly keys: RecordKeys }): boolean {
  return keys.suite.id >> 8 === 0x13;
}
