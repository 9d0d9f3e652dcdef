/** `socrypt cryptod`: accelerators for other processes, over a Unix socket. */
import { parseArgs } from 'node:util';
import type { CryptodDaemonOptions } from '../cryptod/daemon.ts';
import { DEFAULTS } from '../cryptod/defaults.ts';
import type { AdminListener } from '../observe/admin.ts';
import { hostPort } from '../observe/listener.ts';
import { createLog } from '../observe/log.ts';
import { driverHelp } from '../ocf/driver-names.ts';
import { UsageError } from '../serve/errors.ts';
import { INVALID } from '../serve/option.ts';
import { OBSERVE } from '../serve/options/observe.ts';
import type { Settings } from '../serve/options.ts';
import { EXIT_OK, type Io } from './io.ts';

export const CRYPTOD_HELP = `Usage: socrypt cryptod --socket PATH [OPTIONS]

Lends accelerators to other processes: sessions and operations of the crypto framework over a Unix socket, payloads in
shared memory. Clients: src/cryptod/client.ts, and OpenSSL's by the provider build/native/socrypt-provider.so.

  --socket PATH          where to listen
  --driver NAME          one of those below; may be given more than once (default: soft)
  --allow-software       lend what only this machine's processors do as well; without it, clients are told EINVAL and
                         do it themselves
  --mode OCTAL           of the socket (default: 600)
  --user UID             user who may connect, may be given more than once (default: the one who runs it)
  --max-connections N    (default: ${DEFAULTS.maxConnections})
  --max-sessions N       per connection (default: ${DEFAULTS.maxSessions})
  --max-pending N        operations per connection (default: ${DEFAULTS.maxPending})
  --max-memory MIB       shared memory per connection (default: ${DEFAULTS.maxArenaBytes / 2 ** 20})
  --metrics-port PORT    of an admin listener (plain HTTP): /metrics, /healthz, /readyz (default: none)
  --metrics-host HOST    its address (default: ${OBSERVE.metricsHost.default as string})

Drivers:
${driverHelp(2)}`;

/** Where /metrics is; null: nowhere. */
export type Admin = { readonly host: string; readonly port: number } | null;

export function cryptodOptions(args: readonly string[]): CryptodDaemonOptions & { readonly admin: Admin } {
  const text = { type: 'string' } as const;
  const { values, tokens } = parseArgs({
    args: [...args],
    strict: false,
    tokens: true,
    options: {
      socket: text,
      driver: { ...text, multiple: true },
      'allow-software': { type: 'boolean' },
      mode: text,
      user: { ...text, multiple: true },
      'max-connections': text,
      'max-sessions': text,
      'max-pending': text,
      'max-memory': text,
      'metrics-port': text,
      'metrics-host': text,
    },
  });
  const problems: string[] = [];
  const known = new Set([
    'socket',
    'driver',
    'allow-software',
    'mode',
    'user',
    'max-connections',
    'max-sessions',
    'max-pending',
    'max-memory',
    'metrics-port',
    'metrics-host',
  ]);
  for (const token of tokens) {
    if (token.kind === 'positional')
      problems.push(`\`socrypt cryptod\` expects options only, but got ${JSON.stringify(token.value)}.`);
    else if (token.kind === 'option' && !known.has(token.name))
      problems.push(
        `${token.rawName} is not an option of \`socrypt cryptod\`; see \`socrypt cryptod --help\`.`,
      );
    else if (token.kind === 'option' && token.value === undefined && token.name !== 'allow-software')
      problems.push(`${token.rawName} expects a value.`);
  }
  const number = (name: string, value: unknown, max: number, base = 10): number | undefined => {
    if (value === undefined) return undefined;
    const digits = base === 8 ? /^[0-7]{1,4}$/ : /^\d{1,10}$/;
    const parsed = typeof value === 'string' && digits.test(value) ? Number.parseInt(value, base) : -1;
    if (parsed < (base === 8 || name === 'user' ? 0 : 1) || parsed > max)
      problems.push(
        `--${name} expects ${base === 8 ? 'octal digits such as 660' : `a whole number up to ${max}`}, but got ${JSON.stringify(value)}.`,
      );
    return parsed;
  };
  const list = (value: unknown): string[] | undefined =>
    Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : undefined;
  const path = typeof values.socket === 'string' ? values.socket : '';
  if (path === '')
    problems.push('`socrypt cryptod` expects --socket PATH, such as --socket /run/socrypt-cryptod.sock.');
  const memory = number('max-memory', values['max-memory'], 4096);
  const options = {
    path,
    allowSoftware: values['allow-software'] === true,
    mode: number('mode', values.mode, 0o777, 8),
    users: list(values.user)?.map((user) => number('user', user, 2 ** 32 - 2) ?? 0),
    drivers: list(values.driver),
    maxConnections: number('max-connections', values['max-connections'], 65_536),
    maxSessions: number('max-sessions', values['max-sessions'], 2 ** 20),
    maxPending: number('max-pending', values['max-pending'], 65_536),
    maxArenaBytes: memory === undefined ? undefined : memory * 2 ** 20,
  };
  const shared = <K extends 'metricsPort' | 'metricsHost'>(flag: string, key: K) => {
    const given = values[flag];
    if (given === undefined) return OBSERVE[key].default as Settings[K];
    const value = OBSERVE[key].read(given);
    if (value === INVALID)
      problems.push(`--${flag} expects ${OBSERVE[key].expected}, but got ${JSON.stringify(given)}.`);
    return value as Settings[K];
  };
  const port = shared('metrics-port', 'metricsPort');
  const host = shared('metrics-host', 'metricsHost');
  if (problems.length > 0) throw new UsageError(problems);
  const admin = port === null ? null : { host, port };
  return {
    ...(Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
      path: string;
    }),
    admin,
  };
}

export async function cryptodCommand(args: readonly string[], io: Io): Promise<number> {
  const options = cryptodOptions(args);
  const log = createLog('info');
  // Late: the help must be had where the native part is not.
  const { CryptodDaemon } = await import('../cryptod/daemon.ts');
  const daemon = new CryptodDaemon(options);
  let admin: AdminListener | undefined;
  let stop: (signal: string) => void = () => {};
  const stopping = new Promise<string>((resolve) => {
    stop = resolve;
  });
  const off = [io.onSignal('SIGINT', () => stop('SIGINT')), io.onSignal('SIGTERM', () => stop('SIGTERM'))];
  // The native thread is nothing that node waits for.
  const alive = setInterval(() => {}, 2 ** 30);
  try {
    daemon.start();
    if (options.admin !== null) {
      const { startCryptodAdmin } = await import('../cryptod/metrics.ts');
      admin = await startCryptodAdmin(daemon, options.admin.host, options.admin.port, log);
    }
    const metrics =
      admin === undefined
        ? ''
        : `  metrics   http://${hostPort(admin.address.host, admin.address.port)}/metrics\n`;
    io.out(
      `socrypt cryptod listens\n  socket    ${daemon.path}\n  drivers   ${daemon.drivers().join(', ')}\n  software  ${options.allowSoftware ? 'lent' : 'not lent: clients are told EINVAL and do it themselves (--allow-software lends it)'}\n${metrics}`,
    );
    const signal = await stopping;
    log.info({ signal, ...daemon.counters() }, 'ending');
    return EXIT_OK;
  } finally {
    clearInterval(alive);
    await admin?.close();
    daemon.stop();
    for (const one of off) one();
  }
}
