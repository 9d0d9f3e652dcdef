/**
 * Drivers by name, for those who write names and for help texts: what native/ocf/drivers/by_name.cc has, without anything
 * native. A test compares the two.
 */
export interface DriverName {
  readonly name: string;
  /** What stands behind a colon; '': nothing may. */
  readonly argument: string;
  readonly optional: boolean;
  readonly help: string;
  /** Why no server may give it records; '': it may. */
  readonly notForRecords: string;
}

const KEYS_ONLY = 'it does key operations only, and has no cipher for records';
const none = { argument: '', optional: false } as const;

export const DRIVER_NAMES: readonly DriverName[] = [
  { name: 'soft', ...none, help: 'this processor, at once', notForRecords: '' },
  { name: 'thread', ...none, help: 'a processor set aside', notForRecords: '' },
  {
    name: 'null',
    ...none,
    help: 'gives data back as it is: what the framework costs',
    notForRecords: 'it gives data back as it is: records would leave as plaintext',
  },
  { name: 'key', ...none, help: 'key operations in threads', notForRecords: KEYS_ONLY },
  { name: 'key-inline', ...none, help: 'key operations at once', notForRecords: KEYS_ONLY },
  {
    name: 'dpdk',
    argument: 'DEVICE',
    optional: true,
    help: 'a DPDK cryptodev (default: crypto_aesni_gcm)',
    notForRecords: '',
  },
  {
    name: 'model',
    argument: 'FILE',
    optional: false,
    help: 'a simulated card (docs/ocf.md)',
    notForRecords: '',
  },
];

const formOf = ({ name, argument, optional }: DriverName): string => {
  if (argument === '') return name;
  return optional ? `${name}[:${argument}]` : `${name}:${argument}`;
};
const listed = (forms: readonly string[]): string => `${forms.slice(0, -1).join(', ')} or ${forms.at(-1)}`;

/** 'soft, thread, … or model:FILE'. */
export const DRIVER_FORMS = listed(DRIVER_NAMES.map(formOf));
/** Of those that may have records. */
export const RECORD_DRIVER_FORMS = listed(
  DRIVER_NAMES.filter(({ notForRecords }) => notForRecords === '').map(formOf),
);
/** A line per driver. */
export const driverHelp = (indent: number): string =>
  DRIVER_NAMES.map((one) => `${' '.repeat(indent)}${formOf(one).padEnd(16)}${one.help}\n`).join('');

/** The driver that is meant; undefined: none has this name, or it has too much or too little behind it. */
export function driverNamed(text: string): DriverName | undefined {
  const colon = text.indexOf(':');
  const known = DRIVER_NAMES.find(({ name }) => name === (colon < 0 ? text : text.slice(0, colon)));
  if (known === undefined || text.includes('\0')) return undefined;
  if (colon < 0) return known.argument === '' || known.optional ? known : undefined;
  return known.argument !== '' && colon < text.length - 1 ? known : undefined;
}
