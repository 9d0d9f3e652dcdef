/** Sessions and client certificates through the whole server: handshake in TypeScript, records by the engines. */
import { randomBytes } from 'node:crypto';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { type ConnectionOptions, connect } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { ServeOptions, Server } from '../../src/index.ts';
import { testCredential } from '../support/test-credentials.ts';
import { type Credentials, issue, program, run, Site, sha256, start, until } from './support.ts';

let site: Site;
let credentials: Credentials;
let file: Buffer;
const servers: Server[] = [];
beforeAll(() => {
  site = new Site();
  credentials = issue(site.directory);
  file = site.random('file.bin', 300_000);
  for (const kind of ['ecdsa-p256', 'rsa'] as const) {
    writeFileSync(authority(kind), testCredential(kind).certificatePem);
  }
});
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close(0);
});
afterAll(() => {
  site.remove();
});

/** A certificate of a client, which is its own authority. */
const authority = (kind: 'ecdsa-p256' | 'rsa') => site.path(`client-${kind}.pem`);

async function open(options: ServeOptions = {}): Promise<Server> {
  const server = await start(site, credentials, options);
  servers.push(server);
  return server;
}

interface Visit {
  readonly reused: boolean;
  readonly body: string;
  readonly session: Buffer | undefined;
}

/** One connection, one request; what it leaves to resume with. */
function visit({ address }: Server, options: ConnectionOptions = {}): Promise<Visit> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let session: Buffer | undefined;
    let reused = false;
    const socket = connect(
      {
        port: address.port,
        host: '127.0.0.1',
        servername: 'localhost',
        ca: readFileSync(credentials.ca),
        ...options,
      },
      () => {
        reused = socket.isSessionReused();
        socket.write('GET /file.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
      },
    );
    socket.on('session', (given) => {
      session = given;
    });
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', reject);
    socket.on('close', () => {
      const bytes = Buffer.concat(chunks);
      resolve({ reused, session, body: sha256(bytes.subarray(bytes.indexOf('\r\n\r\n') + 4)) });
    });
  });
}

const resuming = (from: Visit, more: ConnectionOptions = {}) => ({ ...more, session: from.session });

describe.each([0, 2])('with %i control workers', (controlWorkers) => {
  test('a session is resumed, and every byte of the answer is right', async () => {
    const server = await open({ controlWorkers });
    const first = await visit(server);
    const second = await visit(server, resuming(first));
    const third = await visit(server, resuming(second));
    expect([first, second, third].map(({ reused }) => reused)).toEqual([false, true, true]);
    for (const { body } of [first, second, third]) expect(body).toBe(sha256(file));
    expect(server.stats().handshakes).toEqual({ full: 1, resumed: 2, failed: 0 });
  });

  test('a ticket for one use', async () => {
    const server = await open({ controlWorkers, singleUseTickets: true });
    const first = await visit(server);
    const again = [await visit(server, resuming(first)), await visit(server, resuming(first))];
    expect(again.map(({ reused }) => reused)).toEqual([true, false]);
  });

  test('a certificate is required of clients, and judged again when they resume', async () => {
    const own = (kind: 'ecdsa-p256' | 'rsa') => {
      const { certificatePem, keyPem } = testCredential(kind);
      return { cert: certificatePem, key: keyPem };
    };
    const server = await open({ controlWorkers, clientCa: authority('ecdsa-p256') });
    const first = await visit(server, own('ecdsa-p256'));
    expect(first.body).toBe(sha256(file));
    const second = await visit(server, resuming(first, own('ecdsa-p256')));
    expect(second.reused).toBe(true);
    await expect(visit(server)).rejects.toThrow(/certificate.required/i);
    await expect(visit(server, own('rsa'))).rejects.toThrow(/unknown ca|bad certificate/i);
    // Another authority from now on: neither the session nor its certificate is of use.
    await server.reload({ ...serverSettings(server), clientCa: authority('rsa') });
    await expect(visit(server, resuming(second, own('ecdsa-p256')))).rejects.toThrow(
      /unknown ca|bad certificate/i,
    );
    expect((await visit(server, own('rsa'))).reused).toBe(false);
  });
});

const serverSettings = ({ settings }: Server): ServeOptions => {
  const { headers: _, ...rest } = settings;
  return rest;
};

describe('ticket keys in a file', () => {
  const keys = (...lines: [role: string, key: Buffer][]) => {
    const path = site.path('ticket.keys');
    writeFileSync(path, lines.map(([role, key]) => `${role} ${key.toString('base64')}\n`).join(''));
    chmodSync(path, 0o600);
    return path;
  };
  const [a, b] = [randomBytes(32), randomBytes(32)];

  test('two servers resume each other’s sessions; without it they do not', async () => {
    const ticketKeys = keys(['current', a]);
    const [one, two] = [await open({ ticketKeys }), await open({ ticketKeys })];
    const first = await visit(one);
    expect((await visit(two, resuming(first))).reused).toBe(true);
    const other = await open();
    expect((await visit(other, resuming(first))).reused).toBe(false);
  });

  test('a reload takes the new ones: what no key in the file opens is not resumed', async () => {
    const ticketKeys = keys(['current', a]);
    const server = await open({ ticketKeys });
    const first = await visit(server);
    keys(['previous', a], ['current', b]);
    await server.reload();
    const second = await visit(server, resuming(first));
    expect(second.reused).toBe(true);
    keys(['current', b]);
    await server.reload();
    expect((await visit(server, resuming(first))).reused).toBe(false);
    expect((await visit(server, resuming(second))).reused).toBe(true);
    // A bad file changes nothing.
    keys(['current', Buffer.alloc(16, 1)]);
    await expect(server.reload()).rejects.toMatchObject({ code: 'ERR_SOCRYPT_TICKET_KEYS' });
    expect((await visit(server, resuming(second))).reused).toBe(true);
  });

  test.each([[0], [1]])(
    'is read when it changes, without a reload (%i control workers)',
    async (controlWorkers) => {
      const server = await open({ ticketKeys: keys(['current', a]), controlWorkers });
      const first = await visit(server);
      expect((await visit(server, resuming(first))).reused).toBe(true);
      keys(['current', b]);
      await until(async () => !(await visit(server, resuming(first))).reused, 'the new keys to be in use');
      expect((await visit(server, resuming(await visit(server)))).reused).toBe(true);
    },
  );

  test('a reload that fails in another part leaves the keys and the certificates, too', async () => {
    const [mine, other] = [randomBytes(32), randomBytes(32)];
    let key = mine;
    const ticketKeyCallback = () => ({ current: key, next: [], previous: [] });
    const server = await open({ ticketKeyCallback });
    const first = await visit(server);
    key = other;
    const bad = { ...serverSettings(server), root: site.path('nowhere') };
    await expect(server.reload(bad)).rejects.toMatchObject({ code: 'ERR_SOCRYPT_ROOT_MISSING' });
    const second = await visit(server, resuming(first));
    expect(second.reused).toBe(true);
    await server.reload();
    expect((await visit(server, resuming(first))).reused).toBe(false);
    // And the other way round: keys that fail leave the certificates.
    key = Buffer.alloc(32);
    const before = server.credentials;
    const { cert, key: keyFile } = credentials.rsa;
    const next = { ...serverSettings(server), cert: [cert], key: [keyFile] };
    await expect(server.reload(next)).rejects.toMatchObject({ code: 'ERR_SOCRYPT_TICKET_KEYS' });
    expect(server.credentials).toBe(before);
    expect(server.settings.cert).toHaveLength(2);
  });

  test.each<[string, () => string, RegExp]>([
    ['short', () => keys(['current', randomBytes(16)]), /--ticket-keys.*16 bytes/],
    ['zero', () => keys(['current', Buffer.alloc(32)]), /--ticket-keys.*random/],
    ['missing', () => site.path('none.keys'), /--ticket-keys/],
  ])('%s: refused at the start', async (_, path, message) => {
    await expect(open({ ticketKeys: path() })).rejects.toThrow(message);
  });

  test('readable by others: refused at the start', async () => {
    const path = keys(['current', a]);
    chmodSync(path, 0o644);
    await expect(open({ ticketKeys: path })).rejects.toThrow(/--ticket-keys.*0644/);
  });
});

test('keys by a function of the program', async () => {
  const key = randomBytes(32);
  const ticketKeyCallback = async () => ({ current: key, next: [], previous: [] });
  const [one, two] = [await open({ ticketKeyCallback }), await open({ ticketKeyCallback })];
  expect((await visit(two, resuming(await visit(one)))).reused).toBe(true);
  const broken = () => Promise.reject(new Error('no key store'));
  await expect(open({ ticketKeyCallback: broken })).rejects.toThrow('no key store');
});

test('without tickets no session is resumed', async () => {
  const server = await open({ tickets: 0 });
  const first = await visit(server);
  expect(first.session).toBeUndefined();
});

test('a revocation list without authorities is refused at the start', async () => {
  await expect(open({ clientCrl: site.path('x.crl') })).rejects.toMatchObject({
    code: 'ERR_SOCRYPT_CLIENT_CA_MISSING',
  });
});

test.skipIf(program('gnutls-cli') === null)(
  'a client with a record size limit of its own gets no longer records (skipped without gnutls-cli)',
  async () => {
    const server = await open();
    const args = ['--port', String(server.address.port), '--x509cafile', credentials.ca];
    args.push(
      '--recordsize',
      '512',
      '--sni-hostname',
      'localhost',
      '--verify-hostname',
      'localhost',
      '127.0.0.1',
    );
    const request = 'GET /file.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
    const { stdout } = await run('gnutls-cli', args, request);
    // gnutls refuses longer ones with record_overflow; so all of it is there.
    expect(stdout.includes(file)).toBe(true);
  },
);
