/** `socrypt ocf`, in this process. */
import { describe, expect, it } from 'vitest';
import { commandLine } from '../support/command-line.ts';

const cli = (...args: string[]) => commandLine('ocf', ...args);

describe('socrypt ocf list', () => {
  it('names drivers, what each of their algorithms costs, and from where on an accelerator wins', async () => {
    const { status, out, err } = await cli('list', '--driver', 'thread');
    expect({ status, err }).toEqual({ status: 0, err: '' });
    expect(out).toMatch(/: software, at once/);
    expect(out).toMatch(/^ {2}aes-128-gcm +\S+ (ns|us) per burst \+ \S+ ns per op \+ 0\.\d{3} ns per byte$/m);
    expect(out).toMatch(/^thread \(.*\): accelerator, asynchronous, queue of \d+/m);
    expect(out).toMatch(/^ {2}aes-128-cbc \+ hmac-sha1 /m);
    expect(out).toMatch(/^key: accelerator.*\n {2}rsa .* per op, \d+ at a time$/m);
    expect(out).toMatch(/^thread .* beats .* at aes-128-gcm in bursts of 32: (never|from [\d,]+ bytes on)$/m);
  });

  it('is there for programs', async () => {
    const { drivers, crossovers } = JSON.parse((await cli('list', '--driver', 'thread', '--json')).out);
    expect(drivers.length).toBeGreaterThanOrEqual(4);
    for (const { offers } of drivers)
      for (const { cost } of offers) expect(cost.opNs + cost.batchNs).toBeGreaterThan(0);
    expect(crossovers).toContainEqual(
      expect.objectContaining({ algorithm: 'aes-128-gcm', burst: 1, software: expect.any(String) }),
    );
  });
});

describe('socrypt ocf bench', () => {
  it('measures sizes and key operations', async () => {
    const { status, out } = await cli('bench', '--ms', '2', '--sizes', '64,4096', '--driver', 'soft');
    expect(status).toBe(0);
    expect(out).toMatch(/^driver +algorithm +bytes +ops\/s +MB\/s\n/);
    expect(out).toMatch(/^soft +aes-128-gcm +4,096 +[\d,]+ +[\d,]+$/m);
    expect(out).toMatch(/^soft +aes-128-cbc \+ hmac-sha1 +64 /m);
    const of = ['--driver', 'thread', '--driver', 'key', '--algorithm', 'ed25519', '--json'];
    const rows = await cli('bench', '--ms', '2', ...of);
    expect(rows).toMatchObject({ status: 1, err: expect.stringContaining('[ERR_SOCRYPT_OCF_NO_DRIVER]') });
    const [row] = JSON.parse((await cli('bench', '--ms', '2', ...of.slice(2))).out);
    expect(row).toMatchObject({ driver: 'key', algorithm: 'ed25519', bytes: null, megabytesPerSecond: null });
    expect(row.opsPerSecond).toBeGreaterThan(0);
  });

  it('says what it did not understand', async () => {
    for (const [args, status, said] of [
      [[], 2, 'expects list, bench, attach or withdraw'],
      [['lst'], 2, 'got "lst"'],
      [['list', '--diver', 'soft'], 2, "'--diver'"],
      [['bench', '--sizes', '64,x'], 2, '--sizes expects a whole number from 1 to 16777216, but got "x"'],
      [['bench', '--burst', '0'], 2, '--burst expects a whole number from 1 to 256, but got "0"'],
      [['bench', '--algorithm', 'rot13'], 2, '--algorithm expects one of aes-128-gcm, '],
      [['bench', '--driver', 'nonesuch'], 1, 'received nonesuch [ERR_SOCRYPT_OCF_DRIVER]'],
      [['list', '--driver', 'nonesuch'], 1, 'received nonesuch [ERR_SOCRYPT_OCF_DRIVER]'],
    ] as const)
      expect(await cli(...args)).toMatchObject({ status, out: '', err: expect.stringContaining(said) });
    expect(await cli('--help')).toMatchObject({
      status: 0,
      out: expect.stringContaining('socrypt ocf bench'),
    });
  });
});
