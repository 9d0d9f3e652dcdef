/** `socrypt nic up` lends its NIC to a server of another process, between network namespaces. */
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { NicFlow, NicRecordTrace } from '../../src/native.ts';
import { Command, compile, removeCompiled } from '../cli/support.ts';
import { Folder, until } from '../serve/support.ts';
import { HostCommands } from './commands.ts';
import { buildTools, Network, run, whyNot } from './network.ts';

const reason = whyNot();
const seed = Number(process.env.SOCRYPT_SEED ?? (Math.random() * 2 ** 31) >>> 0);
const CANARY = 'this-is-plaintext-and-must-not-be-on-the-wire';

const LARGE = Buffer.from(`${CANARY}\n`.repeat(200_000)).subarray(0, 8_000_000);

describe.skipIf(reason !== null)(
  `a NIC that is lent${reason === null ? '' : ` (skipped: ${reason})`}`,
  () => {
    let folder: Folder;
    let commands: HostCommands;
    let pair: string[];
    let network: Network | undefined;

    beforeAll(() => {
      console.log(`nic: seed ${seed} (SOCRYPT_SEED repeats it)`);
      buildTools();
      compile();
      folder = new Folder();
      commands = new HostCommands();
      const made = folder.credential('one');
      pair = ['--cert', made.cert, '--key', made.key];
      folder.write('site/large.txt', LARGE);
    }, 300_000);
    afterAll(() => {
      removeCompiled();
      folder?.remove();
      commands?.remove();
    });
    afterEach(async () => {
      await commands?.end();
      await network?.remove();
      network = undefined;
    });

    const start = (args: readonly string[], said: string): Promise<Command> =>
      commands.start(network!, args, said);
    const up = (args: readonly string[] = []) =>
      start(['nic', 'up', '--wire', 'w0', '--address', '10.9.0.1/24', ...args], 'lent');
    const control = () => join(commands.places, 'control');
    const serve = () =>
      start(
        [
          'serve',
          join(folder.path, 'site'),
          '--offload',
          'nic',
          '--nic',
          'socrypt0',
          '--workers',
          '1',
          '--port',
          '8443',
          ...['--control', control()],
          ...pair,
        ],
        'engines',
      );
    async function operate(
      ...args: string[]
    ): Promise<{ status: number | null; stdout: string; stderr: string }> {
      const command = new Command(['nic', ...args], { SOCRYPT_RUN_DIRECTORY: commands.places });
      const { status } = await command.finished;
      return { status, stdout: command.stdout, stderr: command.stderr };
    }
    const flows = async () => JSON.parse((await operate('flows', '--json')).stdout) as NicFlow[];
    const fetch = (...args: string[]) =>
      run(network!.peer, [
        'curl',
        '-sS',
        '--insecure',
        '--max-time',
        '50',
        ...args,
        'https://10.9.0.1:8443/large.txt',
      ]);

    it('seals for a server of another process, tells its flows and what became of their records', async () => {
      network = await Network.make(CANARY, { loss: 15, repeat: 5, reorder: 15 }, seed);
      const nic = await up(['--metrics-port', '0']);
      const metrics = /^ +metrics (\S+)$/m.exec(nic.stdout)![1]!;
      const server = await serve();
      expect(server.stdout).toMatch(/offload +nic: .*flows; host port socrypt0/);
      const slow = fetch('--limit-rate', '2M');
      await until(
        async () => (await flows()).some((flow) => flow.acknowledged > 100_000),
        'a flow that moves',
      );
      const [flow] = await flows();
      expect(flow).toMatchObject({ local: '10.9.0.1:8443', epochs: 1, broken: false });
      const traced = JSON.parse(
        (await operate('trace', String(flow!.id), '--json')).stdout,
      ) as NicRecordTrace[];
      const sent = traced.filter((record) => record.tag !== 'none');
      expect(sent.length).toBeGreaterThan(0);
      for (const record of sent) {
        expect(record).toMatchObject({ path: 'nic', epoch: 0 });
        expect(record.lastSendNs).toBeGreaterThanOrEqual(record.firstSendNs);
        expect(record.segments).toBeGreaterThan(0);
      }
      // The guard watches what is sent of a file.
      expect(sent.some((record) => record.guard === 'same')).toBe(true);
      // Nothing of a flow is told but numbers.
      expect(JSON.stringify(traced)).not.toContain('plaintext');
      const got = await slow;
      expect(got.errors).toBe('');
      expect(got.out.equals(LARGE)).toBe(true);
      expect(await network.wire()).toMatchObject({ canaries: 0 });
      const { stdout } = await operate('status');
      expect(stdout).toMatch(/^alive +yes$/m);
      expect(stdout).toMatch(/^clients +1$/m);
      expect(stdout).toMatch(/^guard .*(of every process|of no other server's|no cgroup2)/m);
      expect(Number(/^tx_tls_retransmitted_bytes +(\d+)$/m.exec(stdout)?.[1])).toBeGreaterThan(0);
      // The server has no NIC of its own to tell of.
      expect(await operate('flows', '--server', control())).toMatchObject({
        status: 1,
        stderr: expect.stringMatching(/socrypt nic flows socrypt0.*\[ERR_SOCRYPT_NO_NIC\]/),
      });
      const scraped = (await run(network.host, ['curl', '-sS', '--max-time', '5', metrics])).out.toString();
      expect(scraped).toMatch(/^socrypt_nic_up 1$/m);
      expect(scraped).toMatch(/^socrypt_nic_clients 1$/m);
      expect(scraped).toMatch(/^socrypt_nic_clients_violations_total 0$/m);
      expect(Number(/^socrypt_nic_tx_tls_encrypted_bytes_total (\d+)$/m.exec(scraped)?.[1])).toBeGreaterThan(
        LARGE.length,
      );
      expect((await operate('down')).stdout).toBe('it ends\n');
      expect(await nic.finished).toEqual({ status: 0, signal: null });
      const links = await run(network.host, ['ip', '-o', 'link']);
      expect(links.out.toString()).not.toContain('socrypt0');
    });

    it('a server that is killed leaves no flow and no plaintext', async () => {
      network = await Network.make(CANARY, {}, seed);
      await up();
      const server = await serve();
      const cut = fetch('--limit-rate', '1M', '--max-time', '6');
      await until(async () => (await flows()).length === 1, 'a flow');
      server.signal('SIGKILL');
      await until(async () => (await flows()).length === 0, 'no flow');
      expect((await cut).code).not.toBe(0);
      expect(await network.wire()).toMatchObject({ canaries: 0 });
    });

    it('a NIC that is killed takes its connections with it; another one serves new ones', async () => {
      network = await Network.make(CANARY, {}, seed);
      const nic = await up();
      await serve();
      const cut = fetch('--limit-rate', '1M', '--max-time', '8');
      await until(async () => (await flows()).length === 1, 'a flow');
      nic.signal('SIGKILL');
      await nic.finished;
      expect(await operate('status')).toMatchObject({
        status: 1,
        stderr: expect.stringMatching(/it is not up: .*socrypt nic up --host socrypt0/),
      });
      await up();
      expect((await operate('status')).stdout).toMatch(/^alive +yes$/m);
      expect((await cut).code).not.toBe(0);
      await until(async () => (await fetch()).out.equals(LARGE), 'a whole download');
      expect(await network.wire()).toMatchObject({ canaries: 0 });
    });

    it('says what it wants', async () => {
      expect(await operate('status', 'nobody')).toMatchObject({
        status: 1,
        stderr: expect.stringContaining('it is not up'),
      });
      expect(await operate('trace', 'x')).toMatchObject({
        status: 2,
        stderr: expect.stringContaining('expects the id of a flow'),
      });
      expect(await operate('upp')).toMatchObject({
        status: 2,
        stderr: expect.stringContaining('did you mean `socrypt nic up`?'),
      });
      expect(await operate('up', '--resync', 'prefix-replay')).toMatchObject({
        status: 2,
        stderr: expect.stringMatching(/order-free, but got.*\n.*give --wire.*\n.*give --address/),
      });
    });
  },
);
