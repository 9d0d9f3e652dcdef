/** Handshakes in control workers: what they answer, and what remains when one of them, or the process, ends. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createConnection } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ControlWorkers } from '../../src/control/control-workers.ts';
import { Credential, CredentialStore } from '../../src/control/credentials.ts';
import { native } from '../../src/native.ts';
import { sessionOptions } from '../support/session-tickets.ts';
import { handshakeOptions, planeWith, storeOf } from './plane.ts';
import {
  type Credentials,
  exchange,
  issue,
  parseResponses,
  processArgs,
  program,
  run,
  ServerProcess,
  Site,
  start,
  tcp,
  tls,
  until,
} from './support.ts';

const site = new Site({ 'small.txt': 'small\n' });
let credentials: Credentials;
const REQUEST = 'GET /small.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
const ends: (() => Promise<unknown>)[] = [];

beforeAll(() => {
  credentials = issue(site.directory);
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});
afterAll(() => site.remove());

const answers = async (port: number) => {
  const { bytes } = await exchange(port, credentials, REQUEST);
  return parseResponses(bytes, ['GET'])[0]!.body.toString();
};

async function serving(controlWorkers: number, workers = 1) {
  const server = await start(site, credentials, { controlWorkers, workers });
  ends.push(() => server.close(0));
  return server;
}

/** Workers on a plane without serve(), which keeps them to itself. */
async function working(
  workers: number,
  limits: { recordLimit?: number; engines?: number; tickets?: number } = {},
) {
  const said: string[] = [];
  const log = { info() {}, error: (_: object, text: string) => void said.push(text) };
  const handshakes = { ...handshakeOptions, sessions: sessionOptions(limits.tickets) };
  const control = new ControlWorkers(storeOf(credentials), { workers, handshakes }, log);
  ends.push(() => control.close());
  await control.start();
  const { plane, port, close } = await planeWith(site, null, limits);
  ends.push(close);
  control.attach(plane.handshakeChannels());
  return { control, plane, port, said };
}

describe('while the main thread is blocked', () => {
  const curl = program('curl');
  // The same process: as long as curl runs, its event loop stands still.
  const blocked = (port: number) =>
    execFileSync(curl!, ['-sk', '--max-time', '2', `https://127.0.0.1:${port}/small.txt`]).toString();

  it.skipIf(curl === null)('workers go on with handshakes (skipped without curl)', async () => {
    const { port } = (await serving(1)).address;
    expect(await answers(port)).toBe('small\n');
    expect(blocked(port)).toBe('small\n');
  });

  it.skipIf(curl === null)('without workers they wait for it (skipped without curl)', async () => {
    const { port } = (await serving(0)).address;
    expect(await answers(port)).toBe('small\n');
    expect(() => blocked(port)).toThrow();
    expect(await answers(port)).toBe('small\n');
  });
});

describe('all workers', () => {
  it('count into one sum', async () => {
    const server = await serving(2, 2);
    for (let i = 0; i < 20; ++i) expect(await answers(server.address.port)).toBe('small\n');
    const refused = await tcp(server.address.port);
    await refused.write(Buffer.from('16030100050100000100', 'hex')).end;
    expect(server.stats().handshakes).toEqual({ full: 20, resumed: 0, failed: 1 });
  });

  it('take new certificates before a reload is over', async () => {
    const server = await serving(2, 2);
    const subjects = async () => {
      const seen = new Set<string>();
      // So many that each engine has had some.
      for (let i = 0; i < 16; ++i) {
        const { socket } = await tls(server.address.port, credentials);
        seen.add((socket as TLSSocket).getPeerCertificate().serialNumber);
        socket.destroy();
      }
      return [...seen];
    };
    const before = await subjects();
    const { cert, key } = credentials.rsa;
    await server.reload({ root: site.root, port: 0, cert, key, controlWorkers: 2, workers: 2 });
    const after = await subjects();
    expect([before.length, after.length]).toEqual([1, 1]);
    expect(after).not.toEqual(before);
  });

  it('answer what comes after a handshake', async () => {
    site.random('big.bin', 3_000_000);
    const { plane, port } = await working(1, { recordLimit: 64 });
    const { bytes } = await exchange(port, credentials, REQUEST.replace('small.txt', 'big.bin'));
    expect(parseResponses(bytes, ['GET'])[0]!.body).toHaveLength(3_000_000);
    const at = plane.counterNames.indexOf('rekeys_tx');
    expect(plane.counters()[0]![at]).toBeGreaterThan(1);
  });

  it('are no more than there are engines', async () => {
    const { control, port } = await working(3, { engines: 2 });
    expect(control.threads).toHaveLength(3);
    expect(await answers(port)).toBe('small\n');
  });
});

describe('a worker that ends', () => {
  it('takes its handshakes with it and is replaced; what was open goes on', async () => {
    const { control, port, said } = await working(1);
    const open = await tls(port, credentials);
    await until(() => control.counters().full === 1, 'its handshake to be over here, too');
    // A hello that is not all there: the worker has it, and waits.
    const half = createConnection(port, '127.0.0.1');
    const ended = new Promise((done) => half.once('close', done));
    half.on('error', () => {}).resume();
    half.write(Buffer.from('16030100ff010000fb0303', 'hex'));
    await until(() => control.counters().pending === 1, 'the hello to arrive');

    await control.threads[0]!.terminate();
    await ended;
    expect(await answers(port)).toBe('small\n');
    expect(said).toHaveLength(1);
    const response = await open.write(REQUEST).end;
    expect(parseResponses(response.bytes, ['GET'])[0]!.body.toString()).toBe('small\n');
    expect(control.counters()).toMatchObject({ full: 2, pending: 0 });
  });

  it('is replaced by one with the ticket keys of now', async () => {
    const { control, port } = await working(1, { tickets: 1 });
    const visit = (session?: Buffer) =>
      new Promise<{ reused: boolean; ticket: Buffer | undefined }>((done, failed) => {
        let ticket: Buffer | undefined;
        let reused = false;
        const options = { port, host: '127.0.0.1', servername: 'localhost', rejectUnauthorized: false };
        const socket = connect(session === undefined ? options : { ...options, session }, () => {
          reused = socket.isSessionReused();
          socket.write(REQUEST);
        });
        socket.on('session', (given) => {
          ticket = given;
        });
        socket.on('error', failed).resume();
        socket.on('close', () => done({ reused, ticket }));
      });
    const before = await visit();
    expect((await visit(before.ticket)).reused).toBe(true);
    control.setTicketSecrets({ current: randomBytes(32), next: [], previous: [] });
    // The worker learns of them by a message, which a connection may overtake.
    await until(async () => !(await visit(before.ticket)).reused, 'a worker with the new keys');
    const { ticket } = await visit();
    const [dead] = control.threads;
    await dead!.terminate();
    await until(() => control.threads.length === 1 && control.threads[0] !== dead, 'the next worker');
    expect((await visit(ticket)).reused).toBe(true);
    expect((await visit(before.ticket)).reused).toBe(false);
  });

  it('again and again, under load: every connection is answered or ended', async () => {
    const { control, port } = await working(2, { engines: 2 });
    let busy = true;
    let answered = 0;
    const clients = Array.from({ length: 4 }, async () => {
      while (busy) {
        const wire = await tls(port, credentials).catch(() => undefined);
        if (wire === undefined) continue;
        const { bytes } = await wire.write(REQUEST).end;
        if (bytes.includes('small\n')) answered += 1;
      }
    });
    for (let i = 0; i < 6; ++i) {
      const before = answered;
      await until(() => answered > before + 3 && control.threads.length === 2, 'answers between two deaths');
      await control.threads[i % 2]!.terminate();
    }
    await until(() => control.threads.length === 2, 'both workers to be back');
    busy = false;
    await Promise.all(clients);
    expect(await answers(port)).toBe('small\n');
    expect(control.counters().pending).toBe(0);
  });

  it.each([
    ['whose key is gone', { sign: () => new Uint8Array(), handle: () => 2 ** 40 }],
    ['whose key stays in its thread', { sign: () => new Uint8Array() }],
  ])('one that cannot start, %s, is an error that names the option', async (_, signer) => {
    const store = new CredentialStore([new Credential(storeOf(credentials).credentials[0]!, signer)]);
    const log = { info() {}, error() {} };
    const control = new ControlWorkers(store, { workers: 1, handshakes: handshakeOptions }, log);
    await expect(control.start()).rejects.toMatchObject({
      code: 'ERR_SOCRYPT_CONTROL_WORKER',
      message: expect.stringContaining('controlWorkers'),
    });
    expect(control.threads).toHaveLength(0);
  });
});

describe('the end of the process', () => {
  const storm = (port: number) => {
    let busy = true;
    const clients = Array.from({ length: 4 }, async () => {
      while (busy) await exchange(port, credentials, REQUEST).catch(() => {});
    });
    return async () => {
      busy = false;
      await Promise.all(clients);
    };
  };

  it('SIGTERM under load: open transfers end, and the exit is clean', async () => {
    const process = new ServerProcess(processArgs(site, credentials, '--control-workers', '1'));
    await process.up();
    const calm = storm(process.port);
    await until(async () => (await answers(process.port)) === 'small\n', 'an answer');
    process.child.kill('SIGTERM');
    const code = await new Promise((done) => process.child.once('exit', (...how) => done(how)));
    await calm();
    expect(code).toEqual([0, null]);
  });

  // process.exit() asks nobody: environments end while engines and workers are at work.
  it('process.exit() under load ends with the status that it was given', async () => {
    const script = `
      import { serve } from '${new URL('../../dist/index.js', import.meta.url).href}';
      import { request } from 'node:https';
      const server = await serve({ root: ${JSON.stringify(site.root)}, port: 0, logLevel: 'warn', workers: 2, controlWorkers: 2,
        cert: ${JSON.stringify(credentials.ecdsa.cert)}, key: ${JSON.stringify(credentials.ecdsa.key)} });
      let answered = 0;
      const ask = () => request({ port: server.address.port, host: '127.0.0.1', path: '/small.txt', agent: false, rejectUnauthorized: false },
        (response) => response.resume().once('end', () => { answered += 1; if (answered === 50) process.exit(7); ask(); })).on('error', ask).end();
      for (let i = 0; i < 8; ++i) ask();`;
    for (let i = 0; i < 3; ++i) {
      const { code, signal, stderr } = await run(process.execPath, ['--input-type=module', '-e', script], '');
      expect({ code, signal, stderr }).toEqual({ code: 7, signal: null, stderr: '' });
    }
  });
});

describe('a handshake channel', () => {
  it('is had by number, by one thread at a time', async () => {
    const { plane } = await working(1);
    const [channel] = plane.handshakeChannels();
    expect(() => new native.HandshakeChannel(2 ** 40, () => {})).toThrow(
      expect.objectContaining({ code: 'ERR_SOCRYPT_CHANNEL' }),
    );
    expect(plane.handshakeChannels()).toEqual([channel]);
    await until(() => {
      try {
        new native.HandshakeChannel(channel!, () => {}).detach();
        return false;
      } catch (error) {
        return (error as { code?: string }).code === 'ERR_SOCRYPT_CHANNEL';
      }
    }, 'the worker to have attached');
  });
});
