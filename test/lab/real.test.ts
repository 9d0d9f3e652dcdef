/** The real stage, for a few seconds: kernels' TCP, curl and openssl, and a wire with faults that compares. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { whyNoRealStage } from '../../src/lab/namespaces.ts';
import { Random } from '../../src/lab/random.ts';
import { realPlanOf } from '../../src/lab/real-plan.ts';
import { scenario, stale } from '../../src/lab/scenario.ts';
import { scenarios } from '../../src/lab/scenarios/index.ts';
import { ServedFile } from '../../src/lab/served-file.ts';
import { native } from '../../src/native.ts';
import { Command, compile, removeCompiled } from '../cli/support.ts';

// No run depends on it; a crowded machine needs longer.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });
const reason = whyNoRealStage();
const named = (name: string) => scenarios.find((one) => one.name === name)!;

async function lab(...args: string[]) {
  const command = new Command(['lab', 'run', ...args, '--stage', 'real'], {});
  const { status } = await command.finished;
  return { status, out: command.stdout, err: command.stderr };
}

it('takes of a scenario what there is on a real wire, and says what not, and why', () => {
  const { plan, before, deeds, leftOut, mayEnd } = realPlanOf(named('device-failure'), { seed: 1 });
  expect(plan.rules).toEqual([expect.objectContaining({ seam: 'out', fault: 'drop' })]);
  expect(plan.deeds).toBeUndefined();
  expect(before!.rules!.map(({ seam, fault }) => `${fault} (${seam})`)).toEqual([
    'drop (host)',
    'reorder (host)',
  ]);
  expect(deeds).toEqual([
    { action: 'evict', amount: 0, by: 'nic', every: 20, phase: 1 },
    { action: 'reset', amount: 0, by: 'device', every: 1500, phase: 1 },
    { action: 'ring-full', amount: 500, by: 'wire', every: 20, phase: 1 },
    expect.objectContaining({ action: 'die', by: 'device', every: 3000 }),
  ]);
  expect(leftOut).toEqual([]);
  expect(mayEnd).toBe(false);
  expect(realPlanOf(named('changed-file'), { seed: 1 }).mayEnd).toBe(true);
  const nothing = scenario({
    name: 'nothing',
    about: '',
    plan: () => ({ faults: [stale({ percent: 1, bytes: 1 })] }),
  });
  expect(() => realPlanOf(nothing, { seed: 1 })).toThrow(/expects faults .* has only stale/);
});

it('every word of the laboratory is done on the real stage, or has a reason why not', () => {
  const missing: string[] = [];
  const all = scenario({
    name: 'all',
    about: '',
    plan: () => ({
      faults: native.lab.seams.flatMap((seam) =>
        native.lab.faults.map((fault) => ({ seam, fault, perMillion: 1, amount: 1 })),
      ),
      deeds: native.lab.actions.map((action) => ({ action, every: 1000 })),
    }),
  });
  for (const { what, why } of realPlanOf(all, { seed: 1 }).leftOut) {
    expect(why).toMatch(/\w+ \w+/);
    missing.push(what);
  }
  const elsewhere = ['tail-first', 'stray', 'noise', 'stale'].flatMap((fault) => [
    `${fault} (out)`,
    `${fault} (back)`,
  ]);
  expect(missing.sort()).toEqual(
    ['corrupt (host)', 'forged-ack (host)', 'spoofed-rst (host)', 'stale (host)', ...elsewhere].sort(),
  );
});

it('a file that changes knows what each place of it was', () => {
  const folder = mkdtempSync(join(tmpdir(), 'socrypt-lab-file-'));
  try {
    const path = join(folder, 'file');
    const file = new ServedFile(path, new Random(1));
    const before = readFileSync(path);
    expect(file.wrongWith(before, true)).toBe('');
    expect(file.wrongWith(before.subarray(1), false)).toMatch(/at byte \d+ of .* never had there/);
    expect(file.wrongWith(before.subarray(0, 5000), true)).toMatch(/5000 bytes where the file has 3000000/);
    file.rewrite(20);
    const rewritten = readFileSync(path);
    expect(rewritten.equals(before)).toBe(false);
    file.shrink(500);
    expect(readFileSync(path).length).toBe(1_500_000);
    file.grow();
    const grown = readFileSync(path);
    expect(grown.length).toBe(before.length);
    expect(grown.includes('plaintext-canary 1 ')).toBe(true);
    // A transfer that saw some of each.
    const mixed = Buffer.concat([
      rewritten.subarray(0, 100_000),
      before.subarray(100_000, 2_000_000),
      grown.subarray(2_000_000),
    ]);
    expect(file.wrongWith(mixed, true)).toBe('');
    file.begin();
    expect(file.wrongWith(grown, true)).toBe('');
    expect(file.wrongWith(before, true)).not.toBe('');
    file.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

describe.skipIf(reason !== null)(`the real stage${reason === null ? '' : ` (skipped: ${reason})`}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'socrypt-lab-real-'));
  beforeAll(compile);
  afterAll(() => {
    removeCompiled();
    rmSync(folder, { recursive: true });
  });

  it('holds under what a middlebox does; no plaintext is in the capture', async () => {
    const file = join(folder, 'real.pcap');
    const { status, out, err } = await lab('middlebox', '--seed', '1', '--pcap', file);
    expect([status, err]).toEqual([0, '']);
    expect(out).toMatch(
      /^pass {2}middlebox --stage real --seed 1: 4 transfers, 12\.0 MB .* \d+ cut, \d+ joined/,
    );
    expect(out).not.toContain('not of this stage');
    const frames = readFileSync(file);
    expect(frames.length).toBeGreaterThan(3_000_000);
    expect(frames.includes('plaintext-canary')).toBe(false);
  });

  it('holds while devices end and others take their place', async () => {
    const { status, out, err } = await lab('device-failure', '--seed', '1', '--minutes', '0.06', '--json');
    expect([status, err]).toEqual([0, '']);
    const verdict = JSON.parse(out);
    expect(verdict).toMatchObject({ verdict: 'pass', reason: '' });
    expect(verdict.deaths).toBeGreaterThan(0);
    expect(verdict.deeds.evict).toBeGreaterThan(10);
    // What an evicted context had of a record's beginning was made from its payload again.
    expect(verdict.server.nic_tx_tls_resync_bytes_total).toBeGreaterThan(0);
    expect(verdict.counts.bytesAgain).toBeGreaterThan(0);
  });

  it.each([
    // What has to have happened, of the wire's counts and of the deeds.
    ['window', ['renegings'], ['renege', 'zero-window', 'renegingsOfTcp']],
    ['forged', ['forgedAcks', 'spoofedRsts'], []],
    ['path-mtu', ['tooLong'], ['mtu']],
    ['key-update', [], ['key-update']],
    ['changed-file', [], ['rewrite', 'shrink', 'grow']],
    ['tcp-to-device', [], []],
  ] as const)('%s', async (name, counts, deeds) => {
    const { status, out, err } = await lab(name, '--seed', '1', '--minutes', '0.03', '--json');
    const verdict = JSON.parse(out);
    const tooOld = verdict.leftOut.find(({ why }: { why: string }) => why.includes('Linux 6.6'));
    if (name === 'tcp-to-device' && tooOld !== undefined) return console.log(`${name}: ${tooOld.why}`);
    expect([status, err, verdict.reason]).toEqual([0, '', '']);
    for (const one of counts) expect(verdict.counts[one], one).toBeGreaterThan(0);
    for (const one of deeds) expect(verdict.deeds[one], one).toBeGreaterThan(0);
    // Of what is between TCP and the device, when the scenario has it: a few thousand frames see all of it.
    if (name === 'tcp-to-device')
      for (const one of [
        'dropped',
        'duplicated',
        'overtaken',
        'resegmented',
        'coalesced',
        'reversed',
        'strays',
      ])
        expect(verdict.before[one], one).toBeGreaterThan(0);
    else if (Object.keys(verdict.before).length !== 0) expect(verdict.before.frames).toBeGreaterThan(0);
  });

  it('holds while the clock leaps and what ended connections have sent waits', async () => {
    const { status, out, err } = await lab('clock-jump', '--seed', '1', '--minutes', '0.07', '--json');
    const verdict = JSON.parse(out);
    expect([status, err, verdict.reason]).toEqual([0, '', '']);
    expect(verdict.deeds['clock-jump']).toBeGreaterThan(3);
    expect(verdict.deeds['peer-reset']).toBeGreaterThan(0);
    if (verdict.before.frames > 0) expect(verdict.server.nic_tx_tls_drop_removed_total).toBeGreaterThan(0);
  });

  it('takes no options of the other stage', async () => {
    const { status, err } = await lab('middlebox', '--until', '5');
    expect(status).toBe(2);
    expect(err).toContain('--until is about the simulated stage');
  });
});
