/** Ticket keys: where they come from, how they rotate, who can open what. */
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readTicketKeyFile } from '../../src/control/tickets/key-file.ts';
import { RotatingSecrets } from '../../src/control/tickets/rotating-secrets.ts';
import { SingleUseTable } from '../../src/control/tickets/single-use.ts';
import { TicketSealer } from '../../src/control/tickets/ticket-sealer.ts';
import { nodeCryptoProvider } from '../support/node-crypto-provider.ts';

const provider = nodeCryptoProvider();
const plaintext = Buffer.from('state');
const HOUR = 3_600_000;

function rotating(clock: { now: number }) {
  return new RotatingSecrets({ randomBytes, now: () => clock.now, period: HOUR });
}

describe('Ticket keys', () => {
  test('are never zero, and fresh in each process: two servers cannot open each other’s tickets', () => {
    const clock = { now: 0 };
    const [one, two] = [rotating(clock), rotating(clock)].map(({ secrets }) => {
      for (const secret of [secrets.current, ...secrets.next])
        expect(secret.every((byte) => byte === 0)).toBe(false);
      return new TicketSealer(provider, secrets);
    });
    const ticket = one!.seal('ticket', plaintext);
    expect(Buffer.from(one!.open('ticket', ticket)!)).toEqual(plaintext);
    expect(two!.open('ticket', ticket)).toBeUndefined();
  });

  test('rotate on schedule: a ticket opens for the period after its own, and no longer', () => {
    const clock = { now: 1000 };
    const keys = rotating(clock);
    const sealer = new TicketSealer(provider, keys.secrets);
    const first = sealer.seal('ticket', plaintext);
    clock.now += HOUR - 1;
    expect(keys.tick()).toBe(false);
    clock.now += 1;
    expect(keys.tick()).toBe(true);
    sealer.replace(keys.secrets);
    const second = sealer.seal('ticket', plaintext);
    expect(second.subarray(0, 16)).not.toEqual(first.subarray(0, 16));
    expect(sealer.open('ticket', first)).toBeDefined();
    clock.now += HOUR;
    expect(keys.tick()).toBe(true);
    sealer.replace(keys.secrets);
    expect(sealer.open('ticket', first)).toBeUndefined();
    expect(sealer.open('ticket', second)).toBeDefined();
    // Ten periods asleep: nothing from before is taken.
    clock.now += 10 * HOUR;
    expect(keys.tick()).toBe(true);
    expect(keys.tick()).toBe(false);
    sealer.replace(keys.secrets);
    expect(sealer.open('ticket', second)).toBeUndefined();
  });

  test('the next key opens before it seals, so that workers may rotate at different moments', () => {
    const clock = { now: 0 };
    const keys = rotating(clock);
    const slow = new TicketSealer(provider, keys.secrets);
    clock.now += HOUR;
    keys.tick();
    const quick = new TicketSealer(provider, keys.secrets);
    expect(slow.open('ticket', quick.seal('ticket', plaintext))).toBeDefined();
    expect(quick.open('ticket', slow.seal('ticket', plaintext))).toBeDefined();
  });

  test('are wiped when they fall out', () => {
    const clock = { now: 0 };
    const keys = rotating(clock);
    const { current } = keys.secrets;
    for (let i = 0; i < 2; i++) {
      expect(current.some((byte) => byte !== 0)).toBe(true);
      clock.now += HOUR;
      keys.tick();
    }
    expect(current.every((byte) => byte === 0)).toBe(true);
  });
});

describe('a ticket key file', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'socrypt-tickets-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  const base64 = () => randomBytes(32).toString('base64');
  const write = (content: string, mode = 0o600) => {
    const path = join(folder, 'keys');
    writeFileSync(path, content);
    chmodSync(path, mode);
    return path;
  };

  test('two processes with the same file open each other’s tickets', () => {
    const [a, b] = [base64(), base64()];
    const one = new TicketSealer(provider, readTicketKeyFile(write(`current ${a}\nnext ${b}\n`)));
    const two = new TicketSealer(
      provider,
      readTicketKeyFile(write(`# the other host\n\nprevious ${a} # old\n current  ${b}`, 0o640)),
    );
    expect(two.open('ticket', one.seal('ticket', plaintext))).toBeDefined();
    expect(one.open('ticket', two.seal('ticket', plaintext))).toBeDefined();
  });

  test.each([
    ['nothing', '', 'one line with the role current'],
    ['two current keys', `current ${base64()}\ncurrent ${base64()}`, 'there are 2'],
    ['a short key', `current ${randomBytes(31).toString('base64')}`, '31 bytes'],
    ['zeros', `current ${Buffer.alloc(32).toString('base64')}`, 'random keys'],
    ['no base64', `current ${'!'.repeat(44)}`, 'base64 in line 1'],
    ['an unknown role', `currant ${base64()}`, 'ROLE KEY'],
    ['the key twice', ((key) => `current ${key}\nnext ${key}`)(base64()), 'keys that differ'],
    ['too many', `current ${base64()}\n${`next ${base64()}\n`.repeat(16)}`, 'at most 16'],
  ])('%s is refused', (_, content, expected) => {
    const path = write(content);
    let thrown: unknown;
    try {
      readTicketKeyFile(path);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: 'ERR_SOCRYPT_TICKET_KEYS' });
    const { message } = thrown as Error;
    expect(message).toContain(expected);
    expect(message).toContain('--ticket-keys');
    for (const word of content.split(/\s+/)) if (word.length > 40) expect(message).not.toContain(word);
  });

  test.each([0o604, 0o602, 0o666])('mode %o is refused', (mode) => {
    const path = write(`current ${base64()}`, mode);
    expect(() => readTicketKeyFile(path)).toThrow(/mode is 0/);
  });
});

describe('single use', () => {
  const table = (clock: { now: number }, tickets = 1000, shared = SingleUseTable.memory(tickets)) =>
    new SingleUseTable(shared, { now: () => clock.now, lifetime: HOUR });

  test('a ticket is taken once, also after its generation has passed', () => {
    const clock = { now: 5 };
    const used = table(clock);
    const ticket = randomBytes(100);
    clock.now += HOUR - 1;
    expect(used.claim(ticket)).toBe(true);
    expect(used.claim(ticket)).toBe(false);
    clock.now += HOUR - 1;
    expect(used.claim(ticket)).toBe(false);
    expect(used.claim(randomBytes(100))).toBe(true);
  });

  test('a full table takes none, and has room again when its tickets have expired', () => {
    const clock = { now: 0 };
    const used = table(clock, 16);
    let taken = 0;
    for (let i = 0; i < 1000; i++) if (used.claim(randomBytes(60))) taken++;
    expect(taken).toBeLessThanOrEqual(32);
    expect(taken).toBeGreaterThanOrEqual(16);
    expect(used.claim(randomBytes(60))).toBe(false);
    clock.now += HOUR;
    expect(used.claim(randomBytes(60))).toBe(true);
  });

  test('those who share its memory share what was used', () => {
    const clock = { now: 0 };
    const shared = SingleUseTable.memory(4096);
    const [one, two] = [table(clock, 0, shared), table(clock, 0, shared)];
    const tickets = Array.from({ length: 200 }, () => randomBytes(64));
    for (const [i, ticket] of tickets.entries()) expect((i % 2 === 0 ? one : two).claim(ticket)).toBe(true);
    for (const ticket of tickets) expect([one.claim(ticket), two.claim(ticket)]).toEqual([false, false]);
  });
});
