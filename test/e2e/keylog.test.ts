/** Key hygiene: secrets are written down only where that was asked for, and then as node:tls, on the other side, knows them. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type ConnectionOptions, connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Credentials, issue, processArgs, ServerProcess, Site, start } from './support.ts';

const site = new Site({ 'file.txt': 'content' });
let credentials: Credentials;
beforeAll(() => {
  credentials = issue(site.directory);
});
afterAll(() => site.remove());

/** The lines that node:tls has for its connection, and the session that it may resume. */
function lines(port: number, options: ConnectionOptions) {
  return new Promise<{ keys: string[]; session: Buffer | undefined }>((resolve, reject) => {
    const keys: string[] = [];
    let session: Buffer | undefined;
    const socket = connect({ port, servername: 'localhost', ca: readFileSync(credentials.ca), ...options });
    socket.on('keylog', (line: Buffer) => keys.push(line.toString('latin1').trim()));
    socket.on('session', (one: Buffer) => {
      session = one;
    });
    socket.on('secureConnect', () => socket.write('GET /file.txt HTTP/1.0\r\n\r\n'));
    socket.on('error', reject);
    socket.resume();
    socket.on('close', () => resolve({ keys, session }));
  });
}

describe.each([0, 1])('Key hygiene: --keylog, %i control workers', (controlWorkers) => {
  test.each(['TLSv1.3', 'TLSv1.2'] as const)('%s: full and resumed', async (version) => {
    const file = join(site.directory, `keys-${controlWorkers}-${version}`);
    const server = await start(site, credentials, { keylog: file, controlWorkers, workers: 1 });
    try {
      const { port } = server.address;
      const options = { minVersion: version, maxVersion: version };
      const full = await lines(port, options);
      const resumed = await lines(port, { ...options, session: full.session });
      const expected = [...full.keys, ...resumed.keys];
      expect(expected.length).toBe(version === 'TLSv1.3' ? 10 : 2);
      const written = readFileSync(file, 'latin1').trim().split('\n');
      expect(written.toSorted()).toEqual(expected.toSorted());
      expect(statSync(file).mode & 0o777).toBe(0o600);
      expect(server.stats().handshakes.resumed).toBe(1);
    } finally {
      await server.close(0);
    }
  });
});

test('Key hygiene: SSLKEYLOGFILE alone does nothing; --keylog warns at the start', async () => {
  const file = join(site.directory, 'asked-for');
  const env = { SSLKEYLOGFILE: file };
  const silent = await new ServerProcess(processArgs(site, credentials), { env }).up();
  await lines(silent.port, {});
  await silent.stop();
  expect(existsSync(file)).toBe(false);
  expect(silent.log).not.toContain('keylog');

  const told = await new ServerProcess(processArgs(site, credentials, '--keylog', file)).up();
  const { keys } = await lines(told.port, {});
  await told.says(/--keylog/);
  await told.stop();
  expect(readFileSync(file, 'latin1')).toContain(keys[0]);
});

test('a file that cannot be written ends the start, and names the option', async () => {
  await expect(start(site, credentials, { keylog: '/nowhere/keys.log' })).rejects.toMatchObject({
    code: 'ERR_SOCRYPT_KEYLOG',
    message: expect.stringContaining('--keylog'),
  });
});
