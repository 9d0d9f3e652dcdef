/** `socrypt nic`, in this process: what it asks of whom, and how it tells the answer. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { upOptions } from '../../src/cli/nic-command.ts';
import { type NicFlow, type NicOptions, type NicRecordTrace, native } from '../../src/native.ts';
import { type AskedNic, answerOfNic } from '../../src/nic/operators.ts';
import { OperatorSocket } from '../../src/observe/operator-socket.ts';
import { answerOperator } from '../../src/serve/control.ts';
import { servedNic } from '../../src/serve/nic.ts';
import { defaultOf } from '../../src/serve/options.ts';
import type { Server } from '../../src/serve/server.ts';
import { commandLine } from '../support/command-line.ts';

const cli = (...args: string[]) => commandLine('nic', ...args);

const FLOW: NicFlow = {
  id: 3,
  local: '10.9.0.1:8443',
  remote: '10.9.0.2:40000',
  acknowledged: 16_406,
  records: 2,
  openRecords: 1,
  retainedBytes: 16,
  epochs: 1,
  broken: false,
};
const RECORD: NicRecordTrace = {
  recordSeq: 1,
  epoch: 0,
  streamOffset: 16_406,
  length: 16_406,
  firstSendNs: 5_000_000,
  lastSendNs: 7_500_000,
  segments: 3,
  retransmittedBytes: 1448,
  dropped: 0,
  path: 'nic',
  tag: 'kept',
  guard: 'same',
};
const NIC: AskedNic = {
  status: () => ({
    pid: 7,
    wire: 'w0',
    portDriver: 'af_xdp',
    resync: 'prefix-replay',
    alive: true,
    reason: '',
    wirePort: 'w0, AF_XDP',
    hostPort: 'socrypt0, tap',
    guard: 'bound',
    flows: 1,
    retainedBytes: 16,
    counters: { tx_tls_ooo: 2 },
  }),
  flows: () => [FLOW],
  trace: (flow) => (flow === FLOW.id ? [RECORD] : null),
};

const folder = mkdtempSync(join(tmpdir(), 'socrypt-nic-'));
const control = join(folder, 'control');
const sockets: OperatorSocket[] = [];
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(async () => {
  for (const socket of sockets.splice(0)) await socket.close();
});

/** A server's control socket, whose NIC is this one. */
async function listen(nic: () => AskedNic): Promise<void> {
  const server = { nic } as unknown as Server;
  sockets.push(await OperatorSocket.listen(control, (question) => answerOperator(server, question)));
}

describe('of a server', () => {
  it('tells state, flows and traces, for people and for programs', async () => {
    await listen(() => NIC);
    const at = ['--server', control];
    const status = await cli('status', ...at);
    expect(status).toMatchObject({ status: 0, err: '' });
    expect(status.out).toMatch(/^alive +yes\npid +7\nwire +w0\n/);
    expect(status.out).toMatch(/^tx_tls_ooo +2$/m);
    expect((await cli('flows', ...at)).out).toMatch(
      /^flow +local .*\n3 +10\.9\.0\.1:8443 +10\.9\.0\.2:40000 +16406 +2 +1 +16 +1 +good\n$/,
    );
    expect((await cli('trace', '3', ...at)).out).toMatch(
      /^epoch +record .*\n0 +1 +16406 +16406 +0\.000 +2\.500 +3 +1448 +0 +nic +kept +same\n$/,
    );
    expect(JSON.parse((await cli('status', '--json', ...at)).out)).toEqual(NIC.status());
    expect(JSON.parse((await cli('flows', '--json', ...at)).out)).toEqual([FLOW]);
    expect(JSON.parse((await cli('trace', '3', '--json', ...at)).out)).toEqual([RECORD]);
  });

  it('says which flow there is not, and what lists them', async () => {
    await listen(() => NIC);
    expect(await cli('trace', '4', '--server', control)).toMatchObject({
      status: 1,
      out: '',
      err: `socrypt: Expected a flow of the NIC of the server at ${control}, but it has none with the id 4 (any more); \`socrypt nic flows --server ${control}\` lists those that it has. [ERR_SOCRYPT_NIC_FLOW]\n`,
    });
  });

  it('says that nothing was traced, and how it is', async () => {
    await listen(() => ({ ...NIC, flows: () => [], trace: () => [] }));
    expect((await cli('flows', '--server', control)).out).toBe('no flows\n');
    expect((await cli('trace', '3', '--server', control)).out).toContain('--trace-records N');
  });

  it.each([
    [
      { offload: 'software' },
      /^socrypt: Expected a server with a NIC of its own, but its option offload is software; start it with --offload nic --wire IFACE\. \[ERR_SOCRYPT_NO_NIC\]\n$/,
    ],
    [
      { offload: 'nic', nic: 'socrypt7' },
      /is lent by `socrypt nic up`; ask there: .*socrypt nic flows socrypt7.* \[ERR_SOCRYPT_NO_NIC\]\n$/,
    ],
  ])('a server without a NIC of its own says so: %j', async (settings, said) => {
    await listen(() => servedNic(undefined, settings as Parameters<typeof servedNic>[1]));
    for (const args of [['status'], ['flows'], ['trace', '3']])
      expect(await cli(...args, '--server', control)).toMatchObject({
        status: 1,
        out: '',
        err: expect.stringMatching(said),
      });
  });

  it('says that nobody is there', async () => {
    expect(await cli('flows', '--server', join(folder, 'none'))).toMatchObject({
      status: 1,
      err: expect.stringMatching(
        /Nobody answers at .*ENOENT.*Expected the control socket of a running server .*\[ERR_SOCRYPT_CONTROL\]/,
      ),
    });
  });
});

it('refuses questions that are none', () => {
  const said = (question: unknown) => () => answerOfNic(NIC, question, ['down']);
  expect(said(null)).toThrow('expected ask to be status, flows, trace or down, but got nothing');
  expect(said({ ask: 'flow' })).toThrow('but got "flow"');
  expect(said({ ask: 'trace', flow: -1 })).toThrow('expected flow to be the id of a flow, but got -1');
  expect(() => answerOperator({ nic: () => NIC } as unknown as Server, { ask: 'nic' })).toThrow(
    'expected ask to be status, flows or trace, but got nothing',
  );
});

it('says what it did not understand', async () => {
  for (const [args, said] of [
    [['trace'], '(`socrypt nic flows` lists them), but got none'],
    [['trace', 'x', 'socrypt7'], '(`socrypt nic flows socrypt7` lists them), but got "x"'],
    [['trace', 'x', '--server', '/c'], '(`socrypt nic flows --server /c` lists them), but got "x"'],
    [['flows', 'one', 'two'], 'expects one NIC, but got "two" besides "one"'],
    [['flows', 'one', '--server', '/c'], 'or --server, but got both ("one", "/c")'],
    [['down', '--server', '/c'], 'ends with the server'],
    [['flows', '--sever', '/c'], "'--sever'"],
    [['frobnicate'], 'expected one of up, down, status, flows, trace (`socrypt nic --help`)'],
    [
      ['up', '--address', '10.9.0.1'],
      '--address expects an IPv4 or IPv6 address with the length of its prefix, but got ["10.9.0.1"]; for example --address 192.0.2.10/24.',
    ],
    [['upp'], 'did you mean `socrypt nic up`?'],
  ] as const)
    expect(await cli(...args), args.join(' ')).toMatchObject({
      status: 2,
      out: '',
      err: expect.stringContaining(said),
    });
});

it('says of a NIC that is not up where it was looked for, and what to do', async () => {
  expect(await cli('flows', 'nobody')).toMatchObject({
    status: 1,
    out: '',
    err: expect.stringMatching(
      /^socrypt: The NIC nobody does not answer: it is not up: nobody listens at .*nic-nobody\/operators; start it \(socrypt nic up --host nobody\), name another one, or ask a server with --server PATH\. \[ERR_SOCRYPT_NIC\]\n$/,
    ),
  });
});

describe('up', () => {
  const least = ['--wire', 'w0', '--address', '10.9.0.1/24'];
  it('traces as many records as a server does, or as is said', () => {
    expect(defaultOf('traceRecords')).toBeGreaterThan(0);
    expect(upOptions(least).traceRecords).toBe(defaultOf('traceRecords'));
    expect(upOptions([...least, '--trace', '0']).traceRecords).toBe(0);
    expect(() => upOptions([...least, '--trace', '65537'])).toThrow(
      '--trace expects a whole number from 0 to 65536, but got "65537"',
    );
  });
  it('seals order-free alone, and says why', async () => {
    expect(upOptions([...least, '--resync', 'order-free']).resync).toBe('order-free');
    expect(upOptions(least).resync).toBe('order-free');
    for (const mode of ['prefix-replay', 'next-record'])
      expect(await cli('up', ...least, '--resync', mode)).toEqual({
        status: 2,
        out: '',
        err: `socrypt: \`socrypt nic up\` expects --resync order-free, but got "${mode}": ${mode} reads payload again, which lies in the processes that the NIC is lent to; leave it out, or give the server a NIC of its own (socrypt serve --offload nic --wire IFACE --resync ${mode}).\n`,
      });
    expect(await cli('up', ...least, '--resync', 'any')).toMatchObject({
      status: 2,
      err: 'socrypt: `socrypt nic up` expects --resync order-free, but got "any"; leave it out.\n',
    });
    expect((await cli('--help')).out).toMatch(/--resync order-free .*only mode here/);
  });
  it('has an admin listener where it is told', () => {
    expect(upOptions(least).admin).toBeNull();
    expect(upOptions([...least, '--metrics-port', '9000']).admin).toEqual({ host: '127.0.0.1', port: 9000 });
    expect(upOptions([...least, '--metrics-port', '0', '--metrics-host', '::1']).admin).toEqual({
      host: '::1',
      port: 0,
    });
    expect(() => upOptions([...least, '--metrics-port', 'x'])).toThrow('--metrics-port expects ');
  });
  it.each([
    '10.9.0.300/24',
    '10.9.0.1/33',
    '10.9.0/24',
    'fd00::1/129',
    'fe80::1%lo/64',
    '10.9.0.1/24/24',
    '10.9.0.1/',
    'fd00::g/64',
  ])('takes no address %s', (address) => {
    expect(() => upOptions(['--wire', 'w0', '--address', address])).toThrow(`but got ["${address}"]`);
  });
  it('takes addresses of both kinds, and routers', () => {
    const given = ['10.9.0.1/24', 'fd00::1/64', '::ffff:1.2.3.4/128'];
    const flags = given.flatMap((one) => ['--address', one]);
    const options = upOptions(['--wire', 'w0', ...flags, '--gateway', '10.9.0.2', '--gateway', 'fd00::2']);
    expect(options.addresses).toEqual(given);
    expect(options.gateways).toEqual(['10.9.0.2', 'fd00::2']);
    expect(() => upOptions([...least, '--gateway', '10.9.0.256'])).toThrow('but got ["10.9.0.256"]');
  });
  it('says of options that its native part does not take what it expected', () => {
    const options = upOptions(least);
    for (const [wrong, said] of [
      [
        { addresses: ['10.9.0.300/24'] },
        'expected IPv4 and IPv6 addresses for addresses, received 10.9.0.300/24',
      ],
      [{ gateways: ['x', 'y'] }, 'for gateways, received x'],
      [{ portDriver: 'x' }, 'expected af_xdp or dpdk:DEVICE for portDriver, received x'],
      [{ hostDriver: 'x' }, 'for hostDriver, received x'],
      [{ resync: 'x' }, 'for resync, received x'],
    ] as const)
      expect(() => new native.Nic({ ...options, ...wrong } as unknown as NicOptions, () => {})).toThrow(said);
  });
  it('takes users by number', () => {
    expect(upOptions([...least, '--user', '1000', '--user', '0']).users).toEqual([1000, 0]);
    expect(() => upOptions([...least, '--user', 'www'])).toThrow('(`id -u NAME` tells it), but got "www"');
  });
});
