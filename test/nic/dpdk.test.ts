/** `--port-driver dpdk:…`: the wire by a DPDK device, in one process with the server and lent by `socrypt nic up`. */
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, type TestContext } from 'vitest';
import { type Command, compile, removeCompiled } from '../cli/support.ts';
import { Folder } from '../serve/support.ts';
import { HostCommands } from './commands.ts';
import { buildTools, Network, run, whyNoDpdk, whyNoDriver, whyNot } from './network.ts';

const reason = whyNot() ?? whyNoDpdk();
const seed = Number(process.env.SOCRYPT_SEED ?? (Math.random() * 2 ** 31) >>> 0);
const CANARY = 'this-is-plaintext-and-must-not-be-on-the-wire';
const LARGE = Buffer.from(`${CANARY}\n`.repeat(100_000)).subarray(0, 4_000_000);

describe.skipIf(reason !== null)(`the wire by DPDK${reason === null ? '' : ` (skipped: ${reason})`}`, () => {
  let folder: Folder;
  let commands: HostCommands;
  let site: string[];
  let network: Network;

  beforeAll(() => {
    console.log(`nic: seed ${seed} (SOCRYPT_SEED repeats it)`);
    buildTools();
    compile();
    folder = new Folder();
    commands = new HostCommands();
    const { cert, key } = folder.credential('one');
    folder.write('site/large.txt', LARGE);
    site = [join(folder.path, 'site'), '--offload', 'nic', '--port', '8443', '--workers', '1'];
    site.push('--cert', cert, '--key', key, '--metrics-port', '9090');
  }, 300_000);
  afterAll(() => {
    removeCompiled();
    folder?.remove();
    commands?.remove();
  });
  afterEach(async () => {
    await commands?.end();
    await network?.remove();
  });

  const start = (said: string, ...args: string[]): Promise<Command> => commands.start(network, args, said);
  const serve = (device: string): Promise<Command> =>
    start('engines', 'serve', ...site, '--address', '10.9.0.1/24', '--port-driver', `dpdk:${device}`);
  function skipWithout(driver: string, context: TestContext): void {
    const missing = whyNoDriver(driver);
    context.skip(missing !== null, missing ?? '');
  }
  async function expectDownload(): Promise<void> {
    const url = 'https://10.9.0.1:8443/large.txt';
    const got = await run(network.peer, ['curl', '-sS', '--insecure', '--max-time', '30', url]);
    expect(got.errors).toBe('');
    expect(got.out.equals(LARGE)).toBe(true);
    const metrics = await run(network.host, ['curl', '-sS', 'http://127.0.0.1:9090/metrics']);
    const records = /^socrypt_tls_records_total\{direction="out",path="nic"\} (\d+)/m;
    expect(Number(records.exec(metrics.out.toString())?.[1])).toBeGreaterThan(240);
  }

  it.for([
    ['packet sockets', 'net_af_packet', 'iface=w0'],
    ['AF_XDP', 'net_af_xdp', 'iface=w0'],
    ['libpcap', 'net_pcap', 'iface=w0'],
    ['libpcap, which sees what comes in', 'net_pcap', 'rx_iface_in=w0,tx_iface=w0'],
  ] as const)(
    '%s: the kernel, which sees the same frames, answers none of them',
    async ([, name, device], context) => {
      skipWithout(name, context);
      network = await Network.make(CANARY, { loss: 10, reorder: 10 }, seed);
      const server = await serve(`${name}0,${device}`);
      expect(server.stdout).toContain(`inline NIC on w0, DPDK ${name}0; host port socrypt0`);
      await expectDownload();
      expect(await network.wire()).toMatchObject({ canaries: 0 });
      // Once more after SIGKILL, from what that has left; in the end the interface is as it was.
      await commands.end();
      const second = await serve(`${name}0,${device}`);
      await expectDownload();
      second.signal('SIGTERM');
      await second.finished;
      const { out } = await run(network.host, ['ip', '-o', 'link', 'show', 'w0']);
      expect(out.toString()).toMatch(/w0@/);
      expect(out.toString()).not.toMatch(/PROMISC|xdp/);
    },
  );

  it('a tap that DPDK makes, lent', async () => {
    network = await Network.make(CANARY, {}, seed);
    const nic = await start(
      'lent',
      'nic',
      'up',
      '--port-driver',
      'dpdk:net_tap0,iface=wt0',
      '--address',
      '10.9.0.1/24',
    );
    expect(nic.stdout).toMatch(/wire +DPDK net_tap0/);
    // What is behind the tap is the peer.
    const inPeer = ['-n', network.peer];
    for (const args of [
      ['-n', network.host, 'link', 'set', 'wt0', 'netns', network.peer],
      [...inPeer, 'addr', 'delete', '10.9.0.2/24', 'dev', 'w1'],
      [...inPeer, 'link', 'set', 'wt0', 'address', '02:00:00:00:00:02'],
      [...inPeer, 'addr', 'add', '10.9.0.2/24', 'dev', 'wt0'],
      [...inPeer, 'link', 'set', 'wt0', 'up'],
    ])
      expect(await run(network.host, ['ip', ...args])).toMatchObject({ code: 0, errors: '' });
    await start('engines', 'serve', ...site, '--nic', 'socrypt0');
    await expectDownload();
  });

  it('shared memory: the other end of a memif is another process', async (context) => {
    skipWithout('net_memif', context);
    const socket = `socket-abstract=no,socket=${join(folder.path, 'memif.sock')}`;
    const faults = { loss: 10, reorder: 10 };
    network = await Network.make(CANARY, faults, seed, `net_memif0,role=server,${socket}`);
    const server = await serve(`net_memif0,role=client,${socket}`);
    expect(server.stdout).toMatch(/inline NIC on DPDK net_memif0; host port socrypt0/);
    await expectDownload();
    const { canaries, frames, lost } = await network.wire();
    expect(canaries).toBe(0);
    expect(frames).toBeGreaterThan(LARGE.length / 1500);
    expect(lost).toBeGreaterThan(0);
  });

  it('says what is wrong with a device', async () => {
    network = await Network.make(CANARY, {}, seed);
    const address = ['--address', '10.9.0.1/24'];
    const refused = async (driver: string, ...more: string[]) => {
      const one = commands.begin(network, ['serve', ...site, ...address, '--port-driver', driver, ...more]);
      const { status } = await one.finished;
      return `${status}: ${one.stderr}`;
    };
    for (const [driver, more, said] of [
      ['dpdk:', [], /^2: .*--port-driver expects af_xdp, or dpdk:/],
      ['dpdk:net_tap0,iface', [], /^2: .*--port-driver expects af_xdp, or dpdk:/],
      ['af_packet', [], /^2: .*--port-driver expects af_xdp, or dpdk:/],
      [
        'dpdk:net_nothing0',
        [],
        /^1: [\s\S]*DPDK has no driver for a device net_nothing0 .*\[ERR_SOCRYPT_NIC\]/,
      ],
      ['dpdk:net_af_packet0,iface=w7', [], /^1: [\s\S]*interface "w7": No such device.*\[ERR_SOCRYPT_NIC\]/],
      [
        'dpdk:net_af_packet0,iface=lo',
        ['--wire', 'w0'],
        /^1: [\s\S]*"lo", and "w0" was given.*\[ERR_SOCRYPT_NIC\]/,
      ],
      [
        'dpdk:0000:00:1f.7',
        [],
        /^1: [\s\S]*(?:no network device 0000:00:1f.7; it has to be bound|EAL did not start).*\[ERR_SOCRYPT_NIC\]/,
      ],
    ] as const)
      expect(await refused(driver, ...more), driver).toMatch(said);
  });
});
