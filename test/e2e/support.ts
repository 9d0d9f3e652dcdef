/** What the end-to-end tests share: credentials, files, servers in and out of this process, peers. */
import {
  type ChildProcess,
  type ChildProcessWithoutNullStreams,
  execFileSync,
  spawn,
} from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { type ServeOptions, type Server, serve } from '../../src/index.ts';

export const repository = resolve(import.meta.dirname, '../..');

// ── peers ────────────────────────────────────────────────────────────────────────────────────────────

/** Path of a program, or null: the test that needs it is skipped and says so. */
export function program(name: string): string | null {
  for (const directory of `${process.env.PATH ?? ''}:/usr/sbin:/sbin`.split(':')) {
    const path = join(directory, name);
    if (directory !== '' && existsSync(path)) return path;
  }
  return null;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

const children = new Set<ChildProcess>();
export function track<T extends ChildProcess>(child: T): T {
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
}
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

/** Runs a program to its end. `input` undefined: its standard input stays open until it ends. */
export function run(command: string, args: readonly string[], input?: string | Buffer): Promise<Ended> {
  return ended(track(spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] })), input);
}

export function ended(child: ChildProcessWithoutNullStreams, input?: string | Buffer): Promise<Ended> {
  const out: Buffer[] = [];
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  child.stdin.on('error', () => {});
  if (input !== undefined) child.stdin.end(input);
  return new Promise((done, failed) => {
    child.once('error', failed);
    child.once('close', (code, signal) => done({ code, signal, stdout: Buffer.concat(out), stderr }));
  });
}

// ── files and credentials ────────────────────────────────────────────────────────────────────────────

export const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

export class Site {
  readonly directory = mkdtempSync(join(tmpdir(), 'socrypt-e2e-'));
  readonly root = join(this.directory, 'root');

  constructor(files: Readonly<Record<string, string | Uint8Array>> = {}) {
    mkdirSync(this.root);
    for (const [name, content] of Object.entries(files)) this.plant(name, content);
  }

  path(name: string): string {
    return join(this.directory, name);
  }
  file(name: string): string {
    return join(this.root, name);
  }
  plant(name: string, content: string | Uint8Array): void {
    mkdirSync(dirname(this.file(name)), { recursive: true });
    writeFileSync(this.file(name), content);
  }
  /** Random content of that many bytes. */
  random(name: string, size: number): Buffer {
    const content = randomBytes(size);
    this.plant(name, content);
    return content;
  }
  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export interface Credentials {
  readonly ca: string;
  readonly ecdsa: { readonly cert: string; readonly key: string };
  readonly rsa: { readonly cert: string; readonly key: string };
}

/** A certificate authority, and what it issued for localhost: openssl's work, none of ours. */
export function issue(directory: string, prefix = ''): Credentials {
  const openssl = (...args: string[]) =>
    execFileSync('openssl', args, { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
  const ca = join(directory, `${prefix}ca.pem`);
  const P256 = ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'];
  openssl('genpkey', ...P256, '-out', `${prefix}ca.key`);
  openssl(
    ...[
      'req',
      '-x509',
      '-new',
      '-key',
      `${prefix}ca.key`,
      '-subj',
      `/CN=${prefix}socrypt test CA`,
      '-days',
      '60',
    ],
    ...['-addext', 'keyUsage=critical,keyCertSign,cRLSign', '-out', ca],
  );
  const leaf = (name: string, ...algorithm: string[]) => {
    const key = join(directory, `${prefix}${name}.key`);
    const cert = join(directory, `${prefix}${name}.pem`);
    openssl('genpkey', ...algorithm, '-out', key);
    openssl('req', '-new', '-key', key, '-subj', '/CN=localhost', '-out', `${prefix}${name}.csr`);
    const extensions = join(directory, `${prefix}${name}.ext`);
    writeFileSync(
      extensions,
      'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\nkeyUsage=digitalSignature\n',
    );
    openssl(
      ...[
        'x509',
        '-req',
        '-in',
        `${prefix}${name}.csr`,
        '-CA',
        ca,
        '-CAkey',
        `${prefix}ca.key`,
        '-days',
        '60',
      ],
      ...[
        '-set_serial',
        `0x${randomBytes(8).toString('hex').replace(/^./, '1')}`,
        '-extfile',
        extensions,
        '-out',
        cert,
      ],
    );
    return { cert, key };
  };
  return {
    ca,
    ecdsa: leaf('ecdsa', ...P256),
    rsa: leaf('rsa', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'),
  };
}

// ── servers ──────────────────────────────────────────────────────────────────────────────────────────

/** The server of this repository, in this process, on a free port of 127.0.0.1. */
export function start(site: Site, credentials: Credentials, options: ServeOptions = {}): Promise<Server> {
  return serve({
    root: site.root,
    host: '127.0.0.1',
    port: 0,
    workers: 2,
    cert: [credentials.ecdsa.cert, credentials.rsa.cert],
    key: [credentials.ecdsa.key, credentials.rsa.key],
    logLevel: 'silent',
    ...options,
  });
}

/** `socrypt serve` as its own process. */
export class ServerProcess {
  readonly child: ChildProcessWithoutNullStreams;
  readonly ended: Promise<Ended>;
  port = 0;
  output = '';
  log = '';

  constructor(
    args: readonly string[],
    options: { readonly shell?: string; readonly env?: NodeJS.ProcessEnv } = {},
  ) {
    const command = [process.execPath, join(repository, 'dist/cli/main.js'), 'serve', ...args];
    // Variables of the tests themselves (seeds, limits) are no options of the server, which would refuse them.
    const inherited = Object.entries(process.env).filter(
      ([name]) => !name.startsWith('SOCRYPT_') || name === 'SOCRYPT_ADDON' || name === 'SOCRYPT_SOFT_DRIVER',
    );
    const env = { ...Object.fromEntries(inherited), ...options.env };
    // `exec`: signals go to the server and not to a shell in front of it.
    this.child = track(
      options.shell === undefined
        ? spawn(command[0]!, command.slice(1), { env, stdio: ['pipe', 'pipe', 'pipe'] })
        : spawn('sh', ['-c', `${options.shell}; exec "$@"`, 'sh', ...command], {
            env,
            stdio: ['pipe', 'pipe', 'pipe'],
          }),
    );
    this.child.stdout.on('data', (chunk) => {
      this.output += chunk;
    });
    this.child.stderr.on('data', (chunk) => {
      this.log += chunk;
    });
    this.ended = ended(this.child, '');
  }

  /** Resolves when it listens; rejects with what it said when it ended first. */
  async up(): Promise<this> {
    await until(() => {
      const found = /https:\/\/[^\s/]*?:(\d+)\//.exec(this.output);
      if (found !== null) this.port = Number(found[1]);
      if (this.port === 0 && this.child.exitCode !== null)
        throw new Error(`the server ended with ${this.child.exitCode}: ${this.log}${this.output}`);
      return this.port !== 0;
    }, 'the server to listen');
    return this;
  }
  /** Resolves when its log or output has said it. */
  async says(pattern: RegExp): Promise<void> {
    await until(() => pattern.test(this.log) || pattern.test(this.output), `the server to say ${pattern}`);
  }
  async stop(): Promise<Ended> {
    this.child.kill('SIGKILL');
    return this.ended;
  }
}

export function processArgs(site: Site, credentials: Credentials, ...more: string[]): string[] {
  const { ecdsa, rsa } = credentials;
  return [
    ...[
      site.root,
      '--host',
      '127.0.0.1',
      '--workers',
      '1',
      ...(more.includes('--port') ? [] : ['--port', '0']),
    ],
    ...['--cert', ecdsa.cert, '--key', ecdsa.key, '--cert', rsa.cert, '--key', rsa.key, ...more],
  ];
}

// ── waiting ──────────────────────────────────────────────────────────────────────────────────────────

export const sleep = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));

/** Polls until it holds. The bound is no measurement: it is there so that a hang ends with words. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string,
  boundMs = 30_000,
): Promise<void> {
  const end = Date.now() + boundMs;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await sleep(10);
  }
}

export const openDescriptors = (pid: number | 'self' = 'self') => readdirSync(`/proc/${pid}/fd`).length;

/** How many of them are sockets. */
export const openSockets = () =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:');
    } catch {
      return false; // the directory that was read
    }
  }).length;

/** Bytes of the process in memory. */
export function residentBytes(pid: number): number {
  const found = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(found?.[1] ?? Number.NaN) * 1024;
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as { port: number };
  await new Promise((done) => server.close(done));
  return port;
}

// ── clients on sockets ───────────────────────────────────────────────────────────────────────────────

/** What a peer sent until the connection ended. */
export interface Received {
  readonly bytes: Buffer;
  /** Error code of the socket, or ''. */
  readonly error: string;
}

export class Wire {
  readonly socket: Socket | TLSSocket;
  /** All of it, to its end. */
  readonly end: Promise<Received>;
  #chunks: Buffer[] = [];
  #length = 0;
  ended = false;
  error = '';

  constructor(socket: Socket | TLSSocket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#length += chunk.length;
    });
    this.end = new Promise((done) => {
      socket.on('error', (error: NodeJS.ErrnoException) => {
        this.error = error.code ?? error.message;
      });
      socket.on('close', () => {
        this.ended = true;
        done({ bytes: this.bytes, error: this.error });
      });
    });
  }
  get length(): number {
    return this.#length;
  }
  get bytes(): Buffer {
    this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0]!;
  }
  get text(): string {
    return this.bytes.toString('latin1');
  }
  write(bytes: string | Uint8Array): this {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
    return this;
  }
  async atLeast(length: number): Promise<void> {
    await until(() => this.#length >= length || this.ended, `${length} bytes (there are ${this.#length})`);
  }
}

export function tcp(port: number): Promise<Wire> {
  return new Promise((done, failed) => {
    const socket = createConnection({ port, host: '127.0.0.1', noDelay: true }, () => done(new Wire(socket)));
    socket.once('error', failed);
  });
}

export function tls(port: number, credentials: Credentials, options: ConnectionOptions = {}): Promise<Wire> {
  return new Promise((done, failed) => {
    const socket = connect(
      { port, host: '127.0.0.1', servername: 'localhost', ca: readFileSync(credentials.ca), ...options },
      () => done(new Wire(socket)),
    );
    socket.once('error', failed);
    socket.setNoDelay(true);
  });
}

/** Sends `requests` on one TLS connection and reads until the server ends it. */
export async function exchange(
  port: number,
  credentials: Credentials,
  requests: string | Uint8Array,
): Promise<Received> {
  return (await tls(port, credentials)).write(requests).end;
}

export interface Response {
  readonly status: number;
  readonly version: string;
  /** Lower-case names; the last of repeated ones. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/**
 * Reads the responses in `bytes`; `methods` are those of the requests in order, since HEAD has no body. Throws for
 * anything that is not one whole response after another.
 */
export function parseResponses(bytes: Buffer, methods: readonly string[]): Response[] {
  const responses: Response[] = [];
  let at = 0;
  while (at < bytes.length) {
    const end = bytes.indexOf('\r\n\r\n', at);
    if (end < 0)
      throw new Error(`no end of a head in ${JSON.stringify(bytes.toString('latin1', at, at + 200))}`);
    const [statusLine, ...fields] = bytes.toString('latin1', at, end).split('\r\n');
    const status = /^(HTTP\/1\.[01]) (\d{3}) /.exec(`${statusLine} `);
    if (status === null) throw new Error(`not a status line: ${JSON.stringify(statusLine)}`);
    const headers: Record<string, string> = {};
    for (const field of fields) {
      const colon = field.indexOf(':');
      if (colon < 1) throw new Error(`not a field: ${JSON.stringify(field)}`);
      headers[field.slice(0, colon).toLowerCase()] = field.slice(colon + 1).trim();
    }
    at = end + 4;
    const code = Number(status[2]);
    const method = methods[responses.length] ?? 'GET';
    let body: Buffer = Buffer.alloc(0);
    if (method !== 'HEAD' && code !== 204 && code !== 304) {
      if (headers['transfer-encoding'] !== undefined) throw new Error('a chunked response was not expected');
      const given = headers['content-length'];
      const length = given === undefined ? bytes.length - at : Number(given);
      if (bytes.length - at < length)
        throw new Error(`body of ${bytes.length - at} bytes, expected ${length}`);
      body = bytes.subarray(at, at + length);
      at += length;
    }
    responses.push({ status: code, version: status[1]!, headers, body });
  }
  return responses;
}
