/** `socrypt nic`: a NIC of its own process, and what operators ask of it. */
import { parseArgs } from 'node:util';
import { SocryptError } from '../errors.ts';
import type { NicFlow, NicRecordTrace } from '../native.ts';
import type { NicDaemonOptions } from '../nic/daemon.ts';
import type { NicOperatorStatus, NicQuestion } from '../nic/operators.ts';
import type { AdminListener } from '../observe/admin.ts';
import { hostPort } from '../observe/listener.ts';
import { createLog } from '../observe/log.ts';
import { UsageError } from '../serve/errors.ts';
import { INVALID, type Option } from '../serve/option.ts';
import { NIC } from '../serve/options/nic.ts';
import { OBSERVE } from '../serve/options/observe.ts';
import { nearest } from '../serve/suggest.ts';
import { EXIT_OK, EXIT_USAGE, type Io } from './io.ts';

export const NIC_HELP = `Usage: socrypt nic up --wire IFACE|--port-driver dpdk:DEVICE --address CIDR [OPTIONS]
       socrypt nic down [NAME]
       socrypt nic status|flows [NAME|--server PATH] [--json]
       socrypt nic trace FLOW [NAME|--server PATH] [--json]

An inline NIC in a process of its own. \`up\` takes over the interface IFACE, makes the host port NAME and lends the NIC
to other processes (\`socrypt serve --offload nic --nic NAME\`) until it is told to end: by \`down\`, SIGINT or SIGTERM.
What it makes goes with it; what one that was killed has left, goes with the next \`up\`. It needs
CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF.

  up       --wire IFACE        interface to take over
           --port-driver P     af_xdp, or dpdk:DEVICE, for which --wire may be left out (default: af_xdp)
           --host NAME         name of the host port, and of the NIC (default: socrypt0)
           --address CIDR      of the host port; once per address
           --gateway ADDRESS   router for a default route through it; once for each of IPv4 and IPv6
           --host-driver KIND  tap or veth (default: tap)
           --resync order-free how it seals a segment that does not come in order. It is the only mode here: prefix-replay
                               and next-record read payload again, which lies in the processes that it is lent to; a server
                               with a NIC of its own has all three (\`socrypt serve --offload nic --wire IFACE --resync MODE\`)
           --user UID          user who may send through it as well; once per user
           --trace N           records of each flow that are traced (default: 64; 0: none)
           --metrics-port PORT of an admin listener (plain HTTP): /metrics, /healthz, /readyz (default: none)
           --metrics-host HOST its address (default: 127.0.0.1)
  down     ends it
  status   ports, flows, clients and counters
  flows    the connections that it seals for
  trace    what became of a flow's last records
           --server PATH       of the NIC that a server has made for itself, by the server's control socket
                               (\`socrypt serve --offload nic --wire IFACE --control PATH\`)
           --json              for programs
`;

const ACTIONS = ['up', 'down', 'status', 'flows', 'trace'] as const;
type Action = (typeof ACTIONS)[number];
const DEFAULT_NAME = 'socrypt0';
/** A payload in memory is not lent across processes, and the other modes need it. */
const LENT_RESYNC = 'order-free' as const;
const MAX_USER = 2 ** 32 - 2;

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
        : `socrypt: ${JSON.stringify(action)} is nothing a NIC does; ${near === null ? `expected one of ${ACTIONS.join(', ')} (\`socrypt nic --help\`)` : `did you mean \`socrypt nic ${near}\`?`}\n`,
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
  trace: 'traceRecords',
  'metrics-port': 'metricsPort',
  'metrics-host': 'metricsHost',
} as const;
const OPTIONS: Readonly<Record<(typeof SHARED)[keyof typeof SHARED], unknown>> = { ...NIC, ...OBSERVE };

/** Where /metrics is; null: nowhere. */
type Admin = { readonly host: string; readonly port: number } | null;

export function upOptions(args: readonly string[]): NicDaemonOptions & { readonly admin: Admin } {
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
        'metrics-port': text,
        'metrics-host': text,
      },
    }) as { values: Record<string, string | readonly string[] | undefined> });
  } catch (error) {
    throw new UsageError([`${(error as Error).message}; see \`socrypt nic --help\`.`]);
  }
  const read = <T>(flag: keyof typeof SHARED): T => {
    const option = OPTIONS[SHARED[flag]] as Option<unknown>;
    const given = values[flag];
    if (given === undefined) return option.default as T;
    const value = option.read(given);
    if (value === INVALID)
      problems.push(
        `--${flag} expects ${option.expected}, but got ${JSON.stringify(given)}; for example --${flag} ${option.example}.`,
      );
    return value as T;
  };
  const userOf = (given: string): number => {
    const n = /^\d{1,10}$/.test(given) ? Number(given) : -1;
    if (n < 0 || n > MAX_USER)
      problems.push(
        `--user expects the number of a user, up to ${MAX_USER} (\`id -u NAME\` tells it), but got ${JSON.stringify(given)}.`,
      );
    return n;
  };
  const wire = read<string | null>('wire');
  const portDriver = read<string>('port-driver');
  const metricsHost = read<string>('metrics-host');
  const metricsPort = read<number | null>('metrics-port');
  const options = {
    wire,
    portDriver,
    hostPort: read<string>('host'),
    hostDriver: read<'tap' | 'veth'>('host-driver'),
    addresses: read<readonly string[]>('address'),
    gateways: read<readonly string[]>('gateway'),
    resync: LENT_RESYNC,
    users: ((values.user ?? []) as readonly string[]).map(userOf),
    traceRecords: read<number>('trace'),
    admin: metricsPort === null ? null : { host: metricsHost, port: metricsPort },
  };
  if (values.resync !== undefined && values.resync !== LENT_RESYNC) {
    const why =
      NIC.resync.read(values.resync) !== INVALID
        ? `: ${values.resync} reads payload again, which lies in the processes that the NIC is lent to; leave it out, or give the server a NIC of its own (socrypt serve --offload nic --wire IFACE --resync ${values.resync})`
        : '; leave it out';
    problems.push(
      `\`socrypt nic up\` expects --resync ${LENT_RESYNC}, but got ${JSON.stringify(values.resync)}${why}.`,
    );
  }
  // One that cannot be read is told of above.
  if (wire === null && !String(values['port-driver'] ?? '').startsWith('dpdk:'))
    problems.push(
      '`socrypt nic up` expects the interface to take over, or a DPDK device; give --wire (--wire eth0) or --port-driver (--port-driver dpdk:0000:03:00.0).',
    );
  if (options.addresses.length === 0)
    problems.push(
      '`socrypt nic up` expects an address for the host port; give --address (--address 192.0.2.10/24).',
    );
  if (problems.length > 0) throw new UsageError(problems);
  return options;
}

async function up({ admin: at, ...options }: ReturnType<typeof upOptions>, io: Io): Promise<number> {
  const log = createLog('info');
  let stop: (why: string) => void = () => {};
  const stopping = new Promise<string>((resolve) => {
    stop = resolve;
  });
  const off = [io.onSignal('SIGINT', () => stop('SIGINT')), io.onSignal('SIGTERM', () => stop('SIGTERM'))];
  try {
    const { NicDaemon } = await import('../nic/daemon.ts');
    const daemon = await NicDaemon.start(options, log, () => stop('socrypt nic down'));
    let admin: AdminListener | undefined;
    try {
      if (at !== null) {
        const { startNicAdmin } = await import('../nic/metrics.ts');
        admin = await startNicAdmin(daemon, at.host, at.port, log);
      }
      const metrics =
        admin === undefined
          ? ''
          : `  metrics http://${hostPort(admin.address.host, admin.address.port)}/metrics\n`;
      const { wirePort, hostPort: port, guard } = daemon.status();
      io.out(
        `socrypt nic is up\n  wire   ${wirePort}\n  host   ${port}; ${options.addresses.join(', ')}\n  sockets ${guard}\n  lent   to \`socrypt serve --offload nic --nic ${options.hostPort}\`${options.users.length > 0 ? `, users ${options.users.join(', ')} too` : ''}\n${metrics}`,
      );
      log.info({ reason: await stopping }, 'ending');
    } finally {
      await admin?.close();
      await daemon.close();
    }
    return EXIT_OK;
  } finally {
    for (const one of off) one();
  }
}

/** Whom an operator asks, and what. */
interface Errand {
  readonly flow: string | undefined;
  /** Of the NIC; null: it is a server's. */
  readonly name: string | null;
  readonly server: string | null;
  readonly json: boolean;
}

export function errandOf(action: Exclude<Action, 'up'>, args: readonly string[]): Errand {
  let parsed: {
    values: { json?: boolean | undefined; server?: string | undefined };
    positionals: string[];
  };
  try {
    parsed = parseArgs({
      args: [...args],
      options: { json: { type: 'boolean' }, server: { type: 'string' } },
      allowPositionals: true,
    });
  } catch (error) {
    throw new UsageError([`${(error as Error).message}; see \`socrypt nic --help\`.`]);
  }
  const { server = null, json = false } = parsed.values;
  const positionals = [...parsed.positionals];
  const problems: string[] = [];
  const flow = action === 'trace' ? positionals.shift() : undefined;
  if (action === 'trace' && (flow === undefined || !/^\d{1,15}$/.test(flow)))
    problems.push(
      `\`socrypt nic trace\` expects the id of a flow (\`${listing(server, positionals[0])}\` lists them), but got ${flow === undefined ? 'none' : JSON.stringify(flow)}.`,
    );
  const name = positionals.shift();
  if (positionals.length > 0)
    problems.push(
      `\`socrypt nic ${action}\` expects one NIC, but got ${JSON.stringify(positionals[0])} besides ${JSON.stringify(name)}; ask one after the other.`,
    );
  if (server !== null && action === 'down')
    problems.push(
      '`socrypt nic down` expects no --server: the NIC that a server has made ends with the server; end that (SIGTERM).',
    );
  else if (server !== null && name !== undefined)
    problems.push(
      `\`socrypt nic ${action}\` expects the name of a NIC or --server, but got both (${JSON.stringify(name)}, ${JSON.stringify(server)}); leave one of them out.`,
    );
  if (problems.length > 0) throw new UsageError(problems);
  return { flow, name: server === null ? (name ?? DEFAULT_NAME) : null, server, json };
}

/** The command that lists the flows. */
function listing(server: string | null, name: string | undefined | null): string {
  if (server !== null) return `socrypt nic flows --server ${server}`;
  return name === undefined || name === null || name === DEFAULT_NAME
    ? 'socrypt nic flows'
    : `socrypt nic flows ${name}`;
}

async function operate(action: Exclude<Action, 'up'>, args: readonly string[], io: Io): Promise<number> {
  const { flow, name, server, json } = errandOf(action, args);
  const id = flow === undefined ? undefined : Number(flow);
  let answer: unknown;
  if (server === null) {
    const { ask } = await import('../nic/daemon.ts');
    answer = await ask(name!, action, id);
  } else {
    const { askOperator } = await import('../observe/operator-socket.ts');
    const question: NicQuestion = { ask: action as NicQuestion['ask'], flow: id };
    answer = await askOperator(server, { ask: 'nic', question }).catch((error: SocryptError) => {
      // With a cause, nobody has answered.
      if (error.cause === undefined) throw error;
      throw new SocryptError(
        error.code,
        `${error.message} Expected the control socket of a running server (\`socrypt serve --offload nic --wire IFACE --control PATH\`).`,
        { cause: error },
      );
    });
  }
  if (action === 'trace' && answer === null)
    throw new SocryptError(
      'ERR_SOCRYPT_NIC_FLOW',
      `Expected a flow of ${server === null ? `the NIC ${name}` : `the NIC of the server at ${server}`}, but it has none with the id ${flow} (any more); \`${listing(server, name)}\` lists those that it has.`,
    );
  io.out(json ? `${JSON.stringify(answer)}\n` : SHOWN[action](answer));
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
    const { alive, reason, counters, ...rest } = answer as NicOperatorStatus;
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
    if (records.length === 0)
      return 'no records traced (`socrypt nic up --trace N`, `socrypt serve --offload nic --trace-records N`)\n';
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
