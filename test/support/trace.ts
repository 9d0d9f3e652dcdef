/**
 * Connections recorded so that they can be played again: the one side of them is made anew with the same randomness,
 * keys and clock, and is given the recorded bytes of the other, whole, in pieces or changed.
 */
import {
  type ClientConfig,
  type ConnectionEvent,
  type ServerConfig,
  TlsConnection,
} from '../../src/tls/index.ts';
import { seal } from '../../src/tls/session/index.ts';
import { clientConfig } from './client-driver.ts';
import { config as serverConfig } from './handshake-driver.ts';
import { nodeCryptoProvider, P384 } from './node-crypto-provider.ts';
import { Random } from './random.ts';
import { newKey, sessionTickets } from './session-tickets.ts';
import { signWith } from './sign-with.ts';
import { type TestCredential, testCredential } from './test-credentials.ts';

/** Enough for every trace here, and little, so that what exceeds it shows. */
export const MAX_HANDSHAKE_BYTES = 16_384;

export type Step =
  | { readonly type: 'start' | 'close' }
  | { readonly type: 'receive' | 'write'; readonly bytes: Buffer }
  | { readonly type: 'updateKeys'; readonly requestPeer: boolean };

export interface Trace {
  readonly name: string;
  readonly role: 'client' | 'server';
  /** A fresh connection that behaves as the recorded one did. */
  readonly make: () => TlsConnection;
  readonly steps: readonly Step[];
}

const ticketKey = newKey();

/** Draws from `seed` alone: the same in every connection that is made of it. */
function seededProvider(seed: number) {
  const random = new Random(seed);
  return nodeCryptoProvider({
    randomBytes: (length) => Uint8Array.from(random.bytes(length)),
    // A leading zero keeps a scalar below the order of every curve.
    privateKey: (group) =>
      Buffer.concat([Buffer.of(0), random.bytes(group === P384 ? 46 : 30), Buffer.of(random.below(255) + 1)]),
  });
}

export function serverMaker(seed: number, changes: Partial<ServerConfig> = {}): () => TlsConnection {
  return () => {
    const provider = seededProvider(seed);
    const tickets = sessionTickets(ticketKey, {
      seal: (purpose, plaintext) => seal(provider, ticketKey, purpose, plaintext),
    });
    const whole = {
      ...serverConfig,
      selectCredential: () => testCredential('ecdsa-p256'),
      maxHandshakeBytes: MAX_HANDSHAKE_BYTES,
      tickets,
      ...changes,
    };
    return TlsConnection.server(whole, provider);
  };
}

export function clientMaker(seed: number, changes: Partial<ClientConfig> = {}): () => TlsConnection {
  return () =>
    TlsConnection.client(
      { ...clientConfig, maxHandshakeBytes: MAX_HANDSHAKE_BYTES, ...changes },
      seededProvider(seed),
    );
}

const signatures = new Map<string, Uint8Array>();

/** ECDSA and PSS are random; a replay needs the same again. */
function sameSignature(credential: TestCredential, scheme: number, data: Uint8Array): Uint8Array {
  const id = `${scheme} ${Buffer.from(data).toString('latin1')}`;
  let signature = signatures.get(id);
  if (signature === undefined) {
    signature = signWith(credential.key, scheme, data);
    if (signatures.size < 1000) signatures.set(id, signature);
  }
  return signature;
}

/** What answers 'sign' and 'verify'; undefined: the event asks for nothing. */
export function answer(
  connection: TlsConnection,
  event: ConnectionEvent,
): (() => ConnectionEvent[]) | undefined {
  switch (event.type) {
    case 'sign': {
      const { credential, scheme, data } = event;
      return () => connection.provideSignature(sameSignature(credential as TestCredential, scheme, data));
    }
    case 'verify':
      return () => connection.provideVerification(undefined);
    default:
      return undefined;
  }
}

/** A connection that notes what is done with it. */
export class Recorded {
  readonly connection: TlsConnection;
  readonly steps: Step[] = [];
  readonly received: Buffer[] = [];
  established = false;
  closed = false;
  readonly #make: () => TlsConnection;
  #sent: Uint8Array[] = [];

  constructor(make: () => TlsConnection) {
    this.#make = make;
    this.connection = make();
  }

  /** Does it; gives what is to be sent. Throws when the connection fails. */
  step(step: Step): Buffer {
    const before = this.steps.at(-1);
    if (step.type === 'receive' && before?.type === 'receive') {
      this.steps[this.steps.length - 1] = { ...step, bytes: Buffer.concat([before.bytes, step.bytes]) };
    } else this.steps.push(step.type === 'receive' ? { ...step, bytes: Buffer.from(step.bytes) } : step);
    this.#take(perform(this.connection, step));
    const sent = Buffer.concat(this.#sent);
    this.#sent = [];
    return sent;
  }

  trace(name: string, role: Trace['role']): Trace {
    return { name: `${role}, ${name}`, role, make: this.#make, steps: this.steps };
  }

  #take(events: readonly ConnectionEvent[]): void {
    for (const event of events) {
      if (event.type === 'fail') throw new Error(`a connection to be recorded failed: ${event.reason}`);
      if (event.type === 'send') this.#sent.push(event.bytes);
      if (event.type === 'data') this.received.push(Buffer.from(event.bytes));
      this.established ||= event.type === 'established';
      this.closed ||= event.type === 'closed';
      const answered = answer(this.connection, event);
      if (answered !== undefined) this.#take(answered());
    }
  }
}

/** A step that needs an established connection does nothing without one. */
export function perform(connection: TlsConnection, step: Step): ConnectionEvent[] {
  switch (step.type) {
    case 'start':
      return connection.start();
    case 'receive':
      return connection.receive(step.bytes);
    case 'close':
      return connection.state === 'Established' ? connection.close() : [];
    case 'write':
      return connection.state === 'Established' ? connection.write(step.bytes) : [];
    case 'updateKeys':
      return connection.state === 'Established' ? connection.updateKeys(step.requestPeer) : [];
  }
}

/** Our client against our server, with data, KeyUpdates and the close; both sides of it. */
export function recordPair(
  name: string,
  makeClient: () => TlsConnection,
  makeServer: () => TlsConnection,
): Trace[] {
  const client = new Recorded(makeClient);
  const server = new Recorded(makeServer);
  /** Carries bytes to and fro until there are none. */
  const settle = (toServer: Buffer, toClient: Buffer) => {
    let [up, down] = [toServer, toClient];
    while (up.length + down.length > 0) {
      const answered = up.length > 0 ? server.step({ type: 'receive', bytes: up }) : Buffer.alloc(0);
      const next = Buffer.concat([down, answered]);
      up = next.length > 0 ? client.step({ type: 'receive', bytes: next }) : Buffer.alloc(0);
      down = Buffer.alloc(0);
    }
  };
  const fromClient = (step: Step) => settle(client.step(step), Buffer.alloc(0));
  const fromServer = (step: Step) => settle(Buffer.alloc(0), server.step(step));
  fromClient({ type: 'start' });
  fromClient({ type: 'write', bytes: Buffer.from('question') });
  fromServer({ type: 'write', bytes: Buffer.alloc(20_000, 'answer') });
  fromClient({ type: 'updateKeys', requestPeer: true });
  fromServer({ type: 'write', bytes: Buffer.from('under a new key') });
  fromServer({ type: 'updateKeys', requestPeer: true });
  fromClient({ type: 'write', bytes: Buffer.from('so it is') });
  fromClient({ type: 'close' });
  fromServer({ type: 'close' });
  const whole = server.established && client.established && server.closed && client.closed;
  if (!whole) throw new Error(`recording of ${name}: the connection did not run to its end`);
  return [client.trace(name, 'client'), server.trace(name, 'server')];
}

/** Plays a trace; `pieces` cuts each receive step, `late` says after how many pieces a question is answered. */
export function play(
  trace: Trace,
  pieces: (bytes: Buffer, step: number) => readonly Buffer[] = (bytes) => [bytes],
  late: () => number = () => 0,
): ConnectionEvent[] {
  const connection = trace.make();
  const events: ConnectionEvent[] = [];
  let due = 0;
  const questions: (() => ConnectionEvent[])[] = [];
  const take = (batch: readonly ConnectionEvent[]): void => {
    for (const event of batch) {
      events.push(event);
      const answered = answer(connection, event);
      if (answered === undefined) continue;
      questions.push(answered);
      due = late();
    }
  };
  const settle = (atMost: number) => {
    while (questions.length > 0 && due <= atMost) take(questions.shift()!());
    due--;
  };
  trace.steps.forEach((step, index) => {
    if (step.type !== 'receive') take(perform(connection, step));
    else {
      for (const piece of pieces(step.bytes, index)) {
        // A buffer that is overwritten after the call, as an engine's is.
        const lent = Uint8Array.from(piece);
        take(connection.receive(lent));
        lent.fill(0xaa);
        settle(0);
      }
    }
    settle(Number.POSITIVE_INFINITY);
  });
  return events;
}

/** Events as text, to be compared: what is sent in a row counts as one. */
export function normalised(events: readonly ConnectionEvent[]): string[] {
  const lines: string[] = [];
  let sent = '';
  for (const event of events) {
    if (event.type === 'send') {
      sent += Buffer.from(event.bytes).toString('hex');
      continue;
    }
    if (sent !== '') lines.push(`send ${sent}`);
    sent = '';
    const { type, ...rest } = event;
    lines.push(
      `${type} ${JSON.stringify(rest, (_key, value) => (value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value))}`,
    );
  }
  if (sent !== '') lines.push(`send ${sent}`);
  return lines;
}
