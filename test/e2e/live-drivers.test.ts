/** Drivers come and go while a server gives them its records: by the command line, and by the API. Peers notice nothing. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Server } from '../../src/index.ts';
import { commandLine } from '../support/command-line.ts';
import { Random, testSeed } from '../support/random.ts';
import { type Credentials, ended, issue, Site, sha256, start, until } from './support.ts';

const BIG = 3_456_789;
const card = `model:${fileURLToPath(new URL('../../native/ocf/cards/aes-gcm.json', import.meta.url))}`;
const site = new Site({ 'small.txt': 'small' });
const control = site.path('control.sock');
let credentials: Credentials;
let wanted: string;
let server: Server;

beforeAll(() => {
  credentials = issue(site.directory);
  wanted = sha256(site.random('big.bin', BIG));
});
afterAll(() => site.remove());
afterEach(() => server.close(0));

/** One connection, over which files are asked for one after the other. */
class Peer {
  readonly #agent: Agent;
  constructor(ciphers = 'TLS_AES_128_GCM_SHA256', version: 'TLSv1.2' | 'TLSv1.3' = 'TLSv1.3') {
    const ca = readFileSync(credentials.ca);
    const tls = { ca, ciphers, minVersion: version, maxVersion: version, servername: 'localhost' };
    this.#agent = new Agent({ keepAlive: true, maxSockets: 1, ...tls });
  }
  get(path: string): Promise<string> {
    return new Promise((done, failed) => {
      const sent: ClientRequest = request(
        { host: '127.0.0.1', port: server.address.port, path, agent: this.#agent },
        (response: IncomingMessage) => {
          const hash = createHash('sha256');
          response.on('data', (chunk: Buffer) => hash.update(chunk));
          response.on('end', () => done(hash.digest('hex')));
          response.on('error', failed);
        },
      );
      sent.on('error', failed);
      sent.end();
    });
  }
  close(): void {
    this.#agent.destroy();
  }
}

const SUITES = [
  ['TLS_AES_128_GCM_SHA256', 'TLSv1.3'],
  ['TLS_AES_256_GCM_SHA384', 'TLSv1.3'],
  ['TLS_CHACHA20_POLY1305_SHA256', 'TLSv1.3'],
  ['ECDHE-ECDSA-AES128-GCM-SHA256', 'TLSv1.2'],
] as const;

/** Peers that ask for the file again and again; the result ends them, and tells how many files came, all of them right. */
function transfers(): () => Promise<number> {
  let going = true;
  const peers = SUITES.map(async ([ciphers, version]) => {
    const peer = new Peer(ciphers, version);
    let files = 0;
    try {
      while (going) {
        expect(await peer.get('/big.bin')).toBe(wanted);
        files += 1;
      }
    } finally {
      peer.close();
    }
    return files;
  });
  // A failure is told by the result.
  for (const peer of peers) peer.catch(() => {});
  return async () => {
    going = false;
    return (await Promise.all(peers)).reduce((sum, files) => sum + files, 0);
  };
}

const ocf = (what: string, ...args: string[]) => commandLine('ocf', what, ...args, '--server', control);
const listed = async () =>
  JSON.parse((await ocf('list', '--json')).out).drivers as ReturnType<Server['drivers']>;
const attached = async () => (await listed()).flatMap(({ attached: name }) => name ?? []);
const counter = (name: string): number => server.stats().counters[name]!;

describe('from outside, with transfers under way', () => {
  beforeEach(async () => {
    server = await start(site, credentials, { offload: 'accelerator:thread', workers: 2, control });
  });

  it('one is attached, the other withdrawn, in every engine', async () => {
    expect(statSync(control).mode & 0o777).toBe(0o600);
    const end = transfers();
    expect(await ocf('attach', card)).toMatchObject({ status: 0, out: `${card} is attached as driver 2\n` });
    expect(server.offload.engine).toContain(`thread and ${card}`);
    expect(counter('accelerators_running')).toBe(4);
    expect(await ocf('withdraw', 'thread')).toMatchObject({ status: 0, out: 'thread is withdrawn\n' });
    expect(await attached()).toEqual([card]);
    const before = (await listed())[1]!;
    expect(before).toMatchObject({ id: 2, engines: 2, state: 'running', kind: 'hardware' });
    await until(async () => (await listed())[1]!.ops > before.ops + 200, 'the card to have sealed records');
    expect(await ocf('list')).toMatchObject({
      status: 0,
      out: expect.stringMatching(/ \(driver 2, in 2 engines\): hardware, [\s\S]*\n {2}did [\d,]+ ops, /),
    });
    expect(await end()).toBeGreaterThanOrEqual(SUITES.length);
    expect(server.offload.path).toBe('accelerator');
    expect(counter('records_sealed_software')).toBe(0);
  });

  it('the last one is withdrawn, and another attached: open connections leave the path, and come back', async () => {
    const before = new Peer();
    await before.get('/small.txt');
    const end = transfers();
    expect(await ocf('withdraw', '1')).toMatchObject({ status: 0 });
    await until(() => counter('tls_active_accelerator') === 0, 'every connection to be software’s');
    expect(server.offload).toMatchObject({
      path: 'software',
      reason: expect.stringContaining('every driver was withdrawn'),
    });
    const between = new Peer('TLS_AES_256_GCM_SHA384');
    expect(await between.get('/big.bin')).toBe(wanted);
    expect(counter('records_sealed_software')).toBeGreaterThan(BIG / 16_384);

    expect(await ocf('attach', 'thread')).toMatchObject({ status: 0 });
    // Of those that were opened in between, too.
    await until(
      () => counter('tls_active_accelerator') >= 2 && counter('tls_active_software') === 0,
      'every connection to be a driver’s',
    );
    const sealed = counter('records_sealed_accelerator');
    for (const peer of [before, between]) expect(await peer.get('/big.bin')).toBe(wanted);
    expect(counter('records_sealed_accelerator') - sealed).toBeGreaterThan((2 * BIG) / 16_384);
    await end();
    before.close();
    between.close();
    await until(() => counter('tls_active_accelerator') === 0, 'the connections to go');
    expect(counter('buffer_bytes_used')).toBe(0);
  });

  it('one algorithm is withdrawn: its connections are software’s, the others stay', async () => {
    const [gcm, chacha] = [new Peer(), new Peer('TLS_CHACHA20_POLY1305_SHA256')];
    for (const peer of [gcm, chacha]) expect(await peer.get('/big.bin')).toBe(wanted);
    expect(await ocf('withdraw', 'thread', '--algorithm', 'aes-128-gcm')).toMatchObject({
      status: 0,
      out: 'aes-128-gcm of thread is withdrawn\n',
    });
    expect(counter('tls_active_software')).toBe(1);
    expect(counter('tls_active_accelerator')).toBe(1);
    expect(counter('not_taken_suite')).toBe(1);
    expect((await ocf('list')).out).toMatch(/^ {2}aes-128-gcm .*, withdrawn$/m);
    const opsOf = async (name: string) => {
      const offers = (await listed()).find(({ id }) => id === 1)!.offers;
      return offers.find(({ algorithm }) => algorithm === name)!.ops;
    };
    const ops = await opsOf('aes-128-gcm');
    for (const peer of [gcm, chacha]) expect(await peer.get('/big.bin')).toBe(wanted);
    await until(async () => (await opsOf('chacha20-poly1305')) > (2 * BIG) / 16_384, 'what stays to be used');
    expect(await opsOf('aes-128-gcm')).toBe(ops);
    for (const peer of [gcm, chacha]) peer.close();
    // It is there once.
    expect(await ocf('withdraw', 'thread', '--algorithm', 'aes-128-gcm')).toMatchObject({
      status: 1,
      err: expect.stringContaining('the driver does not offer it'),
    });
  });

  it('at random, for a while', async () => {
    const seed = testSeed();
    const source = new Random(seed);
    const random = () => source.below(1000) / 1000;
    const end = transfers();
    for (let change = 0; change < 24; ++change) {
      const now = server.drivers().filter(({ id }) => id !== null);
      const one = now[Math.floor(random() * now.length)];
      if (one === undefined || (now.length < 4 && random() < 0.5))
        await server.attachDriver(random() < 0.5 ? 'thread' : card);
      else if (random() < 0.3)
        await server.withdrawDriver(one.id!, { algorithm: 'aes-128-gcm' }).catch((error) => {
          expect(error, `SOCRYPT_TEST_SEED=${seed}`).toMatchObject({ code: 'ERR_SOCRYPT_DRIVER' });
        });
      // At once, with records in the driver: they are made again elsewhere.
      else await server.withdrawDriver(one.id!, { deadlineMs: random() < 0.5 ? 0 : 1000 });
      await new Promise((resolve) => setTimeout(resolve, random() * 20));
    }
    expect(await end(), `SOCRYPT_TEST_SEED=${seed}`).toBeGreaterThanOrEqual(SUITES.length);
    await until(
      () => counter('tls_active_accelerator') + counter('tls_active_software') === 0,
      'the connections to go',
    );
    expect(counter('buffer_bytes_used')).toBe(0);
  });

  it('what cannot be is refused, and nothing changes', async () => {
    const file = site.path('lies.json');
    const { ...honest } = JSON.parse(readFileSync(card.slice('model:'.length), 'utf8'));
    writeFileSync(file, JSON.stringify({ ...honest, algorithms: ['aes-128-cbc'] }));
    await ocf('attach', 'thread');
    for (const [args, status, said] of [
      [['attach', 'null'], 1, 'the driver null cannot serve: it gives data back as it is'],
      [['attach', 'key'], 1, 'key operations only'],
      [['attach', 'soft'], 1, 'every engine has already'],
      [['attach', 'nonesuch'], 1, 'received nonesuch [ERR_SOCRYPT_DRIVER]'],
      [['attach', 'model:/nonexistent'], 1, 'No such file'],
      [['attach', `model:${file}`], 1, 'none of the algorithms of TLS records'],
      [['attach'], 2, 'Expected one driver, such as thread, but got none'],
      [['attach', 'thread', '--algorithm', 'aes-128-gcm'], 2, 'no --algorithm'],
      [['withdraw', '7'], 1, 'attached (1 (thread), 2 (thread)), but got "7". [ERR_SOCRYPT_NO_DRIVER]'],
      [['withdraw', 'thread'], 1, 'more than once; say which by its number: 1 (thread), 2 (thread)'],
      [['withdraw', '1', '--algorithm', 'hmac-sha512x'], 2, '--algorithm expects one of'],
    ] as const)
      expect(await ocf(args[0], ...args.slice(1))).toMatchObject({
        status,
        out: '',
        err: expect.stringContaining(said),
      });
    expect(await attached()).toEqual(['thread', 'thread']);
    expect(counter('accelerators_running')).toBe(4);
  });
});

it('a server that gives no records to drivers, and has no NIC, says so', async () => {
  server = await start(site, credentials, { offload: 'software', control });
  await expect(server.attachDriver('thread')).rejects.toMatchObject({ code: 'ERR_SOCRYPT_NO_ACCELERATOR' });
  expect(server.drivers()).toEqual([]);
  expect(await commandLine('nic', 'flows', '--server', control)).toMatchObject({
    status: 1,
    err: expect.stringMatching(/its option offload is software.*\[ERR_SOCRYPT_NO_NIC\]/),
  });
});

it('a server whose drivers are its own software takes one, and gives it back', async () => {
  server = await start(site, credentials, { offload: 'accelerator:soft', workers: 1 });
  const peer = new Peer();
  expect(await peer.get('/big.bin')).toBe(wanted);
  const id = await server.attachDriver('thread');
  expect(await peer.get('/big.bin')).toBe(wanted);
  await until(() => server.drivers()[1]!.ops > BIG / 16_384, 'the driver to have sealed records');
  await server.withdrawDriver(id);
  expect(await peer.get('/big.bin')).toBe(wanted);
  expect(server.drivers().map(({ id: one }) => one)).toEqual([null]);
  peer.close();
});

describe('the control socket', () => {
  const say = (text: string) =>
    new Promise<string>((done) => {
      let said = '';
      const socket = connect(control, () => socket.write(text));
      socket.setEncoding('utf8').on('data', (part) => {
        said += part;
      });
      socket.on('close', () => done(said));
      socket.on('error', () => {});
    });

  it('is one process’s, and replaces what a killed one left', async () => {
    server = await start(site, credentials, { offload: 'accelerator:soft', workers: 1, control });
    await expect(start(site, credentials, { control })).rejects.toMatchObject({
      code: 'ERR_SOCRYPT_CONTROL',
      message: expect.stringContaining('another process listens there'),
    });
    await server.close(0);
    expect(existsSync(control)).toBe(false);
    const plain = site.path('plain');
    writeFileSync(plain, '');
    await expect(start(site, credentials, { control: plain })).rejects.toMatchObject({
      message: expect.stringContaining('a file that is no socket'),
    });
    expect(await commandLine('ocf', 'attach', 'thread', '--server', control)).toMatchObject({
      status: 1,
      err: expect.stringContaining(`Nobody answers at ${control}`),
    });
  });

  it.skipIf(process.geteuid!() !== 0)(
    'turns away every other user (skipped unless run by root)',
    async () => {
      const open = mkdtempSync('/tmp/socrypt-control-');
      try {
        chmodSync(open, 0o755);
        const path = join(open, 'sock');
        server = await start(site, credentials, { offload: 'accelerator:soft', workers: 1, control: path });
        chmodSync(path, 0o666);
        const program = `require('net').connect(${JSON.stringify(path)}).on('data', (x) => process.stdout.write(x)).write('{"ask":"drivers"}\\n')`;
        const asked = spawn(process.execPath, ['-e', program], { uid: 65534, cwd: '/' });
        expect((await ended(asked, '')).stdout.toString()).toContain(
          'Expected the user who runs this process',
        );
      } finally {
        rmSync(open, { recursive: true, force: true });
      }
    },
  );

  it('answers nonsense with what it expected', async () => {
    server = await start(site, credentials, { offload: 'accelerator:soft', workers: 1, control });
    chmodSync(control, 0o666);
    for (const [line, said] of [
      ['nonsense\n', 'Expected a line of JSON'],
      ['null\n', 'expected ask to be drivers, attach, withdraw or nic'],
      ['{"ask":"attach"}\n', 'expected the name or number of a driver'],
      ['{"ask":"withdraw","driver":"x","algorithm":1}\n', 'expected the name of an algorithm'],
    ] as const)
      expect(JSON.parse(await say(line)).error.message).toContain(said);
    expect(await say('x'.repeat(100_000))).toBe('');
  });
});
