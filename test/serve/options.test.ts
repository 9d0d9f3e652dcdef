import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { UsageError } from '../../src/serve/errors.ts';
import { serveHelp } from '../../src/serve/option-help.ts';
import { settingsFromCommandLine, settingsFromProgram } from '../../src/serve/option-sources.ts';
import {
  defaultOf,
  flagOf,
  optionKeys,
  optionOf,
  type ServeSettings,
  variableOf,
} from '../../src/serve/options.ts';
import { nearest } from '../../src/serve/suggest.ts';
import { formatDuration, formatSize, parseDuration, parseSize } from '../../src/serve/units.ts';

const directory = mkdtempSync(join(tmpdir(), 'socrypt-options-'));
afterAll(() => rmSync(directory, { recursive: true }));
let files = 0;
function config(content: string): string {
  const path = join(directory, `config-${files++}.json`);
  writeFileSync(path, content);
  return path;
}
const cli = (args: string[], env: NodeJS.ProcessEnv = {}) => settingsFromCommandLine(args, env).settings;
function problemsOf(run: () => unknown): readonly string[] {
  try {
    run();
  } catch (error) {
    if (error instanceof UsageError) return error.problems;
    throw error;
  }
  return [];
}

describe('units', () => {
  it('reads durations and sizes', () => {
    expect(['10s', '500ms', '250', '1.5m', '2h', '0'].map(parseDuration)).toEqual([
      10_000, 500, 250, 90_000, 7_200_000, 0,
    ]);
    expect(['64k', '16MiB', '4096', '1.5KB', '1g'].map(parseSize)).toEqual([
      65_536, 16_777_216, 4096, 1536, 1_073_741_824,
    ]);
    for (const bad of [
      '',
      's',
      '-1s',
      '1x',
      '1e3',
      '0.3ms',
      '1 0',
      'constructor',
      '1constructor',
      '9'.repeat(30),
    ]) {
      expect(parseDuration(bad), bad).toBeNull();
      expect(parseSize(bad), bad).toBeNull();
    }
  });
  it('writes what it reads', () => {
    for (const ms of [0, 1, 999, 1000, 1500, 60_000, 90_000, 3_600_000])
      expect(parseDuration(formatDuration(ms))).toBe(ms);
    for (const bytes of [0, 1, 1023, 1024, 1536, 65_536, 67_108_864])
      expect(parseSize(formatSize(bytes))).toBe(bytes);
  });
});

describe('the option table', () => {
  it('has defaults that its own readers accept, and distinct flags', () => {
    const flags = optionKeys.map(flagOf);
    expect(new Set(flags).size).toBe(flags.length);
    for (const key of optionKeys) {
      const value = defaultOf(key);
      expect(optionOf(key).read(value), key).toEqual(value);
    }
  });
  it('has examples that its readers accept', () => {
    for (const key of optionKeys) {
      const option = optionOf(key);
      const example = option.example.replaceAll(/^'|'$/g, '');
      const given = option.isSwitch ? [`--${flagOf(key)}`] : [`--${flagOf(key)}=${example}`];
      const pair = ['--cert', 'c', '--key', 'k'];
      const needs: Partial<Record<typeof key, string[]>> = {
        cert: ['--key', 'k'],
        key: ['--cert', 'c'],
        ocsp: pair,
        sct: pair,
        clientAuth: ['--client-ca', 'ca'],
        offloadCheck: ['--offload=accelerator:thread'],
      };
      const nic = [
        '--offload=nic',
        ...(key === 'wire' || key === 'nic' ? [] : ['--wire=w']),
        ...(key === 'address' || key === 'nic' ? [] : ['--address=10.0.0.1/8']),
      ];
      const paired = needs[key] ?? (option.group === 'nic' ? nic : []);
      expect(
        problemsOf(() =>
          cli([...given, ...paired, ...(key === 'maxHeaderBytes' ? [] : ['--max-header-bytes', '1MiB'])]),
        ),
        key,
      ).toEqual([]);
    }
  });
  it('is all in the help', () => {
    const help = serveHelp();
    for (const key of optionKeys)
      if (key !== 'root') expect(help).toMatch(new RegExp(`--(no-)?${flagOf(key)}[ \\n]`));
    expect(
      Math.max(
        ...serveHelp(80)
          .split('\n')
          .map((line) => line.length),
      ),
    ).toBeLessThanOrEqual(80);
  });
});

describe('sources', () => {
  it('lets a flag count before the environment, that before the file, that before the default', () => {
    const file = config('{"port": 1000, "workers": 2, "limits": {"maxConnections": 5}, "logLevel": "warn"}');
    const settings = cli(['site', '--port', '3000', '--config', file], {
      SOCRYPT_PORT: '2000',
      SOCRYPT_WORKERS: '3',
      HOME: '/',
    });
    expect(settings).toMatchObject({
      root: 'site',
      port: 3000,
      workers: 3,
      maxConnections: 5,
      logLevel: 'warn',
      host: '127.0.0.1',
    });
  });
  it('takes the config file from the environment, and paths in it from its own place', () => {
    const file = config('{"root": "site", "cert": "a.pem", "key": ["/k.pem"], "accessLog": "-"}');
    expect(cli([], { SOCRYPT_CONFIG: file })).toMatchObject({
      root: join(directory, 'site'),
      cert: [join(directory, 'a.pem')],
      key: ['/k.pem'],
      accessLog: '-',
    });
  });
  it('reads every form of flag', () => {
    const settings = cli([
      '-p',
      '0',
      '--listing',
      '--no-nosniff',
      '--clean-urls=yes',
      '--cert',
      'a.pem',
      '--key=a.key',
      '--cert=b.pem',
      '--key',
      'b.key',
      '--header',
      'X-A: 1: 2',
      '--header=X-B:',
      '--error-page',
      '404=e/404.html',
      '--mime-type',
      'wasm=application/wasm',
      '--cors',
      'https://a.example',
      '--keep-alive-timeout',
      '2m',
      '--cache-bytes',
      '1GiB',
      '--access-log',
      '-',
      '--precompressed',
      'none',
      '--charset',
      'off',
      '--metrics-port',
      '9000',
      '--',
      '-odd-directory',
    ]);
    expect(settings).toMatchObject({
      root: '-odd-directory',
      port: 0,
      listing: true,
      nosniff: false,
      cleanUrls: true,
      cert: ['a.pem', 'b.pem'],
      key: ['a.key', 'b.key'],
      headers: [
        { match: '**', name: 'X-A', value: '1: 2' },
        { match: '**', name: 'X-B', value: '' },
      ],
      errorPages: { 404: 'e/404.html' },
      mimeTypes: { wasm: 'application/wasm' },
      cors: ['https://a.example'],
      keepAliveTimeout: 120_000,
      cacheBytes: 1_073_741_824,
      accessLog: '-',
      precompressed: [],
      charset: null,
      metricsPort: 9000,
    });
  });
  it('reads lists and switches of the environment', () => {
    const env = {
      SOCRYPT_CERT: 'a.pem, b.pem',
      SOCRYPT_KEY: 'a,b',
      SOCRYPT_LISTING: 'on',
      SOCRYPT_SPA: '',
      SOCRYPT_INDEX: 'none',
    };
    expect(cli([], env)).toMatchObject({
      cert: ['a.pem', 'b.pem'],
      key: ['a', 'b'],
      listing: true,
      spa: null,
      index: [],
    });
  });
  it('takes the same from a program', () => {
    const given: ServeSettings = {
      root: '.',
      cert: 'a',
      key: 'b',
      handshakeTimeout: '5s',
      cacheControl: [{ match: '*.js', value: 'no-store' }],
    };
    expect(settingsFromProgram(given)).toMatchObject({ cert: ['a'], handshakeTimeout: 5000, port: 8443 });
    expect(settingsFromProgram({ port: undefined })).toMatchObject({ port: 8443 });
  });
});

describe('bad options', () => {
  const cases: [string, string[], RegExp][] = [
    [
      'an unknown option',
      ['--prot', '1'],
      /^--prot is not an option of `socrypt serve`; did you mean --port\?$/,
    ],
    ['a far option', ['--xyzzy'], /^--xyzzy is not an option.*--help/],
    ['a negated unknown option', ['--no-listign'], /did you mean --no-listing/],
    [
      'a word for a number',
      ['--port', 'abc'],
      /^--port expects a port number from 0 to 65535, but got "abc"; for example --port 8443\.$/,
    ],
    ['a number out of range', ['--port=65536'], /but got "65536"/],
    [
      'a negative number',
      ['--workers', '-1'],
      /^--workers expects a whole number from 1 to 256, but got "-1"/,
    ],
    ['a fraction', ['--workers', '1.5'], /but got "1\.5"/],
    ['a missing value', ['--port'], /^--port expects a port number.*got no value/],
    ['a flag in place of a value', ['--cert', '--key', 'k'], /^--cert expects a path, but got no value/],
    [
      'an option of the NIC without it',
      ['--resync', 'next-record'],
      /^resync \(--resync\) is about the inline NIC, but offload is auto/,
    ],
    [
      'the NIC without a wire',
      ['--offload', 'nic', '--address', '10.0.0.1/8'],
      /^offload nic expects the interface/,
    ],
    ['the NIC without an address', ['--offload', 'nic', '--wire', 'w0'], /^offload nic expects an address/],
    [
      'a bad choice',
      ['--offload', 'gpu'],
      /^--offload expects auto, software, nic, or accelerator, .*, but got "gpu"/,
    ],
    [
      'a driver that would send plaintext',
      ['--offload', 'accelerator:null'],
      /^offload \(--offload accelerator:null\): the driver null cannot serve: .* plaintext\.$/,
    ],
    [
      'looking at the answers of nobody',
      ['--offload-check', '1'],
      /^offloadCheck \(--offload-check\) is about accelerators, but offload is auto/,
    ],
    ['a bad unit', ['--header-timeout', '5 parsecs'], /'10s', '500ms'/],
    [
      'a bad boolean',
      ['--listing=perhaps'],
      /^--listing expects true or false, but got "perhaps"; --listing or --no-listing/,
    ],
    ['a negated value option', ['--no-port'], /^--no-port does not exist/],
    ['the same option twice', ['--port', '1', '--port', '2'], /only once, but came 2 times \("1", "2"\)/],
    ['two directories', ['a', 'b'], /expects one directory, but got 2/],
    ['a directory twice', ['a', '--root', 'b'], /given twice/],
    ['a certificate without key', ['--cert', 'a'], /certificates is 1, that of keys 0/],
    ['a NUL in a path', ['a\0b'], /^ROOT expects a path/],
    [
      'one port for two',
      ['--port', '9', '--metrics-port', '9'],
      /metricsPort and port are both 9 on 127\.0\.0\.1/,
    ],
    ['an inner limit over the outer', ['--max-target-bytes', '32k'], /maxTargetBytes \(32768\)/],
    ['a header with no colon', ['--header', 'X-A'], /^--header expects 'NAME: VALUE'/],
  ];
  it.each(cases)('%s', (_, args, message) => {
    const problems = problemsOf(() => cli(args));
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(message);
  });
  it('takes the variables of other parts, and refuses a driver that there is not', () => {
    expect(cli([], { SOCRYPT_SOFT_DRIVER: 'libcrypto', SOCRYPT_ADDON: '/x' })).toEqual(cli([]));
    expect(problemsOf(() => cli([], { SOCRYPT_SOFT_DRIVER: 'fast' }))).toEqual([
      'SOCRYPT_SOFT_DRIVER expects one of ipsec-mb, libcrypto, but got "fast"; leave it out for the fastest.',
    ]);
  });
  it('reports every problem at once, whatever its source', () => {
    const file = config('{"prot": 1, "workers": "many"}');
    const problems = problemsOf(() =>
      cli(['--port', 'x', '--lsting', '-c', file], { SOCRYPT_HOTS: 'h', SOCRYPT_OFFLOAD: 'x' }),
    );
    expect(problems).toHaveLength(6);
    expect(problems.join('\n')).toMatch(/SOCRYPT_HOTS belongs to no option; did you mean SOCRYPT_HOST\?/);
  });
  it('says where in the config file', () => {
    const where = (content: string) =>
      problemsOf(() => cli(['-c', config(content)]))
        .join('\n')
        .replaceAll(/\S*config-\d+/g, 'c');
    expect(where('{\n  "port": "abc"\n}')).toMatch(
      /^c\.json:2:3: port expects a port number.*but got "abc"; for example "port": 8443\.$/,
    );
    expect(where('{\n  "limits": {\n    "maxConections": 5 }\n}')).toMatch(
      /^c\.json:3:5: limits\.maxConections is not an option; did you mean "maxConnections"\?$/,
    );
    expect(where('{\n  "port": 1\n  "host": "a"\n}')).toMatch(
      /^c\.json:3:3: not JSON: expected , or } after the value of "port"/,
    );
    expect(where('{"port": 1, "listen": {"port": 2}}')).toMatch(
      /listen\.port was already given at c\.json:1:2: port/,
    );
    expect(where('{"limits": 3}')).toMatch(/limits expects an object/);
    expect(where('[]')).toMatch(/expects an object of options/);
    expect(where('{"listing": "maybe"}')).toMatch(/1:2: listing expects true or false/);
    expect(problemsOf(() => cli(['-c', '/nonexistent/c.json'])).join()).toMatch(/does not exist/);
    expect(problemsOf(() => cli(['-c', directory])).join()).toMatch(/is a directory/);
  });
  it('refuses unknown keys and wrong types of a program', () => {
    expect(problemsOf(() => settingsFromProgram({ prot: 1 } as ServeSettings)).join()).toMatch(
      /did you mean port\?/,
    );
    expect(problemsOf(() => settingsFromProgram({ port: 1.5 })).join()).toMatch(
      /^port expects.*got 1\.5; for example "port": 8443\.$/,
    );
    expect(problemsOf(() => settingsFromProgram({ listing: 1 as unknown as boolean })).join()).toMatch(
      /true or false, but got 1/,
    );
  });
  it('carries a stable code', () => {
    expect(() => cli(['--nope'])).toThrow(expect.objectContaining({ code: 'ERR_SOCRYPT_OPTION' }));
  });
});

describe('did you mean', () => {
  it('finds near names only', () => {
    const known = optionKeys.map(flagOf);
    expect(nearest('prot', known)).toBe('port');
    expect(nearest('metrics', known)).toBe('metrics-port');
    expect(nearest('keepAliveTimeout', known)).toBe('keep-alive-timeout');
    expect(nearest('zzzzzz', known)).toBeNull();
    expect(nearest('x'.repeat(10_000), known)).toBeNull();
  });
  it('has variables that name their flags', () => {
    expect(variableOf('metricsPort')).toBe('SOCRYPT_METRICS_PORT');
  });
});
