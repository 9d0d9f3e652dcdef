/** `socrypt lab`: what it says, what it writes, and that what it has written comes again. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { lab } from '../../src/lab/index.ts';
import { commandLine } from '../support/command-line.ts';

// No run depends on it; a crowded machine needs longer.
vi.setConfig({ testTimeout: 60_000 });
const folder = mkdtempSync(join(tmpdir(), 'socrypt-lab-cli-'));
afterAll(() => rmSync(folder, { recursive: true }));
const inFolder = (name: string) => join(folder, name);

const cli = (...args: string[]) => commandLine('lab', ...args);

/** Lengths of the frames of a pcap file; throws where it is none. */
function framesOf(file: string): number[] {
  const bytes = readFileSync(file);
  if (bytes.readUInt32LE(0) !== 0xa1b23c4d) throw new Error('not a pcap file with nanoseconds');
  const lengths: number[] = [];
  let at = 24;
  for (; at < bytes.length; at += 16 + lengths.at(-1)!) lengths.push(bytes.readUInt32LE(at + 8));
  expect(at).toBe(bytes.length);
  return lengths;
}

describe('socrypt lab', () => {
  it('lists the scenarios and the broken devices', async () => {
    const { status, out, err } = await cli('list');
    expect([status, err]).toEqual([0, '']);
    for (const { name, about } of lab.scenarios)
      expect(out).toMatch(new RegExp(`^ +${name} +${about}$`, 'm'));
    expect(out).toContain('fails-open');
    expect(await cli('--help')).toMatchObject({
      status: 0,
      out: expect.stringContaining('lab run SCENARIO'),
    });
  });

  it('runs a seed, and the same seed the same', async () => {
    const one = await cli('run', 'wire-loss', '--seed', '5');
    expect(one).toMatchObject({
      status: 0,
      err: '',
      out: expect.stringMatching(/^pass {2}wire-loss --seed 5: /),
    });
    expect(await cli('run', 'wire-loss', '--seed', '5')).toEqual(one);
  });

  it('goes on with the next seeds, for packets or for minutes', async () => {
    const { status, out } = await cli('run', 'wire-loss', '--seed', '7', '--packets', '40000');
    expect(status).toBe(0);
    expect(out).toMatch(/^pass {2}wire-loss --seed 7: .*\npass {2}wire-loss --seed 8: /);
    expect(out).toMatch(/^pass {2}2 runs from --seed 7: \d+ packets in /m);
    const started = performance.now();
    const timed = await cli('run', 'wire-loss', '--seed', '7', '--minutes', '0.005');
    expect(timed).toMatchObject({ status: 0, out: expect.stringMatching(/^pass {2}wire-loss --seed 7: /) });
    // A run is not cut short, nor does the last one end before the time is over.
    expect(performance.now() - started).toBeGreaterThan(300);
  });

  it('one object per run, for programs', async () => {
    const { out } = await cli('run', 'forged', '--seed', '2', '--json');
    expect(JSON.parse(out)).toMatchObject({ scenario: 'forged', seed: 2, verdict: 'pass', finding: null });
  });

  it('a failing run says how it comes again, and does', async () => {
    const plan = inFolder('plan.json');
    const pcap = inFolder('failing.pcap');
    const broken = ['--seed', '1', '--device', 'fails-open'];
    const files = ['--save', plan, '--pcap', pcap];
    const { status, out } = await cli('run', 'forged', ...broken, ...files, '--shrink', '0');
    expect(status).toBe(1);
    const reason = /^ +(canary: plaintext is on the wire \(packet (\d+), .*\))$/m.exec(out)!;
    const packet = Number(reason[2]);
    // The frame it is about is the last one, and it is the first with plaintext.
    const frames = framesOf(pcap);
    expect(frames.length).toBe(packet);
    const bytes = readFileSync(pcap);
    expect(bytes.indexOf('plaintext-canary')).toBeGreaterThan(bytes.length - frames.at(-1)!);

    const again = /again: socrypt lab (.*) --pcap forged.pcap$/m.exec(out)![1]!.split(' ');
    const second = await cli(...again, '--pcap', inFolder('again.pcap'));
    expect([second.status, second.out]).toEqual([1, out]);
    expect(readFileSync(inFolder('again.pcap')).equals(bytes)).toBe(true);
    const third = await cli('replay', plan, '--pcap', inFolder('plan.pcap'));
    expect(third).toMatchObject({ status: 1, out: expect.stringContaining(reason[1]!) });
    expect(readFileSync(inFolder('plan.pcap')).equals(bytes)).toBe(true);
    const before = await cli('replay', plan, '--until', String(packet - 1));
    expect(before).toMatchObject({ status: 0, out: expect.stringMatching(/^stopped forged --seed 1: /) });
  });

  it('a failing run is made small, and what is left of it fails in the same way', async () => {
    const file = inFolder('small.json');
    const args = ['run', 'tcp-to-device', '--seed', '1', '--device', 'double-count'];
    const { status, out } = await cli(...args, '--save', file);
    expect(status).toBe(1);
    const small = /smallest: 1 of 7 faults, 1 of 3 connections, (\d+) of (\d+) packets \(nothing smaller/;
    const [, packets, before] = small.exec(out)!;
    expect(Number(packets)).toBeLessThanOrEqual(Number(before));
    const [, plan] = /again: socrypt lab replay '(.*)'$/m.exec(out)!;
    expect(JSON.parse(plan!)).toEqual(JSON.parse(readFileSync(file, 'utf8')));
    const again = await cli('replay', plan!);
    expect(again).toMatchObject({
      status: 1,
      out: expect.stringMatching(new RegExp(`^ +oracle: .*\\(packet ${packets}, `, 'm')),
    });
    expect(again.out).not.toContain('smallest');
    expect(await cli('replay', file)).toEqual(again);
    const json = JSON.parse((await cli(...args, '--json')).out);
    expect(json.shrunk).toMatchObject({ minimal: true, verdict: { plan: JSON.parse(plan!).plan } });
  });

  it.each([
    [['run'], /expects a scenario/],
    [['run', 'wire-los'], /did you mean wire-loss/],
    [['run', 'forged', 'window'], /"window" is one too many/],
    [['run', 'forged', '--seed', 'seven'], /--seed expects a whole number .* but got "seven"/],
    [['run', 'forged', '--seed=-1'], /--seed expects .* not negative/],
    [['run', 'forged', '--shrink', 'much'], /--shrink expects a number/],
    [['replay', '{"scenario":1}'], /or a plan, but this is none: it has no "scenario"/],
    [['run', 'forged', '--minutes', ''], /--minutes expects a number/],
    [['run', 'forged', '--device', 'none-such'], /--device expects one of none, skipped-tag/],
    [['run', 'forged', '--resync', 'never'], /--resync expects one of order-free/],
    [['run', 'forged', '--stage', 'puppet'], /--stage expects simulated or real, but got puppet/],
    [['run', 'forged', '--faults', 'all'], /--faults/],
    [['replay', 'forged'], /expects --seed N, or the file of a plan/],
    [['replay', inFolder('none.json')], /expects a file that --save has written.*ENOENT/],
    [['walk'], /expects list, run or replay, but got "walk"/],
  ])('%j is a wrong usage', async (args, message) => {
    const { status, out, err } = await cli(...args);
    expect([status, out]).toEqual([2, '']);
    expect(err).toMatch(message);
  });

  it('a plan that was changed by hand into one that cannot be says what was expected', async () => {
    const file = inFolder('bad.json');
    writeFileSync(file, JSON.stringify({ scenario: 'forged', plan: { seed: 1, connections: 0 } }));
    const { status, err } = await cli('replay', file);
    expect(status).not.toBe(0);
    expect(err).toMatch(/expected 1 to 1000 connections/);
  });
});
