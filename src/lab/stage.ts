/** The processes and files of one run of the real stage: the server on one side, curl and openssl on the other. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { SocryptError } from '../errors.ts';
import type { NativeLabHostSeam, NativeLabWire } from '../native.ts';
import type { Drill, Drilled } from './drills.ts';
import { HOST_ADDRESS, Namespaces } from './namespaces.ts';

export const PORT = 8443;
const METRICS_PORT = 9090;
/** Longer than a row of timeouts that chance alone makes. */
export const TRANSFER_SECONDS = 120;
/** The same for what the server waits for: a burst may take all that one connection sends for ten seconds and more. */
const TIMEOUTS = ['--handshake-timeout', '--header-timeout', '--write-timeout'].flatMap((name) => [
  name,
  `${TRANSFER_SECONDS}s`,
]);

/** Of one transfer: a server takes many without data between them for an attack. */
const MOST_UPDATES = 12;
/** A command of s_client, when it stands at the beginning of what that reads, which it does when nothing else comes. */
const KEY_UPDATE = 'K\n';
/** Milliseconds without a word after which somebody looks whether there is still a connection. */
const SILENT = 2000;

interface PeerOptions {
  readonly input?: string;
  readonly keyUpdates?: boolean;
  readonly mayEnd?: boolean;
}

export interface Ran {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: Buffer;
  readonly errors: string;
}

export class Stage {
  readonly folder = mkdtempSync(join(tmpdir(), 'socrypt-lab-'));
  readonly namespaces = Namespaces.make();
  readonly #children = new Set<ChildProcess>();
  #server: ChildProcess | undefined;
  #peer: { readonly child: ChildProcess; asked: boolean; updates: number } | undefined;
  wire: NativeLabWire | undefined;
  seam: NativeLabHostSeam | undefined;
  errors = '';
  /** How often each drill was done. */
  readonly drilled: Record<string, number> = {};

  write(name: string, text: string | Uint8Array): string {
    const path = join(this.folder, name);
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, text);
    return path;
  }

  #spawn(
    side: 'host' | 'peer',
    command: readonly string[],
    stdin: 'ignore' | 'pipe',
    channel: readonly 'ipc'[] = [],
  ): ChildProcess {
    const [file, ...rest] = [...this.namespaces.inside(side), ...command];
    const child = spawn(file!, rest, { stdio: [stdin, 'pipe', 'pipe', ...channel] });
    this.#children.add(child);
    child.once('close', () => this.#children.delete(child));
    return child;
  }

  /**
   * A program of the peer; `input` is what it gets, and then it is left to end by itself. `mayEnd`: the server may end the
   * connection by an RST, which the wire may lose; nobody sends that again, and who only reads waits for ever.
   */
  peer(
    command: readonly string[],
    { input, keyUpdates = false, mayEnd = false }: PeerOptions = {},
  ): Promise<Ran> {
    const child = this.#spawn('peer', command, input === undefined ? 'ignore' : 'pipe');
    const peer = { child, asked: false, updates: 0 };
    this.#peer = peer;
    const late = setTimeout(() => child.kill('SIGKILL'), (TRANSFER_SECONDS + 5) * 1000);
    const chunks: Buffer[] = [];
    let errors = '';
    let heard = performance.now();
    const watch = setInterval(() => {
      if (mayEnd && performance.now() - heard > SILENT && this.#serves() === 0) child.kill('SIGKILL');
    }, SILENT / 2);
    child.stdout!.on('data', (chunk: Buffer) => {
      heard = performance.now();
      chunks.push(chunk);
    });
    child.stderr!.on('data', (chunk) => {
      errors += chunk;
      // New keys first, then the request; behind a request in the same read it would be a part of that.
      if (!keyUpdates || peer.asked || !errors.includes('KEYUPDATE')) return;
      peer.asked = true;
      child.stdin!.write(input!);
    });
    // Its end is told by `close`, whatever becomes of what it is given.
    child.stdin?.on('error', () => {});
    if (input !== undefined) child.stdin!.write(keyUpdates ? KEY_UPDATE : input);
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => {
        clearTimeout(late);
        clearInterval(watch);
        this.#peer = undefined;
        resolve({ code, signal, out: Buffer.concat(chunks), errors });
      });
    });
  }

  /** Connections that the host's TCP has of the server's port, in whatever state that can still send. */
  #serves(): number {
    const states = ['state', 'connected', 'exclude', 'time-wait'];
    return this.#read(['ss', '-Htn', ...states, `sport = :${PORT}`]).split('\n').length - 1;
  }

  /** The peer reads nothing for a while; false: there is none. */
  stopPeer(milliseconds: number): boolean {
    const child = this.#peer?.child;
    if (!child?.kill('SIGSTOP')) return false;
    setTimeout(() => child.kill('SIGCONT'), milliseconds);
    return true;
  }

  /** The peer ends with data unread, and so by an RST. */
  killPeer(): boolean {
    return this.#peer?.child.kill('SIGKILL') ?? false;
  }

  /** The peer changes its keys and asks for others (RFC 8446 4.6.3); false: it cannot. */
  updateKeys(): boolean {
    if (!this.#peer?.asked || ++this.#peer.updates > MOST_UPDATES) return false;
    this.#peer.child.stdin!.write(KEY_UPDATE);
    return true;
  }

  async serve(args: readonly string[]): Promise<void> {
    const main = fileURLToPath(new URL('../cli/main.js', import.meta.url));
    const drills = new URL('drills.js', import.meta.url).href;
    const child = this.#spawn(
      'host',
      [
        ...[process.execPath, '--import', drills, main, 'serve', ...args, ...TIMEOUTS],
        ...['--port', `${PORT}`, '--metrics-port', `${METRICS_PORT}`],
      ],
      'ignore',
      ['ipc'],
    );
    this.#server = child;
    child.on('message', ({ action, flows }: Drilled) => {
      // Of a device that nobody sends by nothing is lost.
      if (flows > 0) this.drilled[action] = (this.drilled[action] ?? 0) + 1;
    });
    let banner = '';
    let over = false;
    child.stdout!.on('data', (chunk) => {
      banner += chunk;
    });
    child.stderr!.on('data', (chunk) => {
      this.errors = (this.errors + chunk).slice(-4000);
    });
    child.once('close', () => {
      over = true;
    });
    for (let waited = 0; !/^ *url +https/m.test(banner); waited += 20) {
      if (over || waited > 60_000)
        throw new SocryptError(
          'ERR_SOCRYPT_NIC',
          `The server of the real stage did not begin: ${this.errors}`,
        );
      await pause(20);
    }
  }

  /** Does it to the server's device, sooner or later. */
  drill(drill: Drill): void {
    if (this.#server?.connected) this.#server.send(drill);
  }

  #read(command: readonly string[]): string {
    const [file, ...rest] = [...this.namespaces.inside('host'), ...command];
    return spawnSync(file!, rest, { encoding: 'utf8', timeout: 10_000 }).stdout ?? '';
  }

  /** What the server counts: names and labels without `socrypt_`; empty when it does not answer. */
  metrics(): Record<string, number> {
    const text = this.#read(['curl', '-s', '-m', '5', `http://127.0.0.1:${METRICS_PORT}/metrics`]);
    return Object.fromEntries(
      [...text.matchAll(/^socrypt_(\S+) (\S+)$/gm)].map(([, name, value]) => [name, Number(value)]),
    );
  }

  /** How often the host's TCP saw that the peer had taken back what it had acknowledged (proc_net_netstat(5)). */
  renegings(): number {
    const [names = '', values = ''] = this.#read(['cat', '/proc/net/netstat'])
      .split('\n')
      .filter((line) => line.startsWith('TcpExt:'));
    return Number(values.split(' ')[names.split(' ').indexOf('TCPSACKReneging')] ?? 0);
  }

  /** Ends what is running; whoever waits for it is told. */
  end(): void {
    for (const child of this.#children) child.kill('SIGKILL');
  }

  async close(): Promise<void> {
    const ended = [...this.#children].map((child) => new Promise((resolve) => child.once('close', resolve)));
    this.end();
    await Promise.all(ended);
    this.wire?.close();
    this.seam?.close();
    this.namespaces.remove();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A GET by a client that shares no code with us. */
export interface Transfer {
  readonly by: 'curl' | 'openssl';
  readonly ran: Ran;
  readonly body: Uint8Array;
}

export async function transfer(
  stage: Stage,
  number: number,
  path: string,
  ca: string,
  { keyUpdates, mayEnd }: { readonly keyUpdates: boolean; readonly mayEnd: boolean },
): Promise<Transfer> {
  // Only s_client can be told to change keys, and those of TLS 1.2 do not.
  const tls12 = number % 4 >= (keyUpdates ? 3 : 2);
  const updating = keyUpdates && !tls12;
  if (number % 2 === 0 && !updating) {
    const ran = await stage.peer(
      [
        ...['curl', '-sS', '--cacert', ca, '--max-time', `${TRANSFER_SECONDS}`],
        ...(tls12 ? ['--tls-max', '1.2'] : []),
        ...['--resolve', `localhost:${PORT}:${HOST_ADDRESS}`, `https://localhost:${PORT}${path}`],
      ],
      { mayEnd },
    );
    return { by: 'curl', ran, body: ran.out };
  }
  const ran = await stage.peer(
    [
      ...['openssl', 's_client', '-quiet', updating ? '-no_ign_eof' : '-ign_eof'],
      ...['-connect', `${HOST_ADDRESS}:${PORT}`, '-servername', 'localhost'],
      ...['-CAfile', ca, '-verify_return_error', ...(tls12 ? ['-tls1_2'] : [])],
    ],
    {
      input: `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
      keyUpdates: updating,
      mayEnd,
    },
  );
  const head = ran.out.indexOf('\r\n\r\n');
  return { by: 'openssl', ran, body: head < 0 ? Buffer.alloc(0) : ran.out.subarray(head + 4) };
}
