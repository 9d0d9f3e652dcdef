/** Many at once, slow ones among fast ones, and those who leave in the middle: right bytes, bounded memory, no leak. */
import { createHash, randomBytes } from 'node:crypto';
import { createConnection } from 'node:net';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Server } from '../../src/index.ts';
import {
  type Credentials,
  issue,
  openDescriptors,
  openSockets,
  parseResponses,
  processArgs,
  residentBytes,
  ServerProcess,
  Site,
  sha256,
  start,
  tls,
  until,
  type Wire,
} from './support.ts';

const site = new Site();
let credentials: Credentials;
let server: Server;
const files: { name: string; size: number; hash: string }[] = [];
const BIG = 10_000_000;
let big: Buffer;
let others: number;

beforeAll(async () => {
  credentials = issue(site.directory);
  for (let i = 0; i < 50; ++i) {
    const size = 1 + ((i * 7919) % 150_000);
    files.push({ name: `f${i}.bin`, size, hash: sha256(site.random(`f${i}.bin`, size)) });
  }
  big = Buffer.alloc(BIG, randomBytes(99_991));
  site.plant('big.bin', big);
  server = await start(site, credentials, { handshakeTimeout: '60s', headerTimeout: '60s' });
  others = openDescriptors() - openSockets();
});
afterAll(async () => {
  await server?.close(0);
  site.remove();
});

const request = (name: string, more = '') => `GET /${name} HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`;
const CLOSE = 'Connection: close\r\n';
const bodyHash = (bytes: Buffer) => sha256(bytes.subarray(bytes.indexOf('\r\n\r\n') + 4));
const active = () => server.stats().connections;
/** Gauges that must come back to nothing. */
const GAUGES = [
  'requests_in_flight',
  'tls_active_software',
  'tls_active_accelerator',
  'tls_active_nic',
  'tls_active_kernel',
  'buffer_bytes_used',
  'connections_handshake',
  'connections_draining',
];
const gauges = () => Object.fromEntries(GAUGES.map((name) => [name, server.stats().counters[name]]));
const nothing = Object.fromEntries(GAUGES.map((name) => [name, 0]));

/** No socket, no connection and no buffer more than before. */
async function leavesNothing(work: () => Promise<void>): Promise<void> {
  await until(() => active() === 0, 'quiet');
  const before = openSockets();
  await work();
  await until(() => active() === 0, 'every connection to end');
  expect(gauges()).toEqual(nothing);
  await until(() => openSockets() <= before, `no more than ${before} sockets`);
  // What else is open is the file cache's: each file at most once per engine.
  const cached = openDescriptors() - openSockets() - others;
  expect(cached).toBeLessThanOrEqual(server.settings.workers * (files.length + 1));
}

describe('a thousand connections at once', () => {
  it('each gets its file', async () => {
    await leavesNothing(async () => {
      const wires: Wire[] = [];
      // A hundred handshakes at a time: all of them are open together in the end, which is what counts.
      for (let i = 0; i < 10; ++i)
        wires.push(
          ...(await Promise.all(Array.from({ length: 100 }, () => tls(server.address.port, credentials)))),
        );
      await until(() => active() === 1000, 'a thousand connections');
      const results = await Promise.all(
        wires.map((wire, i) => {
          const first = files[i % files.length]!;
          const second = files[(i * 31) % files.length]!;
          return wire
            .write(request(first.name) + request(second.name, CLOSE))
            .end.then(({ bytes, error }) => {
              const [a, b] = parseResponses(bytes, ['GET', 'GET']);
              return error === '' && sha256(a!.body) === first.hash && sha256(b!.body) === second.hash;
            });
        }),
      );
      expect(results.filter((right) => right)).toHaveLength(1000);
    });
  });
});

describe('fifty slow readers of 10 MB', () => {
  it('do not hold up the fast, and what the server keeps for them is bounded', async () => {
    await leavesNothing(async () => {
      const slow = await Promise.all(Array.from({ length: 50 }, () => tls(server.address.port, credentials)));
      for (const wire of slow) {
        wire.socket.pause();
        wire.write(request('big.bin', CLOSE));
      }
      await until(() => server.stats().counters.connections_writing === 50, 'fifty transfers');
      // A kilobyte every ten milliseconds each, while the fast ones run.
      const drip = setInterval(() => {
        for (const { socket } of slow) socket.read(1024);
      }, 10);
      let most = 0;
      const watch = setInterval(() => {
        most = Math.max(most, server.stats().counters.buffer_bytes_used!);
      }, 5);
      for (let round = 0; round < 10; ++round) {
        const fast = await Promise.all(
          Array.from(
            { length: 4 },
            async () => (await tls(server.address.port, credentials)).write(request('big.bin', CLOSE)).end,
          ),
        );
        for (const { bytes } of fast) expect(bodyHash(bytes)).toBe(sha256(big));
      }
      clearInterval(watch);
      expect(slow.some(({ ended }) => ended)).toBe(false);
      // At most one batch of 16 records for each; what the sockets hold is the kernel's.
      expect(most).toBeGreaterThan(0);
      expect(most).toBeLessThanOrEqual(60 * 17 * 16_406);
      clearInterval(drip);
      // And they too get all of it in the end.
      for (const { socket } of slow) socket.resume();
      for (const { end } of slow) expect(bodyHash((await end).bytes)).toBe(sha256(big));
    });
  });
});

describe('leaving in mid-transfer', () => {
  it('fifty resets leave nothing behind', async () => {
    await leavesNothing(async () => {
      const sockets = Array.from({ length: 50 }, () => createConnection(server.address.port, '127.0.0.1'));
      const wires = await Promise.all(
        sockets.map((socket) => tls(server.address.port, credentials, { socket })),
      );
      for (const wire of wires) wire.write(request('big.bin'));
      await Promise.all(wires.map((wire) => wire.atLeast(200_000)));
      for (const socket of sockets) socket.resetAndDestroy();
    });
  });

  it('and so do half-closed ones, which still get what they asked for', async () => {
    await leavesNothing(async () => {
      const wires = await Promise.all(
        Array.from({ length: 20 }, () => tls(server.address.port, credentials)),
      );
      for (const wire of wires) wire.socket.end(request('big.bin'));
      for (const { end } of wires) expect(bodyHash((await end).bytes)).toBe(sha256(big));
    });
  });

  it('and those that go in silence, with a FIN and no close_notify', async () => {
    await leavesNothing(async () => {
      for (let i = 0; i < 20; ++i) {
        const socket = createConnection(server.address.port, '127.0.0.1');
        const session = connect({ socket, rejectUnauthorized: false, servername: 'localhost' });
        session.on('error', () => {});
        await new Promise((done) => session.once('secureConnect', done));
        session.write(request('f1.bin'));
        await new Promise((done) => session.once('data', done));
        // destroy() of the TCP socket underneath: the kernel sends FIN or RST, TLS nothing.
        socket.destroy();
      }
    });
  });
});

describe('memory of the process', () => {
  it('does not grow with the number of transfers', async () => {
    const process = new ServerProcess(processArgs(site, credentials));
    try {
      await process.up();
      const pid = process.child.pid!;
      const round = async () => {
        for (let i = 0; i < 4; ++i) {
          const wires = await Promise.all(Array.from({ length: 25 }, () => tls(process.port, credentials)));
          const hash = createHash('sha256');
          for (const wire of wires) wire.write(request('big.bin', CLOSE));
          for (const { end } of wires) hash.update((await end).bytes);
        }
        return residentBytes(pid);
      };
      await round();
      const warm = await round();
      // 200 transfers of 10 MB later; a leak of a record per transfer would not fit in here.
      await round();
      const late = await round();
      expect(late - warm).toBeLessThan(32 << 20);
    } finally {
      await process.stop();
    }
  });
});
