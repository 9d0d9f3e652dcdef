import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as tlsConnect } from 'node:tls';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Folder, get, getPlain, keepAlive, until } from '../serve/support.ts';
import { Command, compile, removeCompiled } from './support.ts';

let folder: Folder;
let ca: string;
let pair: string[];
let commands: Command[] = [];
beforeAll(compile);
afterAll(removeCompiled);
beforeEach(() => {
  folder = new Folder();
  const made = folder.credential('one');
  ca = made.pem;
  pair = ['--cert', made.cert, '--key', made.key];
  folder.write('site/index.html', 'hello');
});
afterEach(async () => {
  for (const command of commands.splice(0)) {
    command.signal('SIGKILL');
    await command.finished;
  }
  commands = [];
  folder.remove();
});

function command(args: readonly string[], env: NodeJS.ProcessEnv = {}, shell?: string): Command {
  const one = new Command(args, { XDG_DATA_HOME: join(folder.path, 'data'), ...env }, shell);
  commands.push(one);
  return one;
}
async function start(
  args: readonly string[] = [],
  env: NodeJS.ProcessEnv = {},
  shell?: string,
): Promise<Command> {
  const one = command(
    ['serve', join(folder.path, 'site'), '--port', '0', '--workers', '1', ...args],
    env,
    shell,
  );
  let over = false;
  void one.finished.then(() => {
    over = true;
  });
  await until(() => over || one.log().some(({ msg }) => msg === 'listening'), 'listening');
  expect(over, one.stderr).toBe(false);
  await until(() => one.stdout.includes('engines') || args.includes('-'), 'the banner');
  return one;
}
const metric = async (port: number, pattern: RegExp) =>
  Number(pattern.exec((await getPlain(port, '/metrics')).text)?.[1]);

/** A client that asks for a file and reads nothing of it until told. */
async function slowReader(
  port: number,
  path: string,
): Promise<{ socket: Socket; read: () => Promise<number> }> {
  const socket = tlsConnect({ host: '127.0.0.1', port, servername: 'localhost', ca });
  await new Promise((resolve) => socket.once('secureConnect', resolve));
  let bytes = 0;
  socket.pause();
  socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  await new Promise((resolve) => socket.once('readable', resolve));
  const read = () =>
    new Promise<number>((resolve) => {
      socket.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
      });
      socket.on('close', () => resolve(bytes));
      socket.on('error', () => {});
      socket.resume();
    });
  return { socket, read };
}

describe('socrypt serve', () => {
  it('makes a development certificate once, says where, and serves with it', async () => {
    const first = await start();
    const kept = /kept in (\S+)/.exec(first.stdout)![1]!;
    expect(kept.startsWith(join(folder.path, 'data'))).toBe(true);
    expect(first.stdout).toMatch(/made now/);
    expect(first.stdout).toMatch(/browsers warn of it/);
    expect(first.stdout).toMatch(/offload +software: \S+.*\n +not kernel: .+\n +not nic: .+/);
    const own = readFileSync(join(kept, 'cert.pem'), 'utf8');
    expect((await get({ port: first.port('url'), ca: own })).body.toString()).toBe('hello');
    const second = await start();
    expect(second.stdout).not.toMatch(/made now/);
    expect((await get({ port: second.port('url'), ca: own })).status).toBe(200);
  });

  it('ends with 0 after a drain, on SIGTERM and SIGINT', async () => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      const server = await start(pair);
      const agent = keepAlive();
      await get({ port: server.port('url'), ca, agent });
      server.signal(signal);
      expect(await server.finished).toEqual({ status: 0, signal: null });
      agent.destroy();
    }
  });

  it('finishes an open transfer before it ends', async () => {
    const size = 30_000_000;
    folder.write('site/big.bin', Buffer.alloc(size, 1));
    const server = await start(pair);
    const reader = await slowReader(server.port('url'), '/big.bin');
    server.signal('SIGTERM');
    await until(() => server.log().some(({ msg }) => msg === 'draining'), 'draining');
    expect(await reader.read()).toBeGreaterThan(size);
    expect(await server.finished).toEqual({ status: 0, signal: null });
  });

  it('ends at once on the second signal', async () => {
    folder.write('site/big.bin', Buffer.alloc(60_000_000, 1));
    const server = await start([...pair, '--drain-timeout', '1h']);
    const { socket } = await slowReader(server.port('url'), '/big.bin');
    socket.on('error', () => {});
    server.signal('SIGTERM');
    await until(() => server.log().some(({ msg }) => msg === 'draining'), 'draining');
    server.signal('SIGTERM');
    expect(await server.finished).toEqual({ status: 143, signal: null });
    socket.destroy();
  });

  it('leaves nothing behind that a killed server would need to clean up', async () => {
    const server = await start(pair);
    const port = server.port('url');
    server.signal('SIGKILL');
    await server.finished;
    const again = command(['serve', join(folder.path, 'site'), '--port', String(port), ...pair]);
    await until(() => again.log().some(({ msg }) => msg === 'listening'), 'listening again');
    expect((await get({ port, ca })).status).toBe(200);
  });

  it('reloads certificates, config and access log on SIGHUP, and keeps the old when the new is bad', async () => {
    const log = join(folder.path, 'access.log');
    const config = folder.write(
      'socrypt.json',
      '{"headers": {"X-Generation": "1"}, "index": ["index.html"]}',
    );
    const server = await start([...pair, '--config', config, '--access-log', log, '--metrics-port', '0']);
    const port = server.port('url');
    const agent = keepAlive();
    expect((await get({ port, ca, agent })).headers['x-generation']).toBe('1');

    await until(() => readFileSync(log, 'utf8').includes('GET /'), 'a line');
    renameSync(log, `${log}.1`);
    writeFileSync(config, '{"headers": {"X-Generation": "2"}}');
    server.signal('SIGHUP');
    await until(
      async () => (await get({ port, ca, agent })).headers['x-generation'] === '2',
      'the new header',
    );
    await until(
      () => existsSync(log) && readFileSync(log, 'utf8').includes('GET /'),
      'a line in the new log',
    );

    const gauge = /^socrypt_config_last_reload_successful (\d)$/m;
    expect(await metric(server.port('metrics'), gauge)).toBe(1);
    writeFileSync(config, '{\n  "headers": {"X-Generation": 3}\n}');
    server.signal('SIGHUP');
    await until(async () => (await metric(server.port('metrics'), gauge)) === 0, 'a failed reload');
    expect((await get({ port, ca, agent })).headers['x-generation']).toBe('2');
    expect(server.stderr).toMatch(/socrypt\.json:2:3: headers expects/);
    writeFileSync(config, '{"headers": {"X-Generation": "4"}}');
    server.signal('SIGHUP');
    await until(
      async () => (await get({ port, ca, agent })).headers['x-generation'] === '4',
      'the repaired config',
    );
    expect(await metric(server.port('metrics'), gauge)).toBe(1);
    expect(await metric(server.port('metrics'), /^socrypt_connections_accepted_total (\d+)$/m)).toBe(1);
    agent.destroy();
  });

  it('serves on when the disk of the access log is full, says so once, and counts', async () => {
    const server = await start([...pair, '--access-log', '/dev/full', '--metrics-port', '0']);
    const port = server.port('url');
    const failing = () =>
      server.log().filter(({ msg }) => String(msg).startsWith('the access log cannot be written'));
    await until(async () => {
      expect((await get({ port, ca })).status).toBe(200);
      return failing().length > 0;
    }, 'the warning');
    for (let i = 0; i < 20; i++) expect((await get({ port, ca })).status).toBe(200);
    const errors = () => metric(server.port('metrics'), /^socrypt_log_write_errors_total (\d+)$/m);
    await until(async () => (await errors()) > 0, 'counted write errors');
    expect(failing()).toHaveLength(1);
    expect(failing()[0]).toMatchObject({
      path: '/dev/full',
      error: expect.stringMatching(/ENOSPC|[Nn]o space/),
    });
  });

  it('writes the access log to stdout and its banner elsewhere', async () => {
    const server = await start([...pair, '--access-log', '-', '--access-log-format', 'json']);
    await until(() => server.stderr.includes('engines'), 'the banner on stderr');
    const port = Number(/https:\/\/localhost:(\d+)/.exec(server.stderr)![1]);
    await get({ port, ca, path: '/?a=1' });
    await until(() => server.stdout.includes('\n'), 'a line');
    for (const line of server.stdout.trim().split('\n')) expect(() => JSON.parse(line), line).not.toThrow();
  });

  it('does not mind a reader of stdout that goes away', async () => {
    const server = await start(pair);
    server.child.stdout!.destroy();
    server.child.stderr!.destroy();
    const port = server.port('url');
    server.signal('SIGHUP');
    for (let i = 0; i < 5; i++) expect((await get({ port, ca })).status).toBe(200);
    server.signal('SIGTERM');
    expect(await server.finished).toEqual({ status: 0, signal: null });
  });

  it('refuses connections when descriptors run out, and recovers', async () => {
    const server = await start(
      [...pair, '--metrics-port', '0', '--max-connections', '10000'],
      {},
      'ulimit -n 64; exec',
    );
    expect(server.log().find(({ msg }) => String(msg).includes('open files'))).toMatchObject({
      level: 'warn',
    });
    const port = server.port('url');
    expect((await get({ port, ca })).status).toBe(200);
    const idle: Socket[] = [];
    for (let i = 0; i < 100; i++) {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => {});
      idle.push(socket);
    }
    const rejected = async () => {
      const { text } = await getPlain(server.port('metrics'), '/metrics');
      return ['limit', 'fd'].reduce(
        (sum, reason) =>
          sum + Number(new RegExp(`rejected_total\\{reason="${reason}"\\} (\\d+)`).exec(text)![1]),
        0,
      );
    };
    await until(async () => (await rejected()) > 0, 'refused connections');
    for (const socket of idle) socket.destroy();
    await until(async () => {
      try {
        return (await get({ port, ca })).status === 200;
      } catch {
        return false;
      }
    }, 'served again');
  });

  it('answers plain HTTP on the TLS port with a 400 that says so', async () => {
    const server = await start(pair);
    const answer = await getPlain(server.port('url'), '/');
    expect(answer.status).toBe(400);
    expect(answer.text).toMatch(/https|TLS/i);
  });
});

describe('socrypt serve, refused', () => {
  const pair = () => {
    const { cert, key } = folder.credential('pair');
    return ['--cert', cert, '--key', key];
  };
  const weak = () => {
    const [key, cert] = ['weak.key', 'weak.pem'].map((name) => join(folder.path, name));
    execFileSync(
      'openssl',
      [
        ...['req', '-x509', '-nodes', '-days', '2', '-subj', '/CN=weak', '-newkey', 'rsa:1024'],
        ...['-keyout', key!, '-out', cert!],
      ],
      { stdio: 'pipe' },
    );
    return ['--cert', cert!, '--key', key!];
  };
  const ticketKeys = (content: string) => {
    const path = folder.write('ticket.keys', content);
    chmodSync(path, 0o600);
    return path;
  };
  const cases: [string, () => string[], number, RegExp][] = [
    ['an unknown option', () => ['--prot', '1'], 2, /--prot is not an option.*did you mean --port/],
    ['a bad config line', () => ['-c', folder.write('c.json', '{"port": }')], 2, /c\.json:1:10: not JSON/],
    ['a missing root', () => [join(folder.path, 'none')], 1, /ERR_SOCRYPT_ROOT_MISSING/],
    [
      'a missing certificate',
      () => ['.', '--cert', '/none', '--key', '/none'],
      1,
      /ERR_SOCRYPT_FILE_UNREADABLE/,
    ],
    [
      'a key that does not fit',
      () => ['.', '--cert', folder.credential('a').cert, '--key', folder.credential('b').key],
      1,
      /ERR_SOCRYPT_KEY_MISMATCH/,
    ],
    ['a weak RSA key', () => ['.', ...weak()], 1, /RSA.*1024.*ERR_SOCRYPT_KEY_/],
    ['an unknown group', () => ['.', '--group', 'ffdhe2048'], 2, /--group expects one of .*secp256r1/],
    ['an unknown suite', () => ['.', '--suite', 'TLS_AES_128_CCM_SHA256'], 2, /--suite expects one of /],
    [
      'a certificate that no suite goes with',
      () => ['.', ...pair(), '--suite', 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256'],
      1,
      /--cert \S+\): expected .*--suite.*ECDSA.*ERR_SOCRYPT_CERTIFICATE_UNUSABLE/,
    ],
    [
      'short ticket keys',
      () => ['.', ...pair(), '--ticket-keys', ticketKeys(`current ${'QUFB'.repeat(5)}`)],
      1,
      /--ticket-keys.*15 bytes.*ERR_SOCRYPT_TICKET_KEYS/,
    ],
    [
      'ticket keys without a current one',
      () => ['.', ...pair(), '--ticket-keys', ticketKeys(`next ${randomBytes(32).toString('base64')}`)],
      1,
      /--ticket-keys.*role current.*ERR_SOCRYPT_TICKET_KEYS/,
    ],
    ['rules for clients without authorities', () => ['.', '--client-auth', 'require'], 2, /--client-ca/],
    [
      'an unreadable revocation list',
      () => ['.', ...pair(), '--client-ca', pair()[1]!, '--client-crl', '/none.crl'],
      1,
      /--client-crl file \/none\.crl.*ENOENT.*ERR_SOCRYPT_FILE_UNREADABLE/,
    ],
    [
      'a revocation list that is none',
      () => ['.', ...pair(), '--client-ca', pair()[1]!, '--client-crl', folder.write('no.crl', 'x')],
      1,
      /ERR_SOCRYPT_(?:CRL|PEM)_/,
    ],
    [
      'an OCSP response that is none',
      () => ['.', ...pair(), '--ocsp', folder.write('no.ocsp', 'x')],
      1,
      /--ocsp file .*ERR_SOCRYPT_OCSP_INVALID/,
    ],
    [
      'an option that http refuses',
      () => ['.', '--port', '0', '--header', 'Date: x'],
      2,
      /ERR_SOCRYPT_HTTP_OPTION/,
    ],
  ];
  it.each(cases)('%s', async (_, args, status, message) => {
    const refused = command(['serve', ...args()]);
    expect(await refused.finished).toEqual({ status, signal: null });
    expect(refused.stderr).toMatch(message);
    expect(refused.stderr.trimEnd().split('\n'), refused.stderr).toHaveLength(1);
    expect(refused.stdout).toBe('');
  });

  it.skipIf(process.getuid?.() !== 0)(
    'an unreadable root and a privileged port (skipped unless root, who can be somebody else)',
    async () => {
      // Another user's view: nobody may neither enter the folder nor take a port below 1024.
      const setpriv = 'exec setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all';
      chmodSync(join(folder.path, 'site'), 0o700);
      chmodSync(folder.path, 0o755);
      expect(statSync(join(folder.path, 'site')).uid).toBe(0);
      const args = ['serve', join(folder.path, 'site'), '--port', '0'];
      const unreadable = command(args, {}, setpriv);
      expect(await unreadable.finished).toEqual({ status: 1, signal: null });
      expect(unreadable.stderr).toMatch(/ERR_SOCRYPT_ROOT_UNREADABLE|EACCES/);
    },
  );
});
