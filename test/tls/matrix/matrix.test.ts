/**
 * Every message in every state, both roles, all versions: what the RFC allows goes on, all else is ended with
 * the RFC's alert. What is allowed where is written down here from the RFCs' state machines (RFC 8446 appendix A,
 * RFC 5246 7.3), not read from the code. `UPDATE_DOCS=1` writes docs/state-matrix.md.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { ClientConfig, ServerConfig } from '../../../src/tls/index.ts';
import { ClientHandshake, ServerHandshake, TlsConnection } from '../../../src/tls/index.ts';
import { clientConfig } from '../../support/client-driver.ts';
import { config } from '../../support/handshake-driver.ts';
import { MemoryPair } from '../../support/memory-pair.ts';
import { nodeCryptoProvider, P256, X25519 } from '../../support/node-crypto-provider.ts';
import { sessionTickets } from '../../support/session-tickets.ts';
import { testCredential } from '../../support/test-credentials.ts';
import { ScriptedPeer } from './scripted-peer.ts';

const TLS12 = 0x0303;
const TLS13 = 0x0304;
const UNEXPECTED_MESSAGE = 10;

/** RFC 8446 B.3, RFC 5246 7.4 and the registry: all that there are, and one that there is not. */
const MESSAGES: Readonly<Record<string, number>> = {
  hello_request: 0,
  client_hello: 1,
  server_hello: 2,
  new_session_ticket: 4,
  end_of_early_data: 5,
  encrypted_extensions: 8,
  certificate: 11,
  server_key_exchange: 12,
  certificate_request: 13,
  server_hello_done: 14,
  certificate_verify: 15,
  client_key_exchange: 16,
  finished: 20,
  certificate_status: 22,
  key_update: 24,
  compressed_certificate: 25,
  message_hash: 254,
  unassigned: 99,
};
const COLUMNS = [...Object.keys(MESSAGES), 'change_cipher_spec', 'application_data', 'heartbeat'];

interface State {
  /** What may come; anything else is unexpected_message. */
  readonly takes: readonly string[];
  /** What has another alert. */
  readonly others?: Readonly<Record<string, number>>;
  /** What is dropped: RFC 8446 5 (ChangeCipherSpec), RFC 5246 7.4.1.1 (HelloRequest). */
  readonly drops?: readonly string[];
}
type Machine = Readonly<Record<string, State>>;

const dropsChangeCipherSpec = { drops: ['change_cipher_spec'] } as const;
const SERVER_13: Machine = {
  ExpectClientHello: { takes: ['client_hello'] },
  ExpectSecondClientHello: { takes: ['client_hello'], ...dropsChangeCipherSpec },
  ExpectCertificate: { takes: ['certificate'], ...dropsChangeCipherSpec },
  ExpectCertificateVerify: { takes: ['certificate_verify'], ...dropsChangeCipherSpec },
  ExpectFinished: { takes: ['finished'], ...dropsChangeCipherSpec },
  Established: { takes: ['key_update', 'application_data'] },
};
const CLIENT_13: Machine = {
  ExpectServerHello: { takes: ['server_hello'], ...dropsChangeCipherSpec },
  ExpectSecondServerHello: { takes: ['server_hello'], ...dropsChangeCipherSpec },
  ExpectEncryptedExtensions: { takes: ['encrypted_extensions'], ...dropsChangeCipherSpec },
  ExpectCertificateOrRequest: { takes: ['certificate', 'certificate_request'], ...dropsChangeCipherSpec },
  ExpectCertificate: { takes: ['certificate'], ...dropsChangeCipherSpec },
  ExpectCertificateVerify: { takes: ['certificate_verify'], ...dropsChangeCipherSpec },
  ExpectFinished: { takes: ['finished'], ...dropsChangeCipherSpec },
  Established: { takes: ['key_update', 'new_session_ticket', 'application_data'] },
};
const NO_RENEGOTIATION = 100;
/** Alerts other than unexpected_message, as the table names them. */
const ALERTS = { [NO_RENEGOTIATION]: 'no_renegotiation (100)' };
const SERVER_12: Machine = {
  ExpectClientHello: { takes: ['client_hello'] },
  ExpectCertificate: { takes: ['certificate'] },
  ExpectClientKeyExchange: { takes: ['client_key_exchange'] },
  ExpectCertificateVerify: { takes: ['certificate_verify'] },
  ExpectChangeCipherSpec: { takes: ['change_cipher_spec'] },
  ExpectFinished: { takes: ['finished'] },
  Established: {
    takes: ['application_data'],
    // RFC 5246 7.2.2; a HelloRequest is nothing that a client sends, and is refused alike.
    others: { client_hello: NO_RENEGOTIATION, hello_request: NO_RENEGOTIATION },
  },
};

/** RFC 5246 7.4.1.1: a HelloRequest "will be ignored by the client if the client is currently negotiating a session". */
const dropsHelloRequest = { drops: ['hello_request'] } as const;
const CLIENT_12: Machine = {
  // Nothing is negotiated before it.
  ExpectServerHello: { takes: ['server_hello'] },
  ExpectCertificate: { takes: ['certificate'], ...dropsHelloRequest },
  ExpectCertificateStatusOrServerKeyExchange: {
    takes: ['certificate_status', 'server_key_exchange'],
    ...dropsHelloRequest,
  },
  ExpectServerKeyExchange: { takes: ['server_key_exchange'], ...dropsHelloRequest },
  ExpectCertificateRequestOrServerHelloDone: {
    takes: ['certificate_request', 'server_hello_done'],
    ...dropsHelloRequest,
  },
  ExpectServerHelloDone: { takes: ['server_hello_done'], ...dropsHelloRequest },
  ExpectNewSessionTicket: { takes: ['new_session_ticket'], ...dropsHelloRequest },
  ExpectChangeCipherSpec: { takes: ['change_cipher_spec'], ...dropsHelloRequest },
  ExpectFinished: { takes: ['finished'], ...dropsHelloRequest },
  Established: {
    takes: ['application_data'],
    // RFC 5246 7.2.2; a ClientHello is nothing that a server sends, and is refused alike.
    others: { client_hello: NO_RENEGOTIATION, hello_request: NO_RENEGOTIATION },
  },
};

interface Path {
  readonly name: string;
  readonly role: 'server' | 'client';
  readonly version: number;
  readonly machine: Machine;
  /** The states this way leads through, in order. */
  readonly states: readonly string[];
  /** With a session of a handshake before. */
  readonly resumes?: true;
  readonly server?: Partial<ServerConfig>;
  readonly client?: Partial<ClientConfig>;
}

const PATHS: readonly Path[] = [
  {
    name: 'TLS 1.3 server',
    role: 'server',
    version: TLS13,
    machine: SERVER_13,
    states: ['ExpectClientHello', 'ExpectFinished', 'Established'],
  },
  {
    name: 'TLS 1.3 server, after a HelloRetryRequest',
    role: 'server',
    version: TLS13,
    machine: SERVER_13,
    states: ['ExpectClientHello', 'ExpectSecondClientHello', 'ExpectFinished', 'Established'],
    client: { keyShareGroups: [] },
  },
  {
    name: 'TLS 1.3 client',
    role: 'client',
    version: TLS13,
    machine: CLIENT_13,
    states: [
      'ExpectServerHello',
      'ExpectEncryptedExtensions',
      'ExpectCertificateOrRequest',
      'ExpectCertificateVerify',
      'ExpectFinished',
      'Established',
    ],
  },
  {
    name: 'TLS 1.3 client, after a HelloRetryRequest',
    role: 'client',
    version: TLS13,
    machine: CLIENT_13,
    states: [
      'ExpectServerHello',
      'ExpectSecondServerHello',
      'ExpectEncryptedExtensions',
      'ExpectCertificateOrRequest',
      'ExpectCertificateVerify',
      'ExpectFinished',
      'Established',
    ],
    client: { keyShareGroups: [] },
  },
  {
    name: 'TLS 1.3 server, with a client certificate',
    role: 'server',
    version: TLS13,
    machine: SERVER_13,
    states: [
      'ExpectClientHello',
      'ExpectCertificate',
      'ExpectCertificateVerify',
      'ExpectFinished',
      'Established',
    ],
    server: { clientAuthentication: { required: true, schemes: [0x0403], authorities: [] } },
    client: { selectCredential: () => testCredential('ecdsa-p256') },
  },
  {
    name: 'TLS 1.3 client, with a client certificate',
    role: 'client',
    version: TLS13,
    machine: CLIENT_13,
    states: [
      'ExpectServerHello',
      'ExpectEncryptedExtensions',
      'ExpectCertificateOrRequest',
      'ExpectCertificate',
      'ExpectCertificateVerify',
      'ExpectFinished',
      'Established',
    ],
    server: { clientAuthentication: { required: true, schemes: [0x0403], authorities: [] } },
    client: { selectCredential: () => testCredential('ecdsa-p256') },
  },
  {
    name: 'TLS 1.2 server',
    role: 'server',
    version: TLS12,
    machine: SERVER_12,
    states: [
      'ExpectClientHello',
      'ExpectClientKeyExchange',
      'ExpectChangeCipherSpec',
      'ExpectFinished',
      'Established',
    ],
  },
  {
    name: 'TLS 1.2 client',
    role: 'client',
    version: TLS12,
    machine: CLIENT_12,
    states: [
      'ExpectServerHello',
      'ExpectCertificate',
      'ExpectServerKeyExchange',
      'ExpectCertificateRequestOrServerHelloDone',
      'ExpectChangeCipherSpec',
      'ExpectFinished',
      'Established',
    ],
  },
  {
    name: 'TLS 1.2 server, with a client certificate',
    role: 'server',
    version: TLS12,
    machine: SERVER_12,
    states: [
      'ExpectClientHello',
      'ExpectCertificate',
      'ExpectClientKeyExchange',
      'ExpectCertificateVerify',
      'ExpectChangeCipherSpec',
      'ExpectFinished',
      'Established',
    ],
    server: { clientAuthentication: { required: true, schemes: [0x0403], authorities: [] } },
    client: { selectCredential: () => testCredential('ecdsa-p256') },
  },
  {
    name: 'TLS 1.2 client, with a client certificate and a stapled OCSP response',
    role: 'client',
    version: TLS12,
    machine: CLIENT_12,
    states: [
      'ExpectServerHello',
      'ExpectCertificate',
      'ExpectCertificateStatusOrServerKeyExchange',
      'ExpectServerKeyExchange',
      'ExpectCertificateRequestOrServerHelloDone',
      'ExpectServerHelloDone',
      'ExpectChangeCipherSpec',
      'ExpectFinished',
      'Established',
    ],
    server: {
      clientAuthentication: { required: true, schemes: [0x0403], authorities: [] },
      selectCredential: () => ({
        ...testCredential('ecdsa-p256'),
        ocspResponse: Uint8Array.of(0x30, 3, 10, 1, 6),
      }),
    },
    client: { selectCredential: () => testCredential('ecdsa-p256'), requestOcsp: true },
  },
  {
    name: 'TLS 1.3 server, resumed',
    role: 'server',
    version: TLS13,
    machine: SERVER_13,
    states: ['ExpectClientHello', 'ExpectFinished', 'Established'],
    resumes: true,
  },
  {
    name: 'TLS 1.3 client, resumed',
    role: 'client',
    version: TLS13,
    machine: CLIENT_13,
    states: ['ExpectServerHello', 'ExpectEncryptedExtensions', 'ExpectFinished', 'Established'],
    resumes: true,
  },
];

const SUITES = [0x1301, 0xc02b];

const tickets = sessionTickets();
const now = () => tickets.clock;
const sessions = new Map<Path, Uint8Array>();

/** A session for the path, from a handshake in full. */
function sessionFor(path: Path): Uint8Array {
  let session = sessions.get(path);
  if (session === undefined) {
    const versions = [path.version];
    const { client } = new MemoryPair(
      { versions, suites: SUITES, now },
      { versions, suites: SUITES, tickets },
    );
    session = client.sessions[0]!;
    sessions.set(path, session);
  }
  return session;
}

function begin(path: Path): ScriptedPeer {
  const credential = testCredential('ecdsa-p256');
  const provider = nodeCryptoProvider();
  const server: ServerConfig = {
    ...config,
    versions: [path.version],
    suites: SUITES,
    groups: [X25519, P256],
    selectCredential: () => credential,
    ...(path.resumes && { tickets }),
    ...path.server,
  };
  const client: ClientConfig = {
    ...clientConfig,
    versions: [path.version],
    suites: SUITES,
    ...(path.resumes && { session: sessionFor(path), now }),
    ...path.client,
  };
  return path.role === 'server'
    ? new ScriptedPeer(new ClientHandshake(client, provider), TlsConnection.server(server, provider))
    : new ScriptedPeer(new ServerHandshake(server, provider), TlsConnection.client(client, provider));
}

/** Up to where the `nth` state has been entered. */
function reach(path: Path, nth: number): ScriptedPeer {
  const peer = begin(path);
  let seen = 0;
  let last = peer.state;
  while (seen < nth) {
    if (!peer.step()) throw new Error(`${path.name}: nothing more to say in ${peer.state}`);
    if (peer.state !== last) {
      last = peer.state;
      seen++;
    }
  }
  return peer;
}

/** Bodies as they were once said, by message, so that it is the place that is wrong and not the form. */
const samples = new Map<number, Uint8Array>();
function rehearse(path: Path): string[] {
  const peer = begin(path);
  const states = [peer.state];
  for (;;) {
    const { next } = peer;
    if (next?.type === 22) samples.set(next.content[0]!, next.content);
    if (!peer.step()) return states;
    if (peer.state !== states.at(-1)) states.push(peer.state);
  }
}

function contentOf(column: string): { type: number; content: Uint8Array } {
  if (column === 'change_cipher_spec') return { type: 20, content: Uint8Array.of(1) };
  if (column === 'application_data') return { type: 23, content: Uint8Array.of(1, 2, 3) };
  if (column === 'heartbeat') return { type: 24, content: Uint8Array.of(1, 0, 0) };
  const type = MESSAGES[column]!;
  if (column === 'key_update') return { type: 22, content: Uint8Array.of(24, 0, 0, 1, 0) };
  return { type: 22, content: samples.get(type) ?? Uint8Array.of(type, 0, 0, 0) };
}

type Cell = 'takes' | 'drops' | number;
const table = new Map<string, Map<string, Cell>>();

describe.each(PATHS)('State skipping: $name', (path) => {
  test('goes through the states that the RFC has', () => {
    expect(rehearse(path)).toEqual(path.states);
  });

  test.each(path.states.map((state, nth) => [state, nth] as const))('%s', (state, nth) => {
    for (const other of PATHS) rehearse(other);
    const expected = path.machine[state]!;
    const wrong: string[] = [];
    const row = new Map<string, Cell>();
    for (const column of COLUMNS) {
      const peer = reach(path, nth);
      expect(peer.state).toBe(state);
      const { type, content } = contentOf(column);
      const events = peer.interject(type, content);
      const failed = events.find((event) => event.type === 'fail');
      const cell: Cell = expected.takes.includes(column)
        ? 'takes'
        : expected.drops?.includes(column)
          ? 'drops'
          : (expected.others?.[column] ?? UNEXPECTED_MESSAGE);
      row.set(column, cell);
      const got =
        failed === undefined ? (peer.state === state ? 'nothing' : 'a new state') : String(failed.alert);
      if (cell === 'drops' && got !== 'nothing') wrong.push(`${column}: expected to be dropped, got ${got}`);
      // What is taken is judged by its own tests; here, only that it is not out of place.
      if (cell === 'takes' && got === String(UNEXPECTED_MESSAGE))
        wrong.push(`${column}: expected to be taken, got ${failed?.reason}`);
      if (typeof cell === 'number' && got !== String(cell))
        wrong.push(`${column}: expected alert ${cell}, got ${got} ${failed?.reason ?? ''}`);
    }
    const role = `TLS 1.${path.version - 0x0301} ${path.role}`;
    table.set(`${role}\t${state}`, row);
    expect(wrong).toEqual([]);
  });
});

test('docs/state-matrix.md shows this', () => {
  const file = new URL('../../../docs/state-matrix.md', import.meta.url);
  const lines: string[] = [];
  let role = '';
  for (const [key, row] of [...table].sort(([a], [b]) => (a.split('\t')[0]! < b.split('\t')[0]! ? -1 : 1))) {
    const [thisRole, state] = key.split('\t');
    if (thisRole !== role) {
      role = thisRole!;
      lines.push(
        '',
        `### ${role}`,
        '',
        `| state | taken | dropped | every other message |`,
        '|---|---|---|---|',
      );
    }
    const names = (kind: Cell) =>
      [...row]
        .filter(([, cell]) => cell === kind)
        .map(([name]) => `\`${name}\``)
        .join(', ') || '–';
    const others = Object.entries(ALERTS)
      .map(([alert, name]) => [name, names(Number(alert))])
      .filter(([, list]) => list !== '–')
      .map(([name, list]) => `; ${name} ${list}`);
    lines.push(
      `| ${state} | ${names('takes')} | ${names('drops')} | unexpected_message (10)${others.join('')} |`,
    );
  }
  const text = readFileSync(file, 'utf8');
  const made = text.replace(/(<!-- matrix -->\n)[\s\S]*(<!-- \/matrix -->)/, `$1${lines.join('\n')}\n\n$2`);
  if (process.env.UPDATE_DOCS !== undefined) writeFileSync(file, made);
  else expect(text).toBe(made);
});
