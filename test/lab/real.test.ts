/** The real stage, for a few seconds: kernels' TCP, curl and openssl, and a wire with faults that compares. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { whyNoRealStage } from '../../src/lab/namespaces.ts';
import { realPlanOf } from '../../src/lab/real.ts';
import { scenarios } from '../../src/lab/scenarios/index.ts';
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

it('takes of a scenario what there is on a real wire, and says what not', () => {
  const { plan, deaths, leftOut } = realPlanOf(named('device-failure'), { seed: 1 });
  expect(plan.rules).toEqual([expect.objectContaining({ seam: 'out', fault: 'drop' })]);
  expect(plan.deeds).toBeUndefined();
  expect(deaths).toBe(1500);
  expect(leftOut).toEqual(['drop (host)', 'reorder (host)', 'evict', 'ring-full']);
  expect(() => realPlanOf(named('tcp-to-device'), { seed: 1 })).toThrow(
    /faults on the wire.*has only drop \(host\)/,
  );
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
      /^pass {2}middlebox --stage real --seed 1: 4 transfers, 12\.0 MB .* \d+ corrupted, \d+ cut/,
    );
    expect(out).toContain('not of this stage: coalesce (out)');
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
    expect(verdict.counts.bytesAgain).toBeGreaterThan(0);
  });

  it('takes no options of the other stage', async () => {
    const { status, err } = await lab('middlebox', '--until', '5');
    expect(status).toBe(2);
    expect(err).toContain('--until is about the simulated stage');
  });
});
