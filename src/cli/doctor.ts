/** `socrypt doctor`: what this machine can do for socrypt, measured or tried, and for each "no" why. */
import { readFileSync } from 'node:fs';
import { availableParallelism, release } from 'node:os';
import { parseArgs } from 'node:util';
import { type NativeAddon, type NativeSuite, native, type ProbeResult } from '../native.ts';
import { missingHere } from '../nic/capabilities.ts';
import { UsageError } from '../serve/errors.ts';
import { openFileLimit } from '../serve/file-limit.ts';
import { VERSION } from '../serve/version.ts';
import { EXIT_FAILED, EXIT_OK, type Io } from './io.ts';

export interface Seal {
  readonly suite: string;
  /** 10^9 bytes per second, one core, 16 KiB records. */
  readonly gigabytesPerSecond: number;
}
export interface Check extends ProbeResult {
  readonly name: string;
  /** Serving does not work without it. */
  readonly needed: boolean;
}
export interface Diagnosis {
  readonly version: string;
  readonly node: string;
  readonly kernel: string;
  readonly cpu: { readonly model: string; readonly cores: number; readonly features: readonly string[] };
  readonly crypto: { readonly engine: string; readonly library: string; readonly seal: readonly Seal[] };
  readonly checks: readonly Check[];
}

const SUITES: readonly (readonly [string, NativeSuite])[] = [
  ['AES-128-GCM', 0x1301],
  ['AES-256-GCM', 0x1302],
  ['ChaCha20-Poly1305', 0x1303],
];
const RECORD_BYTES = 16_384;
const WARM_UP_RECORDS = 200;
const MEASURE_NS = 50e6;

/** Sizes the run by a short one, so that it takes about 50 ms on any machine. */
function measure(crypto: NativeAddon['crypto'], suite: NativeSuite): number {
  const first = crypto.measureSeal(suite, RECORD_BYTES, WARM_UP_RECORDS) / WARM_UP_RECORDS;
  const records = Math.min(1_000_000, Math.max(100, Math.round(MEASURE_NS / Math.max(first, 1))));
  return (records * RECORD_BYTES) / crypto.measureSeal(suite, RECORD_BYTES, records);
}

/** Instructions that sealing profits from; names as in /proc/cpuinfo (x86) and HWCAP (arm). */
const CPU_FEATURES = ['aes', 'pclmulqdq', 'avx2', 'avx512f', 'vaes', 'vpclmulqdq', 'sha_ni', 'pmull'];

function cpuInfo(text: string): Diagnosis['cpu'] {
  const flags = new Set(/^(?:flags|Features)\s*:\s*(.*)$/m.exec(text)?.[1]?.split(' ') ?? []);
  return {
    model: /^model name\s*:\s*(.*)$/m.exec(text)?.[1] ?? 'unknown',
    cores: availableParallelism(),
    features: CPU_FEATURES.filter((name) => flags.has(name)),
  };
}

const FILES_WANTED = 16_384;

function fileLimitCheck(limit: number): ProbeResult {
  const shown = limit === Number.POSITIVE_INFINITY ? 'unlimited' : String(limit);
  return limit >= FILES_WANTED
    ? { ok: true, detail: `${shown} open files` }
    : {
        ok: false,
        detail: `${shown} open files; connections and cached files share them, ${FILES_WANTED} and more are good: ulimit -n, or LimitNOFILE= of systemd`,
      };
}

function vaesCheck({ features }: Diagnosis['cpu'], engine: string): ProbeResult {
  if (!features.includes('vaes')) {
    return {
      ok: false,
      detail:
        'this CPU has no VAES (Intel from Ice Lake, AMD from Zen 3 on); AES-GCM takes 2 to 3 times longer',
    };
  }
  return engine.startsWith('ipsec-mb')
    ? { ok: true, detail: `the CPU has VAES, and ${engine} uses it` }
    : {
        ok: false,
        detail: `the CPU has VAES, but ${engine} makes little of it; install libipsec-mb-dev and build again`,
      };
}

function acceleratorCheck({ cores }: Diagnosis['cpu']): ProbeResult {
  return cores > 1
    ? {
        ok: true,
        detail:
          '--offload accelerator:thread has a thread per engine encrypt; in the engine itself it costs less (docs/benchmarks.md)',
      }
    : { ok: false, detail: 'one core: a thread that encrypts would take the time that it saves' };
}

function nicCheck(afXdp: ProbeResult): ProbeResult {
  const missing = missingHere().map(({ name }) => name);
  if (missing.length > 0)
    return { ok: false, detail: `\`--offload nic\` needs ${missing.join(' and ')}; run as root or grant it` };
  return afXdp.ok
    ? {
        ok: true,
        detail:
          '`--offload nic --wire IFACE --address CIDR` takes an interface over and seals inside the packets',
      }
    : { ok: false, detail: `\`--offload nic\` needs AF_XDP: ${afXdp.detail}` };
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

export function diagnose(addon: Pick<NativeAddon, 'crypto' | 'probe'> = native): Diagnosis {
  const { crypto, probe } = addon;
  const cpu = cpuInfo(readText('/proc/cpuinfo'));
  const engine = crypto.softDriverName();
  const check = (name: string, result: ProbeResult, needed = false): Check => ({ name, needed, ...result });
  return {
    version: VERSION,
    node: process.version,
    kernel: release(),
    cpu,
    crypto: {
      engine,
      library: `libcrypto ${crypto.libcryptoVersion()}`,
      seal: SUITES.map(([suite, id]) => ({
        suite,
        gigabytesPerSecond: Number(measure(crypto, id).toFixed(2)),
      })),
    },
    checks: [
      check('openat2', probe.openat2(), true),
      check('open files', fileLimitCheck(openFileLimit())),
      check('VAES', vaesCheck(cpu, engine)),
      check('accelerator', acceleratorCheck(cpu)),
      check('io_uring', probe.ioUring()),
      check('kernel TLS', probe.kernelTls()),
      check('AF_XDP', probe.afXdp()),
      check('DPDK', probe.dpdk()),
      check('inline NIC', nicCheck(probe.afXdp())),
    ],
  };
}

export function doctorText({ version, node, kernel, cpu, crypto, checks }: Diagnosis): string {
  const seal = crypto.seal.map(
    ({ suite, gigabytesPerSecond }) => `${suite.padEnd(18)} ${gigabytesPerSecond.toFixed(2)} GB/s`,
  );
  const rows: [string, string][] = [
    ['socrypt', `${version}, node ${node}, Linux ${kernel}`],
    ['CPU', `${cpu.model}, ${cpu.cores} cores (${cpu.features.join(' ') || 'no features of use known'})`],
    ['crypto', `${crypto.engine}; handshakes by ${crypto.library}`],
    ...seal.map((line, i): [string, string] => [
      i === 0 ? 'sealing' : '',
      i === 0 ? `${line}  (one core, 16 KiB records)` : line,
    ]),
    ...checks.map(({ name, ok, detail }): [string, string] => [name, `${ok ? 'yes' : 'no '}  ${detail}`]),
  ];
  const width = Math.max(...rows.map(([name]) => name.length)) + 2;
  return `${rows.map(([name, value]) => `${name.padEnd(width)}${value}`).join('\n')}\n`;
}

export async function doctorCommand(args: readonly string[], io: Io): Promise<number> {
  let json = false;
  for (const token of parseArgs({
    args: [...args],
    options: { json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
    strict: false,
    tokens: true,
  }).tokens) {
    if (token.kind === 'option' && token.name === 'help') {
      io.out(
        'Usage: socrypt doctor [--json]\nSays what this machine can do for socrypt, and why not more.\n',
      );
      return EXIT_OK;
    }
    if (token.kind !== 'option' || token.name !== 'json') {
      const came =
        token.kind === 'option'
          ? token.rawName
          : token.kind === 'positional'
            ? JSON.stringify(token.value)
            : '--';
      throw new UsageError([`\`socrypt doctor\` expects --json or nothing, but got ${came}; leave it out.`]);
    }
    json = true;
  }
  const diagnosis = diagnose();
  io.out(json ? `${JSON.stringify(diagnosis, null, 2)}\n` : doctorText(diagnosis));
  return diagnosis.checks.every(({ ok, needed }) => ok || !needed) ? EXIT_OK : EXIT_FAILED;
}
