/** Records sealed and opened by drivers of the crypto framework: what peers get, and what an operator is told. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Server } from '../../src/index.ts';
import { planeWith } from './plane.ts';
import {
  type Credentials,
  issue,
  processArgs,
  program,
  repository,
  run,
  ServerProcess,
  Site,
  sha256,
  start,
  until,
} from './support.ts';

const BIG = 7_654_321;
const site = new Site({ 'small.txt': 'small' });
let credentials: Credentials;
let wanted: string;

beforeAll(() => {
  credentials = issue(site.directory);
  wanted = sha256(site.random('big.bin', BIG));
});
afterAll(() => site.remove());

interface Answered {
  readonly status: number;
  readonly hash: string;
  readonly length: number;
}

function ask(
  server: Server,
  path: string,
  {
    body,
    ciphers,
    version = 'TLSv1.3',
  }: { body?: Buffer; ciphers?: string; version?: 'TLSv1.2' | 'TLSv1.3' } = {},
): Promise<Answered> {
  return new Promise((done, failed) => {
    const hash = createHash('sha256');
    let length = 0;
    const sent = request(
      {
        host: '127.0.0.1',
        port: server.address.port,
        path,
        method: body === undefined ? 'GET' : 'POST',
        servername: 'localhost',
        ca: readFileSync(credentials.ca),
        minVersion: version,
        maxVersion: version,
        agent: false,
        ...(ciphers === undefined ? {} : { ciphers }),
      },
      (response: IncomingMessage) => {
        response.on('data', (chunk: Buffer) => {
          hash.update(chunk);
          length += chunk.length;
        });
        response.on('end', () =>
          done({ status: response.statusCode ?? 0, hash: hash.digest('hex'), length }),
        );
        response.on('error', failed);
      },
    );
    sent.on('error', failed);
    sent.end(body);
  });
}

describe.each([1, 2, 5, 16])('%i records in flight', (offloadRecords) => {
  let server: Server;
  beforeAll(async () => {
    server = await start(site, credentials, { offload: 'accelerator:thread', offloadRecords });
  });
  afterAll(() => server.close(0));

  it.each([
    ['TLSv1.3', 'TLS_AES_128_GCM_SHA256'],
    ['TLSv1.3', 'TLS_AES_256_GCM_SHA384'],
    ['TLSv1.3', 'TLS_CHACHA20_POLY1305_SHA256'],
    ['TLSv1.2', 'ECDHE-ECDSA-AES128-GCM-SHA256'],
    ['TLSv1.2', 'ECDHE-RSA-CHACHA20-POLY1305'],
  ] as const)('downloads at once, %s %s', async (version, ciphers) => {
    const all = await Promise.all(
      Array.from({ length: 4 }, () => ask(server, '/big.bin', { version, ciphers })),
    );
    for (const answer of all) expect(answer).toEqual({ status: 200, hash: wanted, length: BIG });
  });

  it('request bodies, and what follows them', async () => {
    const body = Buffer.alloc(60_000, 'x');
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const)
      expect((await ask(server, '/small.txt', { body, version })).status).toBe(405);
  });

  it('is where its connections are, by the metrics', () => {
    const { counters } = server.stats();
    expect(counters.accelerators_running).toBe(2);
    expect(counters.records_sealed_accelerator).toBeGreaterThan((20 * BIG) / 16_384);
    expect(counters.records_opened_accelerator).toBeGreaterThan(20);
    expect(counters.records_sealed_software).toBe(0);
    expect(server.offload).toMatchObject({ path: 'accelerator', engine: expect.stringContaining('thread') });
  });
});

describe('other peers', () => {
  let server: Server;
  beforeAll(async () => {
    server = await start(site, credentials, { offload: 'accelerator:thread', workers: 1 });
  });
  afterAll(() => server.close(0));

  it.skipIf(program('curl') === null)('curl, sixteen at once', async () => {
    const url = `https://localhost:${server.address.port}/big.bin`;
    const all = await Promise.all(
      Array.from({ length: 16 }, () => run('curl', ['-s', '--cacert', credentials.ca, url], '')),
    );
    for (const { code, stdout } of all) expect([code, sha256(stdout)]).toEqual([0, wanted]);
  });

  it('connections that are reset in mid-transfer leave nothing behind', async () => {
    const cut = (bytes: number) =>
      new Promise<void>((done) => {
        let length = 0;
        const sent = request(
          {
            host: '127.0.0.1',
            port: server.address.port,
            path: '/big.bin',
            rejectUnauthorized: false,
            agent: false,
          },
          (response) => {
            response.on('data', (chunk: Buffer) => {
              length += chunk.length;
              // With data unread in its socket: the server sees a reset.
              if (length > bytes) sent.destroy();
            });
            response.on('error', () => {});
            response.on('close', done);
          },
        );
        sent.on('error', () => {});
        sent.end();
      });
    await Promise.all(Array.from({ length: 20 }, (_, i) => cut(i * 100_000)));
    await until(() => server.stats().counters.tls_active_accelerator === 0, 'the connections to go');
    // What the accelerator still has of them comes back a little later.
    await until(() => server.stats().counters.buffer_bytes_used === 0, 'their buffers to come back');
    expect(await ask(server, '/big.bin')).toMatchObject({ hash: wanted });
  });
});

describe('a simulated card', () => {
  const file = (name: string) => fileURLToPath(new URL(`../../native/ocf/cards/${name}`, import.meta.url));
  const card = JSON.parse(readFileSync(file('aes-gcm.json'), 'utf8'));
  /** Breaks in mid-transfer, after some 1.6 MB. */
  function broken(fault: Record<string, number>): string {
    const path = join(site.directory, `${Object.keys(fault)[0]}.json`);
    writeFileSync(path, JSON.stringify({ ...card, ...fault }));
    return path;
  }
  async function served(path: string, left: number, more: { offloadCheck?: number } = {}) {
    const offload = `accelerator:model:${path}`;
    const server = await start(site, credentials, { offload, workers: 1, ...more });
    try {
      const all = await Promise.all([1, 2].map(() => ask(server, '/big.bin')));
      for (const answer of all) expect(answer).toEqual({ status: 200, hash: wanted, length: BIG });
      expect(await ask(server, '/small.txt')).toMatchObject({ status: 200, length: 5 });
      // The engine looks after its drivers, and says what they did, now and then. What one did that is gone is not told.
      const counters = () => server.stats().counters;
      const least = left === 0 ? 0 : BIG / 16_384 + 1;
      const told = () =>
        counters().accelerators_running === left && (counters().accelerator_ops ?? 0) >= least;
      await until(told, 'the engine to look after its drivers');
      return { counters: counters(), offload: server.offload };
    } finally {
      await server.close(0);
    }
  }

  it('serves records', async () => {
    const { counters } = await served(file('aes-gcm.json'), 1);
    expect(counters.accelerator_wrong).toBe(0);
  });

  it('that is pulled out in mid-transfer is not noticed by peers, and told of to the operator', async () => {
    const { offload } = await served(broken({ unplugAfterOps: 100 }), 0);
    expect(offload).toMatchObject({ path: 'software', reason: expect.stringContaining('gone') });
  });

  it('that answers wrongly in mid-transfer is not noticed by peers where each answer is looked at', async () => {
    const { counters } = await served(broken({ lieAfterOps: 100 }), 0, { offloadCheck: 1 });
    expect(counters.accelerator_wrong).toBe(1);
  });

  it('is refused where it has no cipher for records, or its file is none', async () => {
    for (const [path, said] of [
      [file('hifn-7751.json'), /hifn 7751 has none of the algorithms of TLS records/],
      [file('hifn-6500.json'), /none of the algorithms/],
      [broken({ bogus: 1 }), /no card has a "bogus"/],
      [site.directory, /model: .*: Is a directory/],
      ['/nonexistent', /model: \/nonexistent: No such file or directory/],
    ] as const)
      await expect(start(site, credentials, { offload: `accelerator:model:${path}` })).rejects.toMatchObject({
        code: 'ERR_SOCRYPT_DRIVER',
        message: expect.stringMatching(said),
      });
  });
});

describe.skipIf(program('curl') === null)('DPDK (skipped without curl)', () => {
  // In a process of its own: EAL starts once per process, for ever.
  it.for(['dpdk', 'dpdk:crypto_openssl'])('%s serves records', async (driver, { skip }) => {
    skip(!existsSync(join(repository, 'build/native/socrypt-dpdk.so')), 'built without libdpdk-dev');
    const args = ['--offload', `accelerator:${driver}`, '--metrics-port', '0'];
    const server = new ServerProcess(processArgs(site, credentials, ...args));
    try {
      // Without DPDK's libraries, or one of its drivers; anything else is a failure.
      await server.up().catch((error: Error) => {
        const missing = /no DPDK plugin:.*|DPDK has no such crypto device.*/.exec(error.message);
        skip(missing !== null, missing?.[0]);
        throw error;
      });
      const url = `https://localhost:${server.port}/big.bin`;
      const { code, stdout } = await run('curl', ['-s', '--cacert', credentials.ca, url], '');
      expect([code, sha256(stdout)]).toEqual([0, wanted]);
      const metrics = /metrics +(http:\S+)/.exec(server.output)![1]!;
      const ops = /^socrypt_ocf_ops_total\{driver="dpdk:[^"]*",class="aes-128-gcm"\} (\d+)/m;
      const done = async () => Number(ops.exec(await (await fetch(metrics)).text())?.[1] ?? 0);
      await until(async () => (await done()) > BIG / 16_384, 'the device to have sealed the file');
    } finally {
      await server.stop();
    }
  });
});

describe('what an operator is told', () => {
  it('what its drivers did is told by class of session', async () => {
    const registry = new Registry();
    const other = await start(site, credentials, { offload: 'accelerator:thread', workers: 1, registry });
    try {
      await ask(other, '/small.txt');
      const told = async (pattern: RegExp) => Number(pattern.exec(await registry.metrics())?.[1] ?? 0);
      const ops = /^socrypt_ocf_ops_total\{driver="thread [^"]*",class="aes-128-gcm"\} (\d+)/m;
      await until(async () => (await told(ops)) >= 3, 'the engine to tell of its drivers');
      expect(
        await told(/^socrypt_ocf_ops_total\{driver="key[^"]*",class="ecdsa-p256"\} (\d+)/m),
      ).toBeGreaterThan(0);
    } finally {
      await other.close(0);
    }
  });

  it('in the banner', async () => {
    const server = await new ServerProcess(
      processArgs(site, credentials, '--offload', 'accelerator:thread'),
    ).up();
    try {
      expect(server.output).toMatch(/offload +accelerator: thread, .+ when it is full or gone; asked for/);
      expect(server.output).toMatch(/not nic: .+/);
    } finally {
      await server.stop();
    }
  });

  it.each([
    ['accelerator:null', /the driver null cannot serve: it gives data back as it is: records would leave as/],
    ['accelerator:key', /the driver key cannot serve: it does key operations only/],
    ['accelerator:', /--offload expects/],
    ['accelerator:model', /--offload expects auto, software, nic, or accelerator/],
    ['accelerator:thread:2', /--offload expects auto, software, nic, or accelerator/],
  ])('%s is refused', async (value, message) => {
    const { ended } = new ServerProcess(processArgs(site, credentials, '--offload', value));
    const { code, stderr } = await ended;
    expect(code).not.toBe(0);
    expect(stderr).toMatch(message);
  });

  it('the engine refuses what the options would not let through', async () => {
    const plane = planeWith(site, null, { offload: 'accelerator:null' });
    await expect(plane).rejects.toMatchObject({
      code: 'ERR_SOCRYPT_DRIVER',
      message: expect.stringContaining('records would leave as plaintext'),
    });
  });
});
