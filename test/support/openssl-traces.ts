/** Traces with the openssl command as the other side. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TlsConnection } from '../../src/tls/index.ts';
import { runClient } from './run-client.ts';
import { testCredential } from './test-credentials.ts';
import { Recorded, type Trace } from './trace.ts';

/** Answers the first line that comes in capitals, then closes. */
function serve(socket: Socket, recorded: Recorded): Promise<void> {
  return new Promise((resolve) => {
    socket.on('data', (bytes) => {
      const answered = recorded.step({ type: 'receive', bytes });
      if (!socket.writableEnded) socket.write(answered);
      const said = recorded.received.pop();
      if (said === undefined) return;
      socket.write(recorded.step({ type: 'write', bytes: Buffer.from(said.toString().toUpperCase()) }));
      socket.end(recorded.step({ type: 'close' }));
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => resolve());
  });
}

/** `openssl s_client` against our server; with `resume`, its second connection. */
export async function opensslClientTrace(
  name: string,
  make: () => TlsConnection,
  args: readonly string[] = [],
  resume = false,
): Promise<Trace> {
  const folder = mkdtempSync(join(tmpdir(), 'socrypt-trace-'));
  const server = createServer();
  try {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const session = join(folder, 'session');
    const run = async (extra: readonly string[]): Promise<Recorded> => {
      const recorded = new Recorded(make);
      let served: Promise<void> | undefined;
      server.once('connection', (socket) => {
        served = serve(socket, recorded);
      });
      const options = ['-connect', address, '-quiet', '-no_ign_eof', ...args, ...extra];
      const output = await runClient('openssl', ['s_client', ...options], ['hello'], 'HELLO');
      if (served === undefined) throw new Error(`openssl s_client did not connect: ${output}`);
      await served;
      return recorded;
    };
    let recorded = await run(['-sess_out', session]);
    if (resume) recorded = await run(['-sess_in', session]);
    return recorded.trace(`openssl s_client, ${name}`, 'server');
  } finally {
    server.close();
    rmSync(folder, { recursive: true });
  }
}

/** Our client against `openssl s_server -rev`, which answers a line backwards. */
export async function opensslServerTrace(
  name: string,
  make: () => TlsConnection,
  args: readonly string[] = [],
): Promise<Trace> {
  const folder = mkdtempSync(join(tmpdir(), 'socrypt-trace-'));
  const credential = testCredential('ecdsa-p256');
  const [certificate, key] = [join(folder, 'crt'), join(folder, 'key')];
  writeFileSync(certificate, credential.certificatePem);
  writeFileSync(key, credential.keyPem);
  const server = spawn(
    'openssl',
    [
      's_server',
      '-accept',
      '127.0.0.1:0',
      '-cert',
      certificate,
      '-key',
      key,
      '-rev',
      '-naccept',
      '1',
      ...args,
    ],
    { stdio: 'pipe' },
  );
  try {
    const port = await new Promise<number>((resolve, reject) => {
      let said = '';
      server.stdout.on('data', (bytes) => {
        said += bytes;
        const found = /ACCEPT [^\n]*:(\d+)\n/.exec(said);
        if (found !== null) resolve(Number(found[1]));
      });
      server.on('error', reject);
      server.on('close', () => reject(new Error(`openssl s_server ended: ${said}`)));
    });
    const recorded = new Recorded(make);
    await new Promise<void>((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => socket.write(recorded.step({ type: 'start' })));
      let asked = false;
      socket.on('data', (bytes) => {
        const answered = recorded.step({ type: 'receive', bytes });
        if (!socket.writableEnded) socket.write(answered);
        if (recorded.established && !asked) {
          asked = true;
          socket.write(recorded.step({ type: 'write', bytes: Buffer.from('hello\n') }));
        }
        if (!socket.writableEnded && Buffer.concat(recorded.received).includes('olleh'))
          socket.end(recorded.step({ type: 'close' }));
      });
      socket.on('error', reject);
      socket.on('close', () => resolve());
    });
    return recorded.trace(`openssl s_server, ${name}`, 'client');
  } finally {
    server.kill();
    rmSync(folder, { recursive: true });
  }
}
