/** Cipher suites and groups as people write them in options: by their IANA names, curves also by NIST's. */
import { hybridAvailable, X25519MLKEM768 } from '../control/hybrid-key-exchange.ts';
import { GROUP_NAMES, SUITE_NAMES, versionOfSuite } from '../observe/tls-names.ts';
import { UsageError } from './errors.ts';

/** What there is, in the order of preference. TLS_AES_128_GCM first: the engines seal it fastest. */
const SUITES = [
  ...[0x1301, 0x1302, 0x1303],
  // Of TLS 1.2: ECDHE with an AEAD, and nothing else.
  ...[0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8],
];
/** The hybrid first: what is recorded today cannot be read by a quantum computer of later. */
const GROUPS = [X25519MLKEM768, 0x001d, 0x0017, 0x0018];
const AVAILABLE = GROUPS.filter((group) => group !== X25519MLKEM768 || hybridAvailable);

const NIST_NAMES: Readonly<Record<string, number>> = { 'P-256': 0x0017, 'P-384': 0x0018 };

const named = (codePoints: readonly number[], names: Readonly<Record<number, string>>) =>
  new Map(codePoints.map((codePoint) => [names[codePoint]!, codePoint]));

const suites = named(SUITES, SUITE_NAMES);
const groups = named(GROUPS, GROUP_NAMES);

export const suiteNames: readonly string[] = [...suites.keys()];
export const groupNames: readonly string[] = [...groups.keys()];

export type MinVersion = '1.2' | '1.3';

/**
 * Code points of the names, in their order; of all there are when there is none. Without those of versions that are not
 * spoken; throws UsageError when then none is left.
 */
export function suitesNamed(names: readonly string[], minVersion: MinVersion): readonly number[] {
  const named = names.length === 0 ? SUITES : [...new Set(names.map((name) => suiteOf(name)!))];
  if (minVersion === '1.2') return named;
  const wanted = named.filter((suite) => versionOfSuite(suite) === 'TLSv1.3');
  if (wanted.length > 0) return wanted;
  throw new UsageError([
    `suites (--suite): expected a suite of TLS 1.3, which is the lowest version (--min-version), received ${names.join(', ')}`,
  ]);
}

/** What has to sign in it (Ed25519 counts as ECDSA: RFC 8422 2.2); undefined: TLS 1.3, whose suites do not say. */
export function signerOfSuite(suite: number): 'RSA' | 'ECDSA' | undefined {
  const name = SUITE_NAMES[suite] ?? '';
  return name.includes('_ECDSA_') ? 'ECDSA' : name.includes('_RSA_') ? 'RSA' : undefined;
}

export function groupsNamed(names: readonly string[]): readonly number[] {
  if (names.length === 0) return AVAILABLE;
  const wanted = new Set(names.map((name) => groupOf(name)!));
  if (wanted.has(X25519MLKEM768) && !hybridAvailable) {
    throw new UsageError([
      `groups (--group): expected a group that node ${process.version} has, received X25519MLKEM768; it takes Node 24 or later`,
    ]);
  }
  return [...wanted];
}

const suiteOf = (name: string) => suites.get(name.toUpperCase());
const groupOf = (name: string) =>
  groups.get(name.toLowerCase()) ?? groups.get(name.toUpperCase()) ?? NIST_NAMES[name.toUpperCase()];
