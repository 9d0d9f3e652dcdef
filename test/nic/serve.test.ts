/** `socrypt serve --offload nic` between network namespaces: real clients, the kernel's TCP, and a wire that listens. */
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { NicFlow, NicRecordTrace } from '../../src/native.ts';
import { Command, compile, removeCompiled } from '../cli/support.ts';
import { Folder, until } from '../serve/support.ts';
import { buildTools, type Faults, Network, whyNot } from './network.ts';

vi.setConfig({ testTimeout: 180_000 });
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

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
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
      await until(() => over || one.stdout.includes('engines'), 'the banner', 60_000);
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
      speak?: (child: ChildProcess, out: () => Buffer) => void | Promise<void>,
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
      void speak?.(child, () => Buffer.concat(chunks));
      return new Promise((resolve) => {
        child.once('close', (code) => {
          clients.delete(child);
          resolve({ code, out: Buffer.concat(chunks), errors });
        });
      });
    }
    /** curl on the peer's side; `begun` when it has written something. */
    function download(path: string, ...args: string[]) {
      let child: ChildProcess | undefined;
      let out: () => Buffer = () => Buffer.alloc(0);
      const done = run(
        network!.peer,
        [
          'curl',
          '-sS',
          '--insecure',
          '--no-buffer',
          '--max-time',
          '50',
          ...args,
          `https://10.9.0.1:8443/${path}`,
        ],
        (started, soFar) => {
          child = started;
          out = soFar;
          started.stdin!.end();
        },
      );
      return {
        done,
        begun: () => until(() => out().length > 500_000, 'the first bytes'),
        stop: () => child?.kill('SIGKILL'),
      };
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
      ['next-record', ['--resync', 'next-record'], []],
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
      // In these modes a segment out of order costs more of its record than itself.
      if (options[0] === '--resync')
        expect(await metric(/^socrypt_nic_tx_tls_resync_bytes_total (\d+)/m)).toBeGreaterThan(0);
      // Connections end, and with them their flows.
      await until(async () => (await metric(/^socrypt_nic_flows (\d+)/m)) === 0, 'no flow');
    });

    it('tells its flows, and what became of their records, through its control socket', async () => {
      const control = join(folder.path, 'control');
      const operate = async (...args: string[]) => {
        const command = new Command(['nic', ...args, '--server', control]);
        const { status } = await command.finished;
        return { status, stdout: command.stdout, stderr: command.stderr };
      };
      await start(['--control', control, '--trace-records', '1024'], { loss: 30, repeat: 5, reorder: 15 });
      const slow = download('large.txt', '--limit-rate', '3M');
      await slow.begun();
      const table = await operate('flows');
      expect(table.stdout).toMatch(
        /^flow +local +remote +acknowledged .*\n\d+ +10\.9\.0\.1:8443 +10\.9\.0\.2:\d+ /,
      );
      const [flow] = JSON.parse((await operate('flows', '--json')).stdout) as NicFlow[];
      expect(flow).toMatchObject({ local: '10.9.0.1:8443', epochs: 1, broken: false });
      const trace = await operate('trace', String(flow!.id), '--json');
      const traced = JSON.parse(trace.stdout) as NicRecordTrace[];
      // Of a record whose tag was sent, every byte was.
      const whole = traced.filter(({ tag }) => tag !== 'none');
      expect(whole.length).toBeGreaterThan(10);
      for (const record of whole) {
        expect(record).toMatchObject({ path: 'nic', epoch: 0 });
        expect(record.segments).toBeGreaterThan(0);
        expect(record.firstSendNs).toBeGreaterThan(0);
        expect(record.lastSendNs).toBeGreaterThanOrEqual(record.firstSendNs);
      }
      // One ends where the next one begins, and has the number before.
      for (const [i, { streamOffset, length, recordSeq }] of traced.slice(0, -1).entries())
        expect(traced[i + 1]).toMatchObject({
          streamOffset: streamOffset + length,
          recordSeq: recordSeq + 1,
        });
      expect(whole.some(({ guard }) => guard === 'same')).toBe(true);
      expect(whole.some(({ retransmittedBytes }) => retransmittedBytes > 0)).toBe(true);
      expect(trace.stdout).not.toContain('plaintext');
      expect((await operate('trace', String(flow!.id))).stdout).toMatch(
        /^epoch +record +offset .*\n(0 +\d+ +\d+ +\d+ .* nic +\w+ +\w+\n)+$/,
      );
      expect((await slow.done).out.equals(LARGE)).toBe(true);
      await until(async () => (await operate('flows')).stdout === 'no flows\n', 'no flow');
      expect(await operate('trace', String(flow!.id))).toMatchObject({
        status: 1,
        stderr: expect.stringContaining('[ERR_SOCRYPT_NIC_FLOW]'),
      });
      const { stdout } = await operate('status');
      expect(stdout).toMatch(/^alive +yes$/m);
      expect(stdout).toMatch(/^resync +order-free$/m);
      expect(Number(/^tx_tls_retransmitted_bytes +(\d+)$/m.exec(stdout)?.[1])).toBeGreaterThan(0);
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

    it('keeps plaintext on its way, whatever becomes of routes and addresses', async () => {
      await start([], { loss: 5 });
      network!.onHost('link', 'add', 'other0', 'type', 'veth', 'peer', 'name', 'other1');
      for (const link of ['other0', 'other1']) network!.onHost('link', 'set', link, 'up');
      network!.onHost('addr', 'add', '10.8.0.1/24', 'dev', 'other0');
      const slow = download('large.txt', '--limit-rate', '3M');
      await slow.begun();
      // Another way to the peer, and a better one.
      network!.onHost(
        'neigh',
        'replace',
        '10.9.0.2',
        'lladdr',
        '02:00:00:00:00:02',
        'dev',
        'other0',
        'nud',
        'permanent',
      );
      network!.onHost('route', 'add', '10.9.0.2/32', 'dev', 'other0');
      await pause(300);
      network!.onHost('route', 'delete', '10.9.0.2/32', 'dev', 'other0');
      // The server's address moves to another interface, and back.
      network!.onHost('addr', 'delete', '10.9.0.1/24', 'dev', 'socrypt0');
      network!.onHost('addr', 'add', '10.9.0.1/24', 'dev', 'other0');
      await pause(300);
      network!.onHost('addr', 'delete', '10.9.0.1/24', 'dev', 'other0');
      network!.onHost('addr', 'add', '10.9.0.1/24', 'dev', 'socrypt0');
      await pause(100);
      // The peer's address becomes the host port's own: its packets would go by the loopback interface.
      network!.onHost('addr', 'add', '10.9.0.2/32', 'dev', 'socrypt0');
      await pause(300);
      network!.onHost('addr', 'delete', '10.9.0.2/32', 'dev', 'socrypt0');
      const { code, out, errors } = await slow.done;
      expect(errors).toBe('');
      expect(code).toBe(0);
      expect(out.equals(LARGE)).toBe(true);
      await expectNoPlaintext();
    });

    it('follows its route away from the NIC and back, in one transfer', async () => {
      await start([], { loss: 5 });
      network!.onHost(
        'link',
        'add',
        'other0',
        'type',
        'veth',
        'peer',
        'name',
        'other1',
        'netns',
        network!.peer,
      );
      network!.onHost('addr', 'add', '10.8.0.1/24', 'dev', 'other0');
      network!.onHost('link', 'set', 'other0', 'up');
      const { code: made } = await run(network!.peer, [
        ...['sh', '-c'],
        'ip addr add 10.8.0.2/24 dev other1 && ip link set other1 up && cd /proc/sys/net/ipv4 && ' +
          'for f in conf/all/rp_filter conf/other1/rp_filter; do echo 0 > $f; done && echo 4096 65536 131072 > tcp_rmem',
      ]);
      expect(made).toBe(0);
      const isOn = (path: string) => async () =>
        (await metric(new RegExp(`^socrypt_tls_connections_active\\{path="${path}"\\} (\\d+)`, 'm'))) === 1;
      const flows = () => metric(/^socrypt_nic_flows (\d+)/m);
      const slow = download('large.txt', '--limit-rate', '1500k');
      await slow.begun();
      expect(await isOn('nic')()).toBe(true);
      const way = ['10.9.0.2/32', 'via', '10.8.0.2', 'dev', 'other0'];
      network!.onHost('route', 'add', ...way);
      await until(async () => (await flows()) === 0, 'the connection to leave the NIC');
      expect(await isOn('software')()).toBe(true);
      expect(await metric(/^socrypt_tls_paths_refused_total\{reason="other_route"\} (\d+)/m)).toBe(1);
      network!.onHost('route', 'delete', ...way);
      await until(isOn('nic'), 'the connection to come back');
      const { out, errors } = await slow.done;
      expect(errors).toBe('');
      expect(out.equals(LARGE)).toBe(true);
      expect(await metric(/^socrypt_connections_accepted_total (\d+)/m)).toBe(1);
      expect(await metric(/^socrypt_tls_path_moves_total (\d+)/m)).toBe(2);
      await expectNoPlaintext();
    });

    it('has nothing leave when its host port is removed, and goes on with the next one', async () => {
      await start();
      const slow = download('large.txt', '--limit-rate', '4M');
      await slow.begun();
      network!.onHost('link', 'delete', 'socrypt0');
      await until(() => server!.log().some(({ msg }) => msg === 'the NIC is there again'), 'another NIC');
      const { out, errors } = await slow.done;
      expect(errors).toBe('');
      expect(out.equals(LARGE)).toBe(true);
      expect(server!.log().find(({ msg }) => /the NIC has died/.test(String(msg)))).toMatchObject({
        reason: 'the interface "socrypt0" is gone',
      });
      await expectNoPlaintext();
    });

    it('closes connections when its host port is removed, if that is wanted', async () => {
      await start(['--on-device-loss', 'close']);
      const slow = download('large.txt', '--limit-rate', '4M');
      await slow.begun();
      network!.onHost('link', 'delete', 'socrypt0');
      await until(
        async () => (await metric(/^socrypt_connections_closed_total\{reason="device_lost"\} (\d+)/m)) === 1,
        'the end',
      );
      slow.stop();
      await until(() => server!.log().some(({ msg }) => msg === 'the NIC is there again'), 'another NIC');
      const again = await download('small.txt').done;
      expect(again.out.equals(SMALL)).toBe(true);
      await expectNoPlaintext();
    });

    it('ends the connection when a file is rewritten while it is sent', async () => {
      const file = folder.write('site/changing.txt', LARGE);
      await start([], { loss: 20 });
      const slow = download('changing.txt', '--limit-rate', '3M');
      await slow.begun();
      writeFileSync(file, content(LARGE.length, 'other '), { flag: 'r+' });
      const { code, out } = await slow.done;
      expect(code).not.toBe(0);
      expect(out.length).toBeLessThan(LARGE.length);
      expect(await metric(/^socrypt_connections_closed_total\{reason="file_changed"\} (\d+)/m)).toBe(1);
      await expectNoPlaintext();
    });

    it('seals by software, and says why, for a peer on the same host', async () => {
      await start();
      const got = await run(network!.host, ['curl', '-sS', '--insecure', 'https://10.9.0.1:8443/small.txt']);
      expect(got.out.equals(SMALL)).toBe(true);
      expect(await metric(/^socrypt_tls_paths_refused_total\{reason="same_host"\} (\d+)/m)).toBe(1);
      expect(await metric(/^socrypt_tls_records_total\{direction="out",path="nic"\} (\d+)/m)).toBe(0);
      const { interfaces } = await network!.sniffed();
      for (const { found } of Object.values(interfaces)) expect(found).toBe(0);
    });

    it('serves openssl, with KeyUpdates both ways, gnutls and node', async () => {
      await start([], { loss: 5 });
      const request = 'GET /large.txt HTTP/1.1\r\nHost: h\r\n\r\n';
      const openssl = await run(
        network!.peer,
        ['openssl', 's_client', '-quiet', '-no_ign_eof', '-connect', '10.9.0.1:8443'],
        async (child, out) => {
          const received = () => out().length;
          child.stdin!.write('GET /small.txt HTTP/1.1\r\nHost: h\r\n\r\n');
          await until(() => received() > SMALL.length, 'the small file');
          // K: a KeyUpdate that asks for one. s_client looks for it at the beginning of what it reads.
          for (let i = 1; i <= 3; ++i) {
            child.stdin!.write('K\n');
            for (const direction of ['in', 'out']) {
              const updates = new RegExp(
                `^socrypt_tls_rekeys_total\\{direction="${direction}"\\} (\\d+)`,
                'm',
              );
              await until(async () => (await metric(updates)) === i, `KeyUpdate ${i}`);
            }
          }
          const before = received();
          child.stdin!.write(request);
          await until(() => received() > before + LARGE.length, 'the large file');
          child.stdin!.write('Q\n');
          child.stdin!.end();
        },
      );
      expect(openssl.out.includes(LARGE)).toBe(true);
      const gnutls = await run(
        network!.peer,
        ['gnutls-cli', '--insecure', '--port', '8443', '10.9.0.1'],
        async (child, out) => {
          await until(() => out().includes('Simple Client Mode'), 'the handshake');
          // It ends with the server's close_notify; what it has buffered comes out then.
          child.stdin!.write(request.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'));
        },
      );
      expect(gnutls.out.includes(LARGE)).toBe(true);
      const node = await run(network!.peer, [
        process.execPath,
        '-e',
        `require('node:https').get({ host: '10.9.0.1', port: 8443, path: '/large.txt', rejectUnauthorized: false }, (r) => r.pipe(process.stdout))`,
      ]);
      expect(node.out.equals(LARGE)).toBe(true);
      await expectNoPlaintext();
    });

    it('clears away what a killed one has left', async () => {
      await start(['--host-driver', 'veth']);
      server!.signal('SIGKILL');
      await server!.finished;
      const left = await run(network!.host, ['ip', '-o', 'link']);
      expect(left.out.toString()).toContain('socrypt0');
      server = await serve([]);
      expect((await download('small.txt').done).out.equals(SMALL)).toBe(true);
    });

    it('says which rights are missing', async () => {
      network = await Network.make(CANARY);
      const one = new Command(
        [
          'serve',
          join(folder.path, 'site'),
          '--offload',
          'nic',
          '--wire',
          'w0',
          '--address',
          '10.9.0.1/24',
          ...pair,
        ],
        {},
        `exec ${Network.inside(network.host).join(' ')} setpriv --bounding-set=-net_admin,-bpf,-sys_admin --inh-caps=-net_admin,-bpf,-sys_admin`,
      );
      expect((await one.finished).status).not.toBe(0);
      expect(one.stderr).toMatch(/CAP_NET_ADMIN .*CAP_BPF /);
      expect(one.stderr).not.toMatch(/CAP_NET_RAW/);
    });
  },
);
