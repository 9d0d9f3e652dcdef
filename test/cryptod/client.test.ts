/** The daemon and its client in TypeScript; node:crypto is the oracle. */
import { createCipheriv, randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cryptodOptions } from '../../src/cli/cryptod-command.ts';
import { CryptodClient } from '../../src/cryptod/client.ts';
import { Place } from './support.ts';

let place: Place;
const clients: CryptodClient[] = [];
beforeEach(() => {
  place = new Place();
});
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
  place.remove();
});
async function connect(arenaBytes?: number): Promise<CryptodClient> {
  const client = await CryptodClient.connect({
    path: place.socket,
    ...(arenaBytes === undefined ? {} : { arenaBytes }),
  });
  clients.push(client);
  return client;
}

const seal = (key: Buffer, iv: Buffer, aad: Buffer, plain: Buffer) => {
  const cipher = createCipheriv('aes-128-gcm', key, iv);
  cipher.setAAD(aad);
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
};

describe('cryptod', () => {
  it('seals many at once in shared memory, as node:crypto does, and opens them', async () => {
    const daemon = place.daemon();
    const client = await connect();
    expect(client.limits).toMatchObject({ software: true, maxSessions: 1024, maxPending: 256 });
    expect(client.memory.length).toBe(1 << 20);
    const key = randomBytes(16);
    const session = await client.openSession({ chain: [{ name: 'aes-128-gcm', key }] });
    const aad = Buffer.from('header');
    client.memory.set(aad, 0);
    const plain = randomBytes(1000);
    const at = (i: number) => 4096 + i * 2048;
    const ops = Array.from({ length: 300 }, (_, i) => {
      client.memory.set(plain, at(i));
      const iv = Buffer.alloc(12);
      iv.writeUInt32BE(i);
      return {
        session,
        kind: 'seal' as const,
        iv,
        source: at(i),
        length: 1000,
        aad: 0,
        aadLength: 6,
        tag: at(i) + 1000,
      };
    });
    await Promise.all(ops.map((op) => client.crypt(op)));
    for (const [i, { iv }] of ops.entries())
      expect(Buffer.from(client.memory.subarray(at(i), at(i) + 1016))).toEqual(seal(key, iv, aad, plain));
    client.memory[at(7) + 3]! ^= 1;
    const opened = await Promise.allSettled(ops.map((op) => client.crypt({ ...op, kind: 'open' })));
    for (const [i, result] of opened.entries()) {
      if (i === 7) {
        expect(result).toMatchObject({ status: 'rejected', reason: { code: 'ERR_SOCRYPT_OCF_BAD_TAG' } });
      } else {
        expect(result.status).toBe('fulfilled');
        expect(Buffer.from(client.memory.subarray(at(i), at(i) + 1000)).equals(plain)).toBe(true);
      }
    }
    expect(daemon.counters()).toMatchObject({ ops: 600, connections: 1, ops_failed: 1, protocol_errors: 0 });
  });

  it('tells what is wrong with a session or an op, and goes on', async () => {
    place.daemon();
    const [client, other] = [await connect(), await connect()];
    const key = randomBytes(16);
    const session = await client.openSession({ chain: [{ name: 'aes-128-gcm', key }] });
    const foreign = await other.openSession({ chain: [{ name: 'aes-128-gcm', key }] });
    const op = { session, kind: 'seal' as const, iv: Buffer.alloc(12), source: 0, length: 32, tag: 64 };
    const refused = (change: object) => client.crypt({ ...op, ...change });
    await expect(refused({ tag: 31 })).rejects.toMatchObject({ code: 'ERR_SOCRYPT_OCF_OVERLAP' });
    await expect(refused({ source: 2 ** 20 - 16 })).rejects.toMatchObject({ code: 'ERR_SOCRYPT_OCF_RANGE' });
    await expect(refused({ destination: 16 })).rejects.toMatchObject({ code: 'ERR_SOCRYPT_OCF_OVERLAP' });
    await expect(refused({ iv: Buffer.alloc(11) })).rejects.toMatchObject({ code: 'ERR_SOCRYPT_OCF_IV' });
    await expect(refused({ session: foreign })).rejects.toMatchObject({ code: 'ERR_SOCRYPT_OCF_FOREIGN' });
    await expect(
      client.openSession({ chain: [{ name: 'aes-128-gcm', key: randomBytes(17) }] }),
    ).rejects.toMatchObject({
      code: 'ERR_SOCRYPT_OCF_KEY',
    });
    await client.closeSession(session);
    await expect(client.closeSession(session)).rejects.toMatchObject({ code: 'ERR_SOCRYPT_OCF_CLOSED' });
    await expect(refused({})).rejects.toMatchObject({ code: 'ERR_SOCRYPT_OCF_CLOSED' });
    expect((await client.drivers()).map(({ name }) => name)).toHaveLength(1);
  });

  it('lends no software unless it is allowed', async () => {
    place.daemon({ allowSoftware: false });
    const client = await connect();
    await expect(
      client.openSession({ chain: [{ name: 'aes-128-gcm', key: randomBytes(16) }] }),
    ).rejects.toMatchObject({ code: 'ERR_SOCRYPT_OCF_INVALID' });
  });

  it('rejects what is pending when the daemon ends, and everything after it', async () => {
    const daemon = place.daemon();
    const client = await connect();
    const session = await client.openSession({ chain: [{ name: 'aes-128-gcm', key: randomBytes(16) }] });
    daemon.stop();
    const op = { session, kind: 'seal' as const, iv: Buffer.alloc(12), source: 0, length: 16, tag: 100 };
    await expect(client.crypt(op)).rejects.toBeInstanceOf(Error);
    await expect(client.drivers()).rejects.toBeInstanceOf(Error);
    await expect(CryptodClient.connect({ path: place.socket })).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('turns away what asks for more memory than it may have', async () => {
    place.daemon({ maxArenaBytes: 65536 });
    await expect(connect(131072)).rejects.toMatchObject({ code: 'ERR_SOCRYPT_CRYPTOD' });
    expect((await connect(65536)).memory).toHaveLength(65536);
  });

  it('names drivers that cannot be had', () => {
    expect(() => place.daemon({ drivers: ['flux'] })).toThrow(
      /soft, thread, .*model:FILE for a driver.*flux/,
    );
  });
});

describe('socrypt cryptod', () => {
  it('reads its options', () => {
    expect(
      cryptodOptions(['--socket', '/s', '--mode', '660', '--user', '0', '--user', '33', '--max-memory', '8']),
    ).toEqual({
      path: '/s',
      allowSoftware: false,
      mode: 0o660,
      users: [0, 33],
      maxArenaBytes: 8 << 20,
      admin: null,
    });
    expect(cryptodOptions(['--socket=/s', '--allow-software', '--driver', 'soft'])).toMatchObject({
      allowSoftware: true,
      drivers: ['soft'],
    });
  });
  it('says what is wrong with each', () => {
    const problems = (...args: string[]) => {
      try {
        cryptodOptions(args);
      } catch (error) {
        return (error as { problems: string[] }).problems;
      }
      return [];
    };
    expect(problems()).toEqual([expect.stringContaining('--socket PATH')]);
    expect(problems('--socket', '/s', '--mode', '999', '--max-pending', '0', '--nope', 'x')).toHaveLength(4);
  });
});
