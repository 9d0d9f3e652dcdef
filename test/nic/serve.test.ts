/** `socrypt serve --offload nic` between network namespaces: real clients, the kernel's TCP, and a wire that listens. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Command, compile, removeCompiled } from '../cli/support.ts';
import { Folder, until } from '../serve/support.ts';
import { buildTools, type Faults, Network, whyNot } from './network.ts';

const reason = whyNot();
const seed = Number(process.env.SOCRYPT_SEED ?? (Math.random() * 2 ** 31) >>> 0);
const CANARY = 'this-is-plaintext-and-must-not-be-on-the-wire';

/** Lines with the canary, each another one. */
function content(bytes: number, salt = ''): Buffer {
  const lines: string[] = [];
  for (let n = 0, length = 0; length < bytes; ++n) {
    const line = `${CANARY} ${salt}${n}\n`;
    lines.push(line);
    length += line.length;
  }
  return Buffer.from(lines.join('')).subarray(0, bytes);
}

const SMALL = content(3000);
const LARGE = content(12_000_000);

describe.skipIf(reason !== null)(
  `serve --offload nic${reason === null ? '' : ` (skipped: ${reason})`}`,
  () => {
    let folder: Folder;
    let network: Network | undefined;
    let server: Command | undefined;
    let pair: string[];
    const clients = new Set<ChildProcess>();

    beforeAll(() => {
      console.log(`nic: seed ${seed} (SOCRYPT_SEED repeats it)`);
      buildTools();
      compile();
      folder = new Folder();
      const made = folder.credential('one');
      pair = ['--cert', made.cert, '--key', made.key];
      folder.write('site/small.txt', SMALL);
      folder.write('site/large.txt', LARGE);
    }, 300_000);
    afterAll(() => {
      removeCompiled();
      folder?.remove();
    });
    afterEach(async () => {
      for (const client of clients) client.kill('SIGKILL');
      clients.clear();
      server?.signal('SIGKILL');
      await server?.finished;
      server = undefined;
      await network?.remove();
      network = undefined;
    });

    /** Both sides, and the server on the host's. */
    async function start(args: readonly string[] = [], faults: Faults = {}): Promise<void> {
      network = await Network.make(CANARY, faults, seed);
      server = await serve(args);
    }
    async function serve(args: readonly string[]): Promise<Command> {
      const one = new Command(
        [
          ...[
            'serve',
            join(folder.path, 'site'),
            '--offload',
            'nic',
            '--wire',
            'w0',
            '--workers',
            '1',
            '--port',
            '8443',
          ],
          ...[
            '--address',
            '10.9.0.1/24',
            '--address',
            'fd09::1/64',
            '--metrics-port',
            '9090',
            ...pair,
            ...args,
          ],
        ],
        {},
        `exec ${Network.inside(network!.host).join(' ')}`,
      );
      let over = false;
      void one.finished.then(() => {
        over = true;
      });
      await until(() => over || one.stdout.includes('engines'), 'the banner');
      expect(over, one.stderr).toBe(false);
      return one;
    }

    interface Ran {
      readonly code: number | null;
      readonly out: Buffer;
      readonly errors: string;
    }
    /** A program on one side; `input` as it gets it, and then it waits for the program's end. */
    function run(
      side: string,
      command: readonly string[],
      speak?: (child: ChildProcess, out: () => Buffer) => void,
    ): Promise<Ran> {
      const [file, ...rest] = [...Network.inside(side), ...command];
      const child = spawn(file!, rest, { stdio: [speak === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'] });
      clients.add(child);
      const chunks: Buffer[] = [];
      let errors = '';
      child.stdout!.on('data', (chunk) => chunks.push(chunk));
      child.stderr!.on('data', (chunk) => {
        errors += chunk;
      });
      speak?.(child, () => Buffer.concat(chunks));
      return new Promise((resolve) => {
        child.once('close', (code) => {
          clients.delete(child);
          resolve({ code, out: Buffer.concat(chunks), errors });
        });
      });
    }
    async function metric(pattern: RegExp): Promise<number> {
      const { out } = await run(network!.host, ['curl', '-sS', 'http://127.0.0.1:9090/metrics']);
      return Number(pattern.exec(out.toString())?.[1] ?? Number.NaN);
    }
    /** No frame that left, by the wire or by any other interface than the host port, had plaintext in it. */
    async function expectNoPlaintext(): Promise<void> {
      expect(await network!.wire()).toMatchObject({ canaries: 0 });
      const { missed, interfaces } = await network!.sniffed();
      for (const [name, { found }] of Object.entries(interfaces)) {
        // The host port has it, or all of this would show nothing.
        if (name === 'socrypt0') expect(found, name).toBeGreaterThan(0);
        else expect(found, name).toBe(0);
      }
      expect(missed).toBe(0);
    }

    it.each([
      ['zero copy', [], []],
      ['copied files, TLS 1.2', ['--zero-copy', 'copy'], ['--tls-max', '1.2']],
      [
        'a veth as host port, ChaCha20-Poly1305',
        ['--host-driver', 'veth'],
        ['--tls13-ciphers', 'TLS_CHACHA20_POLY1305_SHA256'],
      ],
      ['prefix-replay', ['--resync', 'prefix-replay'], []],
    ])('serves under loss, repetition and reordering: %s', async (_, options, client) => {
      await start(options, { loss: 15, repeat: 5, reorder: 15 });
      for (const address of ['10.9.0.1', '[fd09::1]']) {
        const got = await run(network!.peer, [
          ...['curl', '-sS', '--insecure', '--max-time', '50', ...client],
          ...[`https://${address}:8443/small.txt`, `https://${address}:8443/large.txt`],
        ]);
        expect(got.errors).toBe('');
        expect(got.out.equals(Buffer.concat([SMALL, LARGE]))).toBe(true);
      }
      await expectNoPlaintext();
      expect(await metric(/^socrypt_tls_records_total\{direction="out",path="nic"\} (\d+)/m)).toBeGreaterThan(
        1400,
      );
      expect(await metric(/^socrypt_nic_tx_tls_retransmitted_bytes_total (\d+)/m)).toBeGreaterThan(0);
      const copied = options.length > 0 && options[0] !== '--host-driver';
      expect((await metric(/^socrypt_zero_copy_bytes_total (\d+)/m)) > 10_000_000).toBe(!copied);
      // Connections end, and with them their flows.
      await until(async () => (await metric(/^socrypt_nic_flows (\d+)/m)) === 0, 'no flow');
    });

    it('says what it does, and removes what it made', async () => {
      await start();
      expect(server!.stdout).toMatch(/offload +nic: inline NIC on w0, AF_XDP, .*host port socrypt0, tap/);
      expect(server!.port('url')).toBe(8443);
      server!.signal('SIGTERM');
      expect(await server!.finished).toEqual({ status: 0, signal: null });
      const links = await run(network!.host, ['ip', '-o', 'link']);
      expect(links.out.toString()).not.toContain('socrypt0');
      expect(links.out.toString()).not.toContain('xdp');
    });
  },
);
