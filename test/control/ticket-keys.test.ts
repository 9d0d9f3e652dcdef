/** Where ticket keys come from while a server runs: files that change, functions that fail. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type TicketKeyCallback,
  type TicketKeyOptions,
  TicketKeys,
} from '../../src/control/tickets/ticket-keys.ts';
import type { TicketSecrets } from '../../src/control/tickets/ticket-sealer.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'socrypt-ticket-keys-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const secrets = (current: Uint8Array = randomBytes(32)): TicketSecrets => ({
  current,
  next: [],
  previous: [],
});
const MINUTE = 60_000;

/** What came of it, in order: keys as hexadecimal, failures by code. */
async function keysFrom(source: TicketKeyOptions['source'], more: Partial<TicketKeyOptions> = {}) {
  const clock = { now: 0 };
  const came: string[] = [];
  const keys = await TicketKeys.open({
    randomBytes,
    now: () => clock.now,
    lifetime: 3600,
    source,
    changed: ({ current }) => void came.push(hex(current)),
    failed: (error) => void came.push(String((error as { code?: unknown }).code)),
    ...more,
  });
  return { keys, clock, came };
}
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
/** All that is ready to happen. */
const settled = () => new Promise((done) => setTimeout(done, 20));

describe('a function', () => {
  test('is asked again after a minute; what it gives is copied, and wiped when it is replaced', async () => {
    let given = secrets();
    const { keys, clock, came } = await keysFrom({ callback: () => given });
    const first = keys.secrets.current;
    expect(hex(first)).toBe(hex(given.current));
    given.current.fill(7);
    expect(hex(first)).not.toBe(hex(given.current));
    given = secrets();
    clock.now = MINUTE - 1;
    keys.tick();
    await settled();
    expect(came).toEqual([]);
    clock.now = MINUTE;
    keys.tick();
    await settled();
    expect(came).toEqual([hex(given.current)]);
    expect(hex(first)).toBe('00'.repeat(32));
    // The same ones again are no change.
    clock.now += MINUTE;
    keys.tick();
    await settled();
    expect(came).toHaveLength(1);
    expect(hex(keys.secrets.current)).toBe(hex(given.current));
  });

  const bad: [string, TicketKeyCallback, RegExp][] = [
    [
      'throws',
      () => {
        throw new Error('no key store');
      },
      /failed: no key store/,
    ],
    ['rejects', () => Promise.reject(new Error('no key store')), /failed: no key store/],
    ['rejects with nothing', () => Promise.reject(undefined), /without an Error/],
    ['gives a short key', () => secrets(randomBytes(31)), /31 bytes/],
    ['gives zeros', () => secrets(Buffer.alloc(32)), /random keys/],
    ['gives nothing', () => undefined as never, /something else came/],
    ['gives a key alone', () => randomBytes(32) as never, /something else came/],
    ['never answers', () => new Promise(() => {}), /did not answer within 30 ms/],
  ];
  test.each(bad)('that %s is an error at the start', async (_, callback, message) => {
    const opened = keysFrom({ callback }, { answerWithin: 30 });
    await expect(opened).rejects.toThrow(message);
    await expect(opened).rejects.toThrow(/^ticketKeyCallback: expected/);
    await expect(opened).rejects.toMatchObject({ code: 'ERR_SOCRYPT_TICKET_KEYS' });
  });

  test.each(bad)('that %s later changes nothing, is said once, and is asked again', async (_, broken) => {
    const good = secrets();
    let callback: TicketKeyCallback = () => good;
    const { keys, clock, came } = await keysFrom({ callback: () => callback() }, { answerWithin: 30 });
    callback = broken;
    clock.now += MINUTE;
    keys.tick();
    keys.tick();
    await expect.poll(() => came).toEqual(['ERR_SOCRYPT_TICKET_KEYS']);
    expect(hex(keys.secrets.current)).toBe(hex(good.current));
    const better = secrets();
    callback = () => better;
    clock.now += MINUTE;
    keys.tick();
    await expect.poll(() => came.at(-1)).toBe(hex(better.current));
  });

  test('that answers late does not undo what came after it', async () => {
    const answers: ((given: TicketSecrets) => void)[] = [];
    let wait = false;
    const start = secrets();
    const { keys, came } = await keysFrom({
      callback: () => (wait ? new Promise((done) => answers.push(done)) : start),
    });
    wait = true;
    const [older, newer] = [keys.prepare(), keys.prepare()];
    const [old, last] = [secrets(), secrets()];
    answers[1]!(last);
    (await newer)();
    answers[0]!(old);
    (await older)();
    expect(came).toEqual([hex(last.current)]);
  });
});

describe('a file', () => {
  const write = (content: string) => {
    writeFileSync(join(folder, 'keys'), content, { mode: 0o600 });
    return join(folder, 'keys');
  };
  const line = (key: Uint8Array) => `current ${Buffer.from(key).toString('base64')}\n`;

  test('that changes is read at the next tick; a bad one is said to be so once', async () => {
    const [a, b, c] = [randomBytes(32), randomBytes(32), randomBytes(32)];
    const { keys, came } = await keysFrom({ file: write(line(a)) });
    keys.tick();
    await settled();
    expect(came).toEqual([]);
    write(`${line(b)}# other\n`);
    keys.tick();
    await settled();
    expect(came).toEqual([hex(b)]);
    write('current nothing');
    for (let i = 0; i < 3; i++) {
      keys.tick();
      await settled();
    }
    expect(came).toEqual([hex(b), 'ERR_SOCRYPT_TICKET_KEYS']);
    expect(hex(keys.secrets.current)).toBe(hex(b));
    write(line(c));
    keys.tick();
    await settled();
    expect(came.at(-1)).toBe(hex(c));
  });

  test('is read by prepare(), and in use only when that is put into use', async () => {
    const [a, b] = [randomBytes(32), randomBytes(32)];
    const { keys, came } = await keysFrom({ file: write(line(a)) });
    write(line(b));
    const take = await keys.prepare();
    expect([came, hex(keys.secrets.current)]).toEqual([[], hex(a)]);
    take();
    expect([came, hex(keys.secrets.current)]).toEqual([[hex(b)], hex(b)]);
    write('');
    await expect(keys.prepare()).rejects.toMatchObject({ code: 'ERR_SOCRYPT_TICKET_KEYS' });
    expect(hex(keys.secrets.current)).toBe(hex(b));
  });
});
