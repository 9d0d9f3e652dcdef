/**
 * Ticket keys in a file, for several processes and hosts that resume each other's sessions. One key per line, 32 bytes
 * in base64, after its role; `#` begins a comment:
 *
 *     next     Gg5…=
 *     current  2aQ…=
 *     previous 0lv…=
 *
 * Exactly one `current`, which seals. The others only open. To rotate without a lost session: a new `next` everywhere
 * first; then, everywhere, next becomes current and current becomes previous.
 */
import { statSync } from 'node:fs';
import { SocryptError } from '../../errors.ts';
import { SEALING_KEY_LENGTH } from '../../tls/session/index.ts';
import { readBounded } from '../files.ts';
import type { TicketSecrets } from './ticket-sealer.ts';

const MAX_KEYS = 16;
const ROLES = ['current', 'next', 'previous'] as const;
type Role = (typeof ROLES)[number];
const READ_OR_WRITTEN_BY_OTHERS = 0o006;

/** Throws ERR_SOCRYPT_TICKET_KEYS, ERR_SOCRYPT_FILE_UNREADABLE and _FILE_TOO_LARGE. */
export function readTicketKeyFile(path: string): TicketSecrets {
  const name = `ticket key file ${path} (option --ticket-keys)`;
  const bytes = readBounded(path, name);
  try {
    const { mode } = statSync(path);
    if ((mode & READ_OR_WRITTEN_BY_OTHERS) !== 0) {
      const octal = (mode & 0o777).toString(8).padStart(4, '0');
      throw invalid(
        name,
        `a file that others can neither read nor write, but its mode is ${octal}`,
        `chmod 600, and make new keys`,
      );
    }
    return parse(bytes, name);
  } finally {
    bytes.fill(0);
  }
}

/** Checks keys that a program gives. Throws ERR_SOCRYPT_TICKET_KEYS. */
export function checkTicketSecrets(secrets: TicketSecrets, name: string): TicketSecrets {
  const { current, next, previous } = (secrets ?? {}) as Partial<TicketSecrets>;
  if (current === undefined || !Array.isArray(next) || !Array.isArray(previous)) {
    throw invalid(name, '{ current, next: [], previous: [] }, but something else came', MAKE_ONE);
  }
  const all = [secrets.current, ...secrets.next, ...secrets.previous];
  if (all.length > MAX_KEYS) {
    throw invalid(name, `at most ${MAX_KEYS} keys, but there are ${all.length}`, 'leave out the oldest');
  }
  for (const [i, secret] of all.entries()) {
    if (!(secret instanceof Uint8Array) || secret.length !== SEALING_KEY_LENGTH) {
      const came = secret instanceof Uint8Array ? `${secret.length} bytes` : typeof secret;
      throw invalid(name, `keys of ${SEALING_KEY_LENGTH} bytes, but one is ${came}`, MAKE_ONE);
    }
    // A constant is what an uninitialised or mistyped key looks like (CVE-2020-13777).
    if (new Set(secret).size < 8) {
      throw invalid(name, 'random keys, but one repeats a few bytes over and over', MAKE_ONE);
    }
    if (all.some((other, j) => j < i && Buffer.from(other).equals(secret))) {
      throw invalid(name, 'keys that differ, but one is there twice', MAKE_ONE);
    }
  }
  return secrets;
}

const MAKE_ONE = 'make one with `openssl rand -base64 32`';

function parse(bytes: Uint8Array, name: string): TicketSecrets {
  const keys: Record<Role, Uint8Array[]> = { current: [], next: [], previous: [] };
  const lines = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1').split('\n');
  for (const [i, line] of lines.entries()) {
    const [role, encoded, ...more] = line.replace(/#.*/, '').trim().split(/\s+/);
    if (role === undefined || role === '') continue;
    if (!isRole(role) || encoded === undefined || more.length > 0) {
      throw invalid(
        name,
        `'ROLE KEY' in line ${i + 1}, where ROLE is one of ${ROLES.join(', ')}, but something else is there`,
        'see docs/serve.md, Ticket keys',
      );
    }
    const secret = Buffer.from(encoded, 'base64');
    if (secret.toString('base64').replace(/=+$/, '') !== encoded.replace(/=+$/, '')) {
      throw invalid(name, `base64 in line ${i + 1}, but something else is there`, MAKE_ONE);
    }
    keys[role].push(Uint8Array.from(secret));
    secret.fill(0);
  }
  const [current, ...others] = keys.current;
  if (current === undefined || others.length > 0) {
    throw invalid(
      name,
      `one line with the role current, but there are ${keys.current.length}`,
      `make a key with \`openssl rand -base64 32\`; tickets are sealed with the current one`,
    );
  }
  return checkTicketSecrets({ current, next: keys.next, previous: keys.previous }, name);
}

function isRole(text: string): text is Role {
  return (ROLES as readonly string[]).includes(text);
}

function invalid(name: string, expected: string, remedy: string): SocryptError {
  return new SocryptError('ERR_SOCRYPT_TICKET_KEYS', `${name}: expected ${expected}; ${remedy}.`);
}
