/**
 * Client and server in memory, where what either of them writes can be changed before it is sealed, and any record
 * crafted under its present keys: the other one is under test.
 */
import { vi } from 'vitest';
import {
  type ClientConfig,
  type ConnectionEvent,
  type ConnectionOptions,
  type CryptoProvider,
  type ServerConfig,
  TlsConnection,
} from '../../src/tls/index.ts';
import { RecordWriter } from '../../src/tls/records/record-writer.ts';
import { clientConfig } from './client-driver.ts';
import { config as serverConfig } from './handshake-driver.ts';
import { NOW } from './memory-pair.ts';
import { nodeCryptoProvider, P256, X25519 } from './node-crypto-provider.ts';
import { sessionTickets } from './session-tickets.ts';
import { signWith } from './sign-with.ts';
import { type TestCredential, testCredential } from './test-credentials.ts';
import { record } from './tls13-client.ts';

export type Role = 'client' | 'server';
export const other = (role: Role): Role => (role === 'client' ? 'server' : 'client');
export const ROLES: readonly Role[] = ['client', 'server'];
export const VERSIONS = [0x0304, 0x0303] as const;
export type Version = (typeof VERSIONS)[number];

/** What is written in place of `content`: types and contents of records, or undefined to leave it as it is. */
export type Edit = (
  from: Role,
  type: number,
  content: Uint8Array,
) => readonly (readonly [number, Uint8Array])[] | undefined;

const SUITES: Readonly<Record<Version, readonly number[]>> = { 772: [0x1301], 771: [0xc02b] };

let acting: { pair: CraftedPair; role: Role } | undefined;
let isInner = false;
const { write, install } = RecordWriter.prototype;
vi.spyOn(RecordWriter.prototype, 'install').mockImplementation(function (this: RecordWriter, ...parameters) {
  install.apply(this, parameters);
  acting?.pair.writers.set(acting.role, this);
});
vi.spyOn(RecordWriter.prototype, 'write').mockImplementation(function (
  this: RecordWriter,
  type,
  content,
  parts,
) {
  const edited = isInner ? undefined : acting?.pair.edit?.(acting.role, type, content);
  for (const [ownType, ownContent] of edited ?? [[type, content] as const]) {
    write.call(this, ownType, ownContent, parts);
  }
});

export interface CraftedOptions {
  readonly version?: Version;
  readonly suite?: number;
  readonly client?: Partial<ClientConfig>;
  readonly server?: Partial<ServerConfig>;
  readonly connection?: ConnectionOptions;
  readonly edit?: Edit;
  readonly portion?: number;
  readonly provider?: CryptoProvider;
}

export class CraftedPair {
  readonly writers = new Map<Role, RecordWriter>();
  readonly edit: Edit | undefined;
  readonly events: Readonly<Record<Role, ConnectionEvent[]>> = { client: [], server: [] };
  readonly connections: Readonly<Record<Role, TlsConnection>>;
  readonly #output: Readonly<Record<Role, Uint8Array[]>> = { client: [], server: [] };
  readonly #portion: number;

  constructor(options: CraftedOptions = {}) {
    const { version = 0x0304, connection = {} } = options;
    this.edit = options.edit;
    this.#portion = options.portion ?? Number.POSITIVE_INFINITY;
    const suites = options.suite === undefined ? SUITES[version] : [options.suite];
    const common = { versions: [version], suites, groups: [X25519, P256] };
    const provider = options.provider ?? nodeCryptoProvider();
    const selectCredential = () => testCredential('ecdsa-p256');
    this.connections = {
      client: TlsConnection.client(
        { ...clientConfig, ...common, now: () => NOW, ...options.client },
        provider,
        connection,
      ),
      server: TlsConnection.server(
        { ...serverConfig, ...common, selectCredential, tickets: sessionTickets(), ...options.server },
        provider,
        connection,
      ),
    };
  }

  /** The handshake, and whatever else is under way. */
  run(): this {
    if (this.events.client.length === 0) this.act('client', (client) => client.start());
    for (let sent = true; sent; ) {
      sent = false;
      for (const role of ROLES) {
        const bytes = Buffer.concat(this.#output[role].splice(0));
        sent ||= bytes.length > 0;
        for (let at = 0; at < bytes.length; at += this.#portion) {
          this.feed(other(role), bytes.subarray(at, at + this.#portion));
        }
      }
    }
    return this;
  }

  /** Runs something of one side; its questions are answered at once. */
  act(role: Role, work: (connection: TlsConnection) => ConnectionEvent[]): ConnectionEvent[] {
    const connection = this.connections[role];
    acting = { pair: this, role };
    const events = work(connection);
    acting = undefined;
    for (const event of events) {
      this.events[role].push(event);
      if (event.type === 'send' || event.type === 'fail') this.#output[role].push(event.bytes);
      if (event.type === 'verify') this.act(role, () => connection.provideVerification(undefined));
      if (event.type === 'sign') {
        const { credential, scheme, data } = event;
        const signature = signWith((credential as TestCredential).key, scheme, data);
        this.act(role, () => connection.provideSignature(signature));
      }
    }
    return events;
  }

  /** Bytes from the wire, in a buffer that is overwritten after the call. */
  feed(to: Role, bytes: Uint8Array): ConnectionEvent[] {
    const lent = Uint8Array.from(bytes);
    const events = this.act(to, (connection) => connection.receive(lent));
    lent.fill(0xaa);
    return events;
  }

  /** A record as `from` would send it now, whatever its type and length. */
  craft(from: Role, type: number, content: Uint8Array): Buffer {
    const { protection } = this.writers.get(from) ?? {};
    if (protection === undefined) return record(type, content);
    const parts: Uint8Array[] = [];
    isInner = true;
    protection.seal(type, content, parts);
    isInner = false;
    return Buffer.concat(parts);
  }

  failure(role: Role): Extract<ConnectionEvent, { type: 'fail' }> | undefined {
    return this.events[role].find((event) => event.type === 'fail');
  }

  isEstablished(role: Role): boolean {
    return this.events[role].some(({ type }) => type === 'established');
  }

  data(role: Role): string {
    return this.events[role]
      .map((event) => (event.type === 'data' ? Buffer.from(event.bytes).toString('latin1') : ''))
      .join('');
  }
}

/** Types of the handshake messages in `content`, which are whole. */
export function messageTypes(content: Uint8Array): number[] {
  const types: number[] = [];
  for (let at = 0; at + 4 <= content.length; ) {
    types.push(content[at]!);
    at += 4 + ((content[at + 1]! << 16) | (content[at + 2]! << 8) | content[at + 3]!);
  }
  return types;
}
