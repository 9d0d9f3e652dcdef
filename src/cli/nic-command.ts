/** `socrypt nic`: a NIC of its own process, and what operators ask of it. */
import { parseArgs } from 'node:util';
import type { NicFlow, NicRecordTrace } from '../native.ts';
import type { NicDaemonOptions, NicDaemonStatus } from '../nic/daemon.ts';
import { createLog } from '../observe/log.ts';
import { UsageError } from '../serve/errors.ts';
import { INVALID, type Option } from '../serve/option.ts';
import { NIC } from '../serve/options/nic.ts';
import { nearest } from '../serve/suggest.ts';
import { EXIT_FAILED, EXIT_OK, EXIT_USAGE, type Io } from './io.ts';

export const NIC_HELP = `Usage: socrypt nic up --wire IFACE|--port-driver dpdk:DEVICE --address CIDR [OPTIONS]
       socrypt nic down|status|flows [NAME] [--json]
       socrypt nic trace FLOW [NAME] [--json]

An inline NIC in a process of its own. \`up\` takes over the interface IFACE, makes the host port NAME and lends the NIC
to other processes (\`socrypt serve --offload nic --nic NAME\`) until it is told to end: by \`down\`, SIGINT or SIGTERM.
What it makes goes with it, however it ends. It needs CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF.

  up       --wire IFACE        interface to take over
           --port-driver P     af_xdp, or dpdk:DEVICE, for which --wire may be left out (default: af_xdp)
           --host NAME         name of the host port, and of the NIC (default: socrypt0)
           --address CIDR      of the host port; once per address
           --gateway ADDRESS   router for a default route through it; once for each of IPv4 and IPv6
           --host-driver KIND  tap or veth (default: tap)
           --resync MODE       order-free, prefix-replay or next-record (default: order-free)
           --user UID          user who may send through it as well; once per user
           --trace N           records of each flow that are traced (default: 64; 0: none)
  down     ends it
  status   ports, flows, clients and counters
  flows    the connections that it seals for
  trace    what became of a flow's last records
`;

const ACTIONS = ['up', 'down', 'status', 'flows', 'trace'] as const;
type Action = (typeof ACTIONS)[number];
const DEFAULT_NAME = 'socrypt0';
const MAX_TRACE = 65_536;

/** Resolves to the exit status. */
export async function nicCommand(args: readonly string[], io: Io): Promise<number> {
  const [action, ...rest] = args;
  if (action === '--help' || action === '-h' || rest.includes('--help')) {
    io.out(NIC_HELP);
    return EXIT_OK;
  }
  if (!ACTIONS.includes(action as Action)) {
    const near = action === undefined ? null : nearest(action, [...ACTIONS]);
    io.err(
      action === undefined
        ? NIC_HELP
        : `socrypt: ${JSON.stringify(action)} is nothing a NIC does; ${near === null ? `expected one of ${ACTIONS.join(', ')}` : `did you mean \`socrypt nic ${near}\`?`}\n`,
    );
    return EXIT_USAGE;
  }
  return action === 'up' ? up(upOptions(rest), io) : operate(action as Exclude<Action, 'up'>, rest, io);
}

/** Flags of `up` that take an option of `serve`, by its key. */
const SHARED = {
  wire: 'wire',
  'port-driver': 'portDriver',
  host: 'hostPort',
  address: 'address',
  gateway: 'gateway',
  'host-driver': 'hostDriver',
  resync: 'resync',
} as const;

export function upOptions(args: readonly string[]): NicDaemonOptions {
  const problems: string[] = [];
  const text = { type: 'string' } as const;
  const many = { type: 'string', multiple: true } as const;
  let values: Record<string, string | readonly string[] | undefined>;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        wire: text,
        'port-driver': text,
        host: text,
        address: many,
        gateway: many,
        'host-driver': text,
        resync: text,
        user: many,
        trace: text,
      },
    }) as { values: Record<string, string | readonly string[] | undefined> });
  } catch (error) {
    throw new UsageError([`${(error as Error).message}; see \`socrypt nic --help\`.`]);
  }
  const read = <T>(flag: keyof typeof SHARED): T => {
    const option = NIC[SHARED[flag]] as Option<unknown>;
    const given = values[flag];
    if (given === undefined) return option.default as T;
    const value = option.read(given);
    if (value === INVALID)
      problems.push(`--${flag} expects ${option.expected}, but got ${JSON.stringify(given)}.`);
    return value as T;
  };
  const whole = (flag: string, given: unknown, max: number): number => {
    const n = typeof given === 'string' && /^\d{1,10}$/.test(given) ? Number(given) : -1;
    if (n < 0 || n > max)
      problems.push(`--${flag} expects a whole number up to ${max}, but got ${JSON.stringify(given)}.`);
    return n;
  };
  const wire = read<string | null>('wire');
  const portDriver = read<string>('port-driver');
  const options = {
    wire,
    portDriver,
    hostPort: read<string>('host'),
    hostDriver: read<'tap' | 'veth'>('host-driver'),
    addresses: read<readonly string[]>('address'),
    gateways: read<readonly string[]>('gateway'),
    resync: read<'order-free' | 'prefix-replay' | 'next-record'>('resync'),
    users: ((values.user ?? []) as readonly string[]).map((user) => whole('user', user, 2 ** 32 - 2)),
    traceRecords: values.trace === undefined ? 64 : whole('trace', values.trace, MAX_TRACE),
  };
  // One that cannot be read is told of above.
  if (wire === null && !String(values['port-driver'] ?? '').startsWith('dpdk:'))
    problems.push(
      '`socrypt nic up` expects the interface to take over, or a DPDK device; give --wire (--wire eth0) or --port-driver (--port-driver dpdk:0000:03:00.0).',
    );
  if (options.addresses.length === 0)
    problems.push(
      '`socrypt nic up` expects an address for the host port; give --address (--address 192.0.2.10/24).',
    );
  // A payload in memory is not lent across processes, and these modes need it.
  if (options.resync !== 'order-free')
    problems.push(
      `--resync ${options.resync} replays payload that other processes have; \`socrypt nic up\` takes order-free alone (in one process: \`socrypt serve --offload nic --resync ${options.resync}\`).`,
    );
  if (problems.length > 0) throw new UsageError(problems);
  return options;
}

async function up(options: NicDaemonOptions, io: Io): Promise<number> {
  const log = createLog('info');
  let stop: (why: string) => void = () => {};
  const stopping = new Promise<string>((resolve) => {
    stop = resolve;
  });
  const off = [io.onSignal('SIGINT', () => stop('SIGINT')), io.onSignal('SIGTERM', () => stop('SIGTERM'))];
  try {
    const { NicDaemon } = await import('../nic/daemon.ts');
    const daemon = await NicDaemon.start(options, log, () => stop('socrypt nic down'));
    try {
      const { wirePort, hostPort, guard } = daemon.status();
      io.out(
        `socrypt nic is up\n  wire   ${wirePort}\n  host   ${hostPort}; ${options.addresses.join(', ')}\n  sockets ${guard}\n  lent   to \`socrypt serve --offload nic --nic ${options.hostPort}\`${options.users.length > 0 ? `, users ${options.users.join(', ')} too` : ''}\n`,
      );
      log.info({ reason: await stopping }, 'ending');
    } finally {
      await daemon.close();
    }
    return EXIT_OK;
  } finally {
    for (const one of off) one();
  }
}

async function operate(action: Exclude<Action, 'up'>, args: readonly string[], io: Io): Promise<number> {
  let parsed: { values: { json?: boolean | undefined }; positionals: string[] };
  try {
    parsed = parseArgs({ args: [...args], options: { json: { type: 'boolean' } }, allowPositionals: true });
  } catch (error) {
    throw new UsageError([`${(error as Error).message}; see \`socrypt nic --help\`.`]);
  }
  const { values, positionals } = parsed;
  const flow = action === 'trace' ? positionals.shift() : undefined;
  if (action === 'trace' && (flow === undefined || !/^\d{1,15}$/.test(flow)))
    throw new UsageError([
      `\`socrypt nic trace\` expects the id of a flow (\`socrypt nic flows\` lists them)${flow === undefined ? '' : `, but got ${JSON.stringify(flow)}`}.`,
    ]);
  const name = positionals.shift() ?? DEFAULT_NAME;
  if (positionals.length > 0)
    throw new UsageError([`\`socrypt nic ${action}\` does not expect ${JSON.stringify(positionals[0])}.`]);
  const { ask } = await import('../nic/daemon.ts');
  const answer = await ask(name, action, flow === undefined ? undefined : Number(flow));
  if (action === 'trace' && answer === null) {
    io.err(`socrypt: the NIC ${name} has no flow ${flow}\n`);
    return EXIT_FAILED;
  }
  io.out(values.json === true ? `${JSON.stringify(answer)}\n` : SHOWN[action](answer));
  return EXIT_OK;
}

const aligned = (rows: readonly (readonly string[])[]): string => {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  return `${rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')}\n`;
};

const milliseconds = (ns: number, from: number): string => ((ns - from) / 1e6).toFixed(3);

const SHOWN: Readonly<Record<Exclude<Action, 'up'>, (answer: unknown) => string>> = {
  down: () => 'it ends\n',
  status(answer) {
    const { alive, reason, counters, ...rest } = answer as NicDaemonStatus;
    const facts = Object.entries(rest).map(([key, value]) => [key, value === null ? 'none' : String(value)]);
    return aligned([
      ['alive', alive ? 'yes' : `no: ${reason}`],
      ...facts,
      ...Object.entries(counters).map(([key, value]) => [key, String(value)]),
    ]);
  },
  flows(answer) {
    const flows = answer as NicFlow[];
    if (flows.length === 0) return 'no flows\n';
    return aligned([
      ['flow', 'local', 'remote', 'acknowledged', 'records', 'open', 'retained', 'epochs', 'state'],
      ...flows.map((flow) => [
        String(flow.id),
        flow.local,
        flow.remote,
        String(flow.acknowledged),
        String(flow.records),
        String(flow.openRecords),
        String(flow.retainedBytes),
        String(flow.epochs),
        flow.broken ? 'broken: its file changed' : 'good',
      ]),
    ]);
  },
  trace(answer) {
    const records = answer as NicRecordTrace[];
    if (records.length === 0) return 'no records traced (`socrypt nic up --trace N`)\n';
    const start = Math.min(...records.filter((one) => one.segments > 0).map((one) => one.firstSendNs));
    return aligned([
      [
        'epoch',
        'record',
        'offset',
        'length',
        'first ms',
        'last ms',
        'segments',
        'again',
        'dropped',
        'path',
        'tag',
        'guard',
      ],
      ...records.map((one) => [
        String(one.epoch),
        String(one.recordSeq),
        String(one.streamOffset),
        String(one.length),
        one.segments === 0 ? '-' : milliseconds(one.firstSendNs, start),
        one.segments === 0 ? '-' : milliseconds(one.lastSendNs, start),
        String(one.segments),
        String(one.retransmittedBytes),
        String(one.dropped),
        one.path,
        one.tag,
        one.guard,
      ]),
    ]);
  },
};
