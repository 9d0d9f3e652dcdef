import { describe, expect, it } from 'vitest';
import { diagnose, doctorText } from '../../src/cli/doctor.ts';
import { VERSION } from '../../src/serve/version.ts';
import { commandLine } from '../support/command-line.ts';

const cli = commandLine;

describe('the command line', () => {
  it('prints its version and help', async () => {
    for (const args of [['--version'], ['-V'], ['version']])
      expect(await cli(...args)).toEqual({ status: 0, out: `${VERSION}\n`, err: '' });
    expect(VERSION).toMatch(/^\d+\.\d+\.\d+/);
    for (const args of [['--help'], ['-h'], ['help']]) {
      expect(await cli(...args)).toMatchObject({
        status: 0,
        out: expect.stringContaining('socrypt serve [ROOT]'),
        err: '',
      });
    }
    for (const args of [
      ['serve', '--help'],
      ['serve', '.', '-h'],
      ['help', 'serve'],
    ]) {
      expect(await cli(...args)).toMatchObject({
        status: 0,
        out: expect.stringContaining('--metrics-port PORT'),
        err: '',
      });
    }
  });

  it('exits with 2 for what it does not understand', async () => {
    expect(await cli()).toMatchObject({ status: 2, out: '', err: expect.stringContaining('Usage') });
    expect(await cli('sevre')).toMatchObject({
      status: 2,
      err: expect.stringContaining('did you mean `socrypt serve`?'),
    });
    expect(await cli('./public')).toMatchObject({
      status: 2,
      err: expect.stringContaining('`socrypt serve ./public`'),
    });
    expect(await cli('doctor', '--xml')).toMatchObject({
      status: 2,
      err: expect.stringMatching(/expects --json.*--xml/),
    });
    const two = await cli('serve', '--port', 'x', '--nope');
    expect(two).toMatchObject({ status: 2, out: '' });
    expect(two.err.trimEnd().split('\n')).toHaveLength(2);
  });

  it('exits with 1 and one message for what stands in the way', async () => {
    const missing = await cli(
      'serve',
      '/nonexistent/root',
      '--port',
      '0',
      '--log-level',
      'silent',
      '--cert',
      '/none',
      '--key',
      '/none',
    );
    expect(missing).toMatchObject({ status: 1, out: '' });
    expect(missing.err).toMatch(/^socrypt: .*\/none.*\[ERR_SOCRYPT_FILE_UNREADABLE\]\n$/);
  });
});

describe('doctor', () => {
  it('tries everything and explains every no', async () => {
    const { status, out } = await cli('doctor', '--json');
    expect(status).toBe(0);
    const diagnosis = JSON.parse(out) as ReturnType<typeof diagnose>;
    expect(diagnosis.checks.map(({ name }) => name)).toEqual([
      'openat2',
      'open files',
      'VAES',
      'accelerator',
      'io_uring',
      'kernel TLS',
      'AF_XDP',
      'DPDK',
      'inline NIC',
    ]);
    for (const { name, ok, detail } of diagnosis.checks) {
      expect(detail.length, name).toBeGreaterThan(10);
      if (!ok)
        expect(detail, `${name}: what to do`).toMatch(
          /needed|install|load|run as|raise|ulimit|takes|update|grant|set /,
        );
    }
    expect(diagnosis.checks[0]).toMatchObject({ name: 'openat2', ok: true, needed: true });
    expect(diagnosis.crypto.seal).toHaveLength(3);
    for (const { gigabytesPerSecond } of diagnosis.crypto.seal) expect(gigabytesPerSecond).toBeGreaterThan(0);
  });

  it('fails when something needed is missing', () => {
    const no = { ok: false, detail: 'ENOSYS: this kernel has none' };
    const probe = {
      ioUring: () => no,
      afXdp: () => no,
      kernelTls: () => no,
      dpdk: () => no,
      openat2: () => no,
    };
    const crypto = {
      measureSeal: (_: number, bytes: number, n: number) => (bytes * n) / 2,
      softDriverName: () => 'libcrypto 3',
      libcryptoVersion: () => '3',
    };
    const diagnosis = diagnose({ probe, crypto: crypto as never });
    expect(diagnosis.checks.filter(({ ok, needed }) => needed && !ok)).toHaveLength(1);
    expect(diagnosis.crypto.seal.map(({ gigabytesPerSecond }) => gigabytesPerSecond)).toEqual([2, 2, 2]);
    expect(doctorText(diagnosis)).toMatch(/^openat2 +no {3}ENOSYS: this kernel has none$/m);
  });
});
