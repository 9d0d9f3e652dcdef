/** From flags, environment, config file and program to Settings: flag > environment > config file > default. */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { acceleratorProblems } from './accelerator.ts';
import { errnoName, UsageError } from './errors.ts';
import { JsonError, type LocatedJson, parseJson } from './json.ts';
import { nicProblems } from './nic.ts';
import { INVALID } from './option.ts';
import {
  defaultOf,
  flagOf,
  GROUPS,
  type OptionKey,
  optionKeys,
  optionOf,
  type ServeSettings,
  type Settings,
  variableOf,
} from './options.ts';
import { nearest } from './suggest.ts';

/** A value with the words for where it came from. */
interface Given {
  readonly input: unknown;
  /** '--port', 'SOCRYPT_PORT', 'socrypt.json:3:5: port'. */
  readonly source: string;
  /** Read without text forms: a config file or a program. */
  readonly shape: 'text' | 'json';
  /** Where relative paths of this source start; undefined: the working directory. */
  readonly base?: string;
}
type Layer = Partial<Record<OptionKey, Given>>;

const MAX_SHOWN = 100;
function quote(input: unknown): string {
  if (input === undefined) return 'nothing';
  const shown = typeof input === 'bigint' ? `${input}n` : (JSON.stringify(input) ?? String(input));
  return shown.length > MAX_SHOWN ? `${shown.slice(0, MAX_SHOWN)}…` : shown;
}

function tryInstead(key: OptionKey, given: Given): string {
  const option = optionOf(key);
  if (given.shape === 'json')
    return `for example "${key}": ${option.isSwitch ? 'true' : quote(jsonExample(key))}`;
  if (given.source.startsWith('SOCRYPT_')) return `for example ${variableOf(key)}=${option.example}`;
  return option.isSwitch
    ? `--${flagOf(key)} or --no-${flagOf(key)}`
    : `for example --${flagOf(key)} ${option.example}`;
}
function jsonExample(key: OptionKey): unknown {
  const { example } = optionOf(key);
  return /^\d+$/.test(example) ? Number(example) : example.replaceAll(/^'|'$/g, '');
}

const PATH_OPTIONS: ReadonlySet<OptionKey> = new Set<OptionKey>([
  ...([
    'root',
    'cert',
    'key',
    'ocsp',
    'sct',
    'ticketKeys',
    'clientCa',
    'clientCrl',
    'accessLog',
    'keylog',
  ] as const),
]);

/** Paths in a config file are relative to the file, as everywhere else. */
function fromBase(key: OptionKey, value: unknown, base: string | undefined): unknown {
  if (base === undefined || !PATH_OPTIONS.has(key)) return value;
  const from = (one: unknown) => (typeof one === 'string' && one !== '-' ? resolve(base, one) : one);
  return Array.isArray(value) ? value.map(from) : from(value);
}

function settle(layers: readonly Layer[], problems: string[]): Settings {
  const settings: Record<string, unknown> = {};
  for (const key of optionKeys) {
    // Every layer is checked, not only the one that counts: a bad line does not become good by being hidden.
    let decided = false;
    for (const layer of layers) {
      const given = layer[key];
      if (given === undefined) continue;
      const value = optionOf(key).read(given.input);
      if (value === INVALID) {
        problems.push(
          `${given.source} expects ${optionOf(key).expected}, but got ${quote(given.input)}; ${tryInstead(key, given)}.`,
        );
      } else if (!decided) {
        settings[key] = fromBase(key, value, given.base);
      }
      decided = true;
    }
    if (!decided) settings[key] = defaultOf(key);
  }
  return settings as Settings;
}

/** What no single option can see. */
function checkTogether(settings: Settings, problems: string[]): void {
  if (settings.clientAuth !== null && settings.clientCa.length === 0) {
    problems.push(
      `clientAuth (--client-auth ${settings.clientAuth}) takes the authorities of the clients' certificates, but there are none, and every client would be let in; give clientCa (--client-ca), or leave it out.`,
    );
  }
  if (settings.cert.length !== settings.key.length) {
    problems.push(
      `cert and key come in pairs, but the number of certificates is ${settings.cert.length}, that of keys ${settings.key.length}; give a key for each certificate, in the same order.`,
    );
  }
  for (const key of ['ocsp', 'sct'] as const) {
    if (settings[key].length <= settings.cert.length) continue;
    problems.push(
      `${key} (--${flagOf(key)}) goes with cert, one for each certificate, but there are ${settings[key].length} for ${settings.cert.length}; give them in the order of the certificates, '-' for one without.`,
    );
  }
  if (settings.maxTargetBytes > settings.maxHeaderBytes) {
    problems.push(
      `maxTargetBytes (${settings.maxTargetBytes}) cannot be more than maxHeaderBytes (${settings.maxHeaderBytes}), of which the target is a part; lower one or raise the other.`,
    );
  }
  if (settings.cacheFileBytes > settings.cacheBytes) {
    problems.push(
      `cacheFileBytes (${settings.cacheFileBytes}) cannot be more than cacheBytes (${settings.cacheBytes}); lower one or raise the other.`,
    );
  }
  const isDefault = (key: OptionKey): boolean =>
    JSON.stringify(settings[key]) === JSON.stringify(defaultOf(key));
  problems.push(...nicProblems(settings, isDefault), ...acceleratorProblems(settings, isDefault));
  const ports: [string, number | null, string][] = [
    ['port', settings.port, settings.host],
    ['redirectPort', settings.redirectPort, settings.redirectHost ?? settings.host],
    ['metricsPort', settings.metricsPort, settings.metricsHost],
  ];
  for (const [i, [name, port, host]] of ports.entries()) {
    const same = ports
      .slice(0, i)
      .find(([, other, otherHost]) => port !== null && port !== 0 && other === port && otherHost === host);
    if (same !== undefined)
      problems.push(`${name} and ${same[0]} are both ${port} on ${host}; give each a port of its own.`);
  }
}

function finish(layers: readonly Layer[], problems: string[]): Settings {
  const settings = settle(layers, problems);
  if (problems.length === 0) checkTogether(settings, problems);
  if (problems.length > 0) throw new UsageError(problems);
  return settings;
}

// ── flags ────────────────────────────────────────────────────────────────────────────────────────────

const SHORT: Readonly<Record<string, string>> = { p: 'port', H: 'host', c: 'config' };

function flagLayer(
  args: readonly string[],
  problems: string[],
): { layer: Layer; config: string | undefined } {
  const byFlag = new Map<string, OptionKey>(optionKeys.map((key) => [flagOf(key), key]));
  const declared: Record<string, { type: 'string' | 'boolean'; short?: string; multiple: true }> = {
    config: { type: 'string', short: 'c', multiple: true },
  };
  for (const [flag, key] of byFlag) {
    const short = Object.keys(SHORT).find((letter) => SHORT[letter] === flag);
    declared[flag] = {
      type: optionOf(key).isSwitch ? 'boolean' : 'string',
      multiple: true,
      ...(short && { short }),
    };
  }
  // Not strict: its messages know neither what was expected nor what was meant; the tokens do.
  const { tokens } = parseArgs({
    args: [...args],
    options: declared,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });

  const values = new Map<OptionKey, unknown[]>();
  let config: string | undefined;
  const roots: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') roots.push(token.value);
    if (token.kind !== 'option') continue;
    const negated = token.name.startsWith('no-') && !byFlag.has(token.name);
    const name = negated ? token.name.slice(3) : token.name;
    const key = byFlag.get(name);
    if (key === undefined && name !== 'config') {
      const near = nearest(name, [...byFlag.keys(), 'config', 'help', 'version']);
      const hint =
        near === null ? '`socrypt serve --help` lists all' : `did you mean --${negated ? 'no-' : ''}${near}?`;
      problems.push(`${token.rawName} is not an option of \`socrypt serve\`; ${hint}`);
      continue;
    }
    if (key !== undefined && optionOf(key).isSwitch) {
      if (negated && token.value !== undefined)
        problems.push(`${token.rawName} takes no value, but got ${quote(token.value)}; leave it out.`);
      else values.set(key, [token.value === undefined ? !negated : token.value]);
      continue;
    }
    if (negated) {
      problems.push(`${token.rawName} does not exist, since --${name} is no switch; give --${name} a value.`);
      continue;
    }
    // '--cert --key x': the value was forgotten, and the next flag is not it.
    const forgotten = token.value === undefined || (!token.inlineValue && /^--?[A-Za-z]/.test(token.value));
    if (forgotten) {
      const what = key === undefined ? 'a path' : optionOf(key).expected;
      problems.push(
        `${token.rawName} expects ${what}, but got no value; ${key === undefined ? 'give a file' : `for example --${name} ${optionOf(key).example}`}.`,
      );
    } else if (key === undefined) {
      if (config !== undefined)
        problems.push('--config may be given only once; put everything into one file.');
      config = token.value;
    } else {
      values.set(key, [...(values.get(key) ?? []), token.value]);
    }
  }

  const layer: Layer = {};
  for (const [key, given] of values) {
    const source = `--${flagOf(key)}`;
    if (given.length > 1 && !optionOf(key).repeatable) {
      problems.push(
        `${source} may be given only once, but came ${given.length} times (${given.map(quote).join(', ')}); keep one.`,
      );
    }
    layer[key] = { input: optionOf(key).repeatable ? given : given.at(-1), source, shape: 'text' };
  }
  if (roots.length > 1) {
    problems.push(
      `\`socrypt serve\` expects one directory, but got ${roots.length} (${roots.map(quote).join(', ')}); keep one.`,
    );
  } else if (roots.length === 1 && layer.root !== undefined) {
    problems.push(`The directory was given twice, as ${quote(roots[0])} and with --root; keep one.`);
  } else if (roots.length === 1) {
    layer.root = { input: roots[0], source: 'ROOT', shape: 'text' };
  }
  return { layer, config };
}

// ── environment ──────────────────────────────────────────────────────────────────────────────────────

/** Read by other parts than this one. */
const OTHER_VARIABLES: ReadonlySet<string> = new Set([
  'SOCRYPT_CONFIG',
  'SOCRYPT_ADDON',
  'SOCRYPT_RUN_DIRECTORY',
  'SOCRYPT_SOFT_DRIVER',
]);

const SOFT_DRIVERS = ['ipsec-mb', 'libcrypto'];

function environmentLayer(env: NodeJS.ProcessEnv, problems: string[]): Layer {
  const layer: Layer = {};
  const driver = env.SOCRYPT_SOFT_DRIVER;
  // The native part takes the best one for a name that it does not know.
  if (driver !== undefined && driver !== '' && !SOFT_DRIVERS.includes(driver)) {
    problems.push(
      `SOCRYPT_SOFT_DRIVER expects one of ${SOFT_DRIVERS.join(', ')}, but got ${quote(driver)}; leave it out for the fastest.`,
    );
  }
  const byVariable = new Map<string, OptionKey>(optionKeys.map((key) => [variableOf(key), key]));
  for (const [name, value] of Object.entries(env)) {
    // An empty variable is how shells and unit files say "not set".
    if (!name.startsWith('SOCRYPT_') || value === undefined || value === '' || OTHER_VARIABLES.has(name))
      continue;
    const key = byVariable.get(name);
    if (key === undefined) {
      const near = nearest(name, [...byVariable.keys(), ...OTHER_VARIABLES]);
      const hint = near === null ? '`socrypt serve --help` lists all options' : `did you mean ${near}?`;
      problems.push(`The environment variable ${name} belongs to no option; ${hint}`);
      continue;
    }
    const asList = optionOf(key).repeatable && !value.trimStart().startsWith('[');
    layer[key] = {
      input: asList ? value.split(',').map((one) => one.trim()) : value,
      source: name,
      shape: 'text',
    };
  }
  return layer;
}

// ── config file ──────────────────────────────────────────────────────────────────────────────────────

const CONFIG_LIMIT = 1024 * 1024;

function readConfig(path: string): LocatedJson {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const why: Record<string, string> = {
      ENOENT: 'does not exist; check the path',
      EISDIR: 'is a directory; give the file in it',
      EACCES: 'may not be read by this user; check its permissions',
    };
    throw new UsageError([
      `The config file ${path} ${why[errnoName(error)] ?? `cannot be read: ${(error as Error).message}`}.`,
    ]);
  }
  if (text.length > CONFIG_LIMIT) {
    throw new UsageError([
      `The config file ${path} expects at most 1 MiB, but has ${text.length} characters; is it the right file?`,
    ]);
  }
  try {
    return parseJson(text);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    throw new UsageError([`${path}:${error.place.line}:${error.place.column}: not JSON: ${error.message}.`]);
  }
}

function configLayer(path: string, problems: string[]): Layer {
  const file = readConfig(path);
  const layer: Layer = {};
  const where = (keys: readonly string[]) => {
    const { line, column } = file.placeOf(keys);
    return `${path}:${line}:${column}: ${keys.join('.')}`;
  };
  if (typeof file.value !== 'object' || file.value === null || Array.isArray(file.value)) {
    problems.push(
      `${path}: a config file expects an object of options, but has ${quote(file.value)}; write { "port": 8443 }.`,
    );
    return layer;
  }
  const take = (record: object, above: readonly string[]): void => {
    for (const [name, input] of Object.entries(record)) {
      const keys = [...above, name];
      if (name === '$schema' && above.length === 0) continue;
      if (above.length === 0 && Object.hasOwn(GROUPS, name)) {
        // Options may stand under the name of their group.
        if (typeof input === 'object' && input !== null && !Array.isArray(input)) take(input, keys);
        else
          problems.push(
            `${where(keys)} expects an object of options, but got ${quote(input)}; write "${name}": { … }.`,
          );
        continue;
      }
      const key = optionKeys.find((one) => one === name);
      if (key === undefined) {
        const near = nearest(name, above.length === 0 ? [...optionKeys, ...Object.keys(GROUPS)] : optionKeys);
        problems.push(
          `${where(keys)} is not an option; ${near === null ? 'docs/serve.md lists all' : `did you mean "${near}"?`}`,
        );
      } else if (layer[key] !== undefined) {
        problems.push(`${where(keys)} was already given at ${layer[key].source}; keep one.`);
      } else {
        layer[key] = { input, source: where(keys), shape: 'json', base: dirname(resolve(path)) };
      }
    }
  };
  take(file.value, []);
  return layer;
}

// ── the ways in ──────────────────────────────────────────────────────────────────────────────────────

/** The command line's way: throws UsageError with every problem found. */
export function settingsFromCommandLine(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): { settings: Settings; configFile: string | null } {
  const problems: string[] = [];
  const flags = flagLayer(args, problems);
  const environment = environmentLayer(env, problems);
  const configFile = flags.config ?? (env.SOCRYPT_CONFIG || null);
  let config: Layer = {};
  if (configFile !== null) {
    try {
      config = configLayer(configFile, problems);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      problems.push(...error.problems);
    }
  }
  return { settings: finish([flags.layer, environment, config], problems), configFile };
}

/** The program's way; keys that are not options are refused, undefined ones left out. */
export function settingsFromProgram(given: ServeSettings, ignore: readonly string[] = []): Settings {
  const problems: string[] = [];
  const layer: Layer = {};
  for (const [name, input] of Object.entries(given)) {
    if (input === undefined || ignore.includes(name)) continue;
    const key = optionKeys.find((one) => one === name);
    if (key === undefined) {
      const near = nearest(name, [...optionKeys, ...ignore]);
      problems.push(
        `${name} is not an option of serve(); ${near === null ? 'docs/serve.md lists all' : `did you mean ${near}?`}`,
      );
    } else {
      layer[key] = { input, source: name, shape: 'json' };
    }
  }
  return finish([layer], problems);
}
