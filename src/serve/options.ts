/**
 * Every option of `socrypt serve`, said once: a table per group. Flags, environment, config file, the programmatic
 * type, the help and docs/serve.md all come from them.
 */
import type { HeaderSetting } from './file-values.ts';
import type { Group, Option } from './option.ts';
import { FILES } from './options/files.ts';
import { LIMITS } from './options/limits.ts';
import { LISTEN } from './options/listen.ts';
import { NIC } from './options/nic.ts';
import { OBSERVE } from './options/observe.ts';
import { TLS } from './options/tls.ts';

export const OPTIONS = { ...LISTEN, ...TLS, ...FILES, ...LIMITS, ...NIC, ...OBSERVE };

type Table = typeof OPTIONS;
export type OptionKey = keyof Table;
type ValueOf<O> = O extends Option<infer T> ? T : never;

/** Every option with its value: what the rest of serve/ works with. */
export type Settings = { readonly [K in OptionKey]: ValueOf<Table[K]> };

/** Lists may also be given as one value, durations and sizes as text ('10s', '64k'). */
type Loose<T> = T extends readonly (infer U)[] ? T | U : T extends number ? T | string : T;

/** What a program passes; whatever is left out takes its default. */
export type ServeSettings = {
  readonly [K in Exclude<OptionKey, 'headers'>]?: Loose<Settings[K]> | undefined;
} & {
  /** Fields as `'NAME: VALUE'`, as an object, or with `match`. */
  readonly headers?:
    | string
    | Readonly<Record<string, string>>
    | HeaderSetting
    | readonly (string | HeaderSetting)[]
    | undefined;
};

export const optionKeys = Object.keys(OPTIONS) as OptionKey[];

export const optionOf = (key: OptionKey): Option<unknown> => OPTIONS[key] as unknown as Option<unknown>;

/** metricsPort -> --metrics-port. */
export const flagOf = (key: string): string => FLAG_NAMES[key] ?? kebab(key);
const kebab = (key: string) => key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
/** One field per flag: singular. */
const FLAG_NAMES: Readonly<Record<string, string>> = {
  headers: 'header',
  errorPages: 'error-page',
  mimeTypes: 'mime-type',
  suites: 'suite',
  groups: 'group',
};

/** metricsPort -> SOCRYPT_METRICS_PORT. */
export const variableOf = (key: string): string => `SOCRYPT_${kebab(key).replaceAll('-', '_').toUpperCase()}`;

export const GROUPS: Readonly<Record<Group, string>> = {
  listen: 'Listening',
  tls: 'Certificates',
  files: 'Files and responses',
  limits: 'Limits',
  nic: 'Inline NIC (--offload nic)',
  observe: 'Observing',
};

export function defaultOf<K extends OptionKey>(key: K): Settings[K] {
  const value = OPTIONS[key].default as unknown;
  return (typeof value === 'function' ? value() : value) as Settings[K];
}
