/** Kinds of text that several options take, and the units that their bounds are written in. */
import type { TextKind } from '../option.ts';

export const FILE: TextKind = { placeholder: 'FILE', expected: 'a path', example: './server.pem' };
/** In a list with a place for each certificate: this one has none. */
export const NO_FILE = '-';
/** One of the names; case does not matter. */
export const anyOf = (names: readonly string[]) => new RegExp(`^(?:${names.join('|')})$`, 'i');

export const HOST: TextKind = {
  placeholder: 'HOST',
  expected: "a host name or IP address, without port ('0.0.0.0' and '::' are all of this machine's)",
  example: '0.0.0.0',
  pattern: /^(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?|[0-9A-Fa-f:.]+(?:%[\w.-]+)?)$/,
};

export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;
export const KI = 1024;
export const MI = KI * KI;
export const GI = KI * MI;
