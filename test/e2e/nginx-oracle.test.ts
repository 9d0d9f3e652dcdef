/**
 * nginx serves the same folder over plain HTTP and is the oracle: random pipelined sequences of requests go to both,
 * and the answers are compared. Where we differ on purpose, DEVIATIONS says why, and checks what is right instead.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Server } from '../../src/index.ts';
import { random } from '../support/random.ts';
import {
  type Credentials,
  exchange,
  freePort,
  issue,
  parseResponses,
  program,
  type Response,
  Site,
  sha256,
  start,
  tcp,
  track,
  until,
} from './support.ts';

const nginx = program('nginx');
const SEQUENCES = 1000;
/** SOCRYPT_SEED repeats a run. */
const seed = Number(process.env.SOCRYPT_SEED ?? randomInt(2 ** 31));
const MTIME = 1_700_000_000;
const MAX_RANGES = 16;

const FILES: Readonly<Record<string, number>> = {
  'empty.txt': 0,
  'one.bin': 1,
  'text.txt': 1000,
  'a b.txt': 300,
  'page.html': 5000,
  'style.css': 70,
  'script.js': 2000,
  'data.json': 500,
  'image.png': 40_000,
  'big.bin': 200_000,
  'sub/index.html': 700,
  'sub/deep/file.txt': 90,
};

const site = new Site();
const content = new Map<string, Buffer>();
let credentials: Credentials;
let server: Server;
let oracle: ChildProcess;
let oraclePort: number;

// ── requests ─────────────────────────────────────────────────────────────────────────────────────────

interface Request {
  readonly method: 'GET' | 'HEAD' | 'POST';
  /** As sent. */
  readonly target: string;
  /** Which file it means, if any. */
  readonly file: string | undefined;
  /** Where it means a directory without a slash at the end. */
  readonly kind: 'file' | 'missing' | 'redirect' | 'no index';
  readonly version: '1.0' | '1.1';
  /** With {etag} and {weak} for the validators of whom it is sent to. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

type Random = (below: number) => number;
const pick = <T>(random: Random, from: readonly T[]): T => from[random(from.length)]!;

function makeTarget(random: Random): Pick<Request, 'target' | 'file' | 'kind'> {
  const query = random(6) === 0 ? '?a=b&c=%20d' : '';
  const name = pick(random, Object.keys(FILES));
  const path = `/${name.replaceAll(' ', '%20')}`;
  const file = (target: string) => ({ target: target + query, file: name, kind: 'file' as const });
  switch (random(14)) {
    case 0:
      return { target: `/missing.txt${query}`, file: undefined, kind: 'missing' };
    case 1:
      return {
        target: `${pick(random, ['/sub', '/sub/deep', '/bare'])}${query}`,
        file: undefined,
        kind: 'redirect',
      };
    case 2:
      return {
        target: `${pick(random, ['/bare/', '/sub/deep/'])}${query}`,
        file: undefined,
        kind: 'no index',
      };
    case 3:
      return { target: `/sub/${query}`, file: 'sub/index.html', kind: 'file' };
    case 4:
      return { target: `/text.txt/${query}`, file: undefined, kind: 'missing' };
    case 5:
      return file(`/sub/..${path}`);
    case 6:
      return file(`/.${path}`);
    case 7:
      return file(`/${path}`);
    case 8:
      return file(path.replace('t', '%74'));
    default:
      return file(path);
  }
}

function makeRange(random: Random, size: number): string {
  const number = () =>
    pick(random, [0, 1, random(size + 1), size - 1, size, size + 1, random(300), 99_999_999]);
  const spec = () => {
    const from = Math.max(0, number());
    switch (random(8)) {
      case 0:
        return `${from}-`;
      case 1:
        return `-${from}`;
      case 2:
        return `${from}-${Math.max(0, number())}`;
      default:
        return `${from}-${from + random(400)}`;
    }
  };
  switch (random(12)) {
    case 0:
      return pick(random, [
        'bytes=',
        'bytes=-',
        'bytes=a-b',
        'bytes=1',
        'bytes=5-2',
        'bytes=1-2-3',
        'bytes=0-1,x',
        'bytes',
      ]);
    case 1:
      return pick(random, [
        'lines=0-1',
        'none',
        'BYTES=0-4',
        'bytes=99999999999999999999-',
        'bytes=0-99999999999999999999',
      ]);
    case 2:
      return `bytes=${spec()}, ${spec()}`;
    case 3:
      return `bytes=${spec()},${spec()},${spec()}`;
    case 4:
      return `bytes=${Array.from({ length: 2 + random(20) }, (_, i) => `${i * 3}-${i * 3}`).join(',')}`;
    default:
      return `bytes=${spec()}`;
  }
}

const httpDate = (seconds: number) => new Date(seconds * 1000).toUTCString();

function makeFields(random: Random, size: number): [string, string][] {
  const fields: [string, string][] = [];
  const date = () =>
    pick(random, [httpDate(MTIME), httpDate(MTIME - 1), httpDate(MTIME + 1), httpDate(0), 'not a date', '0']);
  const tags = () =>
    pick(random, ['{etag}', '{weak}', '"other"', '"a", {etag}', '"a" ,{weak} , "b"', '*', '"a,b"', 'x']);
  if (random(4) === 0) fields.push(['If-None-Match', tags()]);
  if (random(6) === 0) fields.push(['If-Modified-Since', date()]);
  if (random(10) === 0) fields.push(['If-Match', tags()]);
  if (random(10) === 0) fields.push(['If-Unmodified-Since', date()]);
  if (random(2) === 0) fields.push(['Range', makeRange(random, size)]);
  if (random(5) === 0) fields.push(['If-Range', pick(random, [date(), '{etag}', '{weak}', '"other"'])]);
  return fields;
}

function makeRequest(random: Random): Request {
  const target = makeTarget(random);
  const method = pick(random, ['GET', 'GET', 'GET', 'GET', 'GET', 'GET', 'HEAD', 'POST'] as const);
  const version = random(7) === 0 ? '1.0' : '1.1';
  const fields: [string, string][] = [
    ['Host', 'localhost'],
    ...makeFields(random, target.file === undefined ? 100 : FILES[target.file]!),
  ];
  if (version === '1.0' ? random(2) === 0 : random(20) === 0)
    fields.push(['Connection', version === '1.0' ? 'keep-alive' : 'close']);
  let body = '';
  if (method === 'POST') {
    const text = 'x'.repeat(random(50));
    if (version === '1.1' && random(2) === 0) {
      fields.push(['Transfer-Encoding', 'chunked']);
      body = `${text === '' ? '' : `${text.length.toString(16)}\r\n${text}\r\n`}0\r\n\r\n`;
    } else {
      fields.push(['Content-Length', String(text.length)]);
      body = text;
    }
  }
  return { ...target, method, version, fields, body };
}

const LAST: Request = {
  method: 'GET',
  target: '/text.txt',
  file: 'text.txt',
  kind: 'file',
  version: '1.1',
  fields: [
    ['Host', 'localhost'],
    ['Connection', 'close'],
  ],
  body: '',
};

type Etags = ReadonlyMap<string, string>;

function wireText(requests: readonly Request[], etags: Etags): string {
  return requests
    .map(({ method, target, version, fields, body, file }) => {
      const etag = etags.get(file ?? '') ?? '"none"';
      const lines = fields.map(
        ([name, value]) =>
          `${name}: ${value.replaceAll('{etag}', etag).replaceAll('{weak}', `W/${etag}`)}\r\n`,
      );
      return `${method} ${target} HTTP/${version}\r\n${lines.join('')}\r\n${body}`;
    })
    .join('');
}

const field = (request: Request, name: string) => request.fields.find(([known]) => known === name)?.[1];

// ── comparison ───────────────────────────────────────────────────────────────────────────────────────

const essence = (type: string | undefined) => type?.split(';')[0]?.trim();
const closes = (response: Response) => response.headers.connection === 'close';

/** What matters of a response; the text of an error page does not. */
function essentials({ status, headers, body }: Response) {
  const ok = status === 200 || status === 206;
  return {
    status,
    'content-range': headers['content-range'],
    location: headers.location,
    'last-modified': headers['last-modified'],
    etag: headers.etag !== undefined,
    'accept-ranges': status === 200 ? headers['accept-ranges'] : undefined,
    'content-type': ok ? essence(headers['content-type']) : undefined,
    'content-length': ok ? headers['content-length'] : undefined,
    body: ok ? `${body.length} bytes, ${sha256(body)}` : '',
    close: headers.connection === 'close',
  };
}

interface Part {
  readonly from: number;
  readonly to: number;
  readonly body: Buffer;
}
const CONTENT_RANGE = /^bytes (\d+)-(\d+)\/(\d+)$/;

/** Parts of a 206, whether it is one range or multipart/byteranges (RFC 9110, 14.6). Throws for what is neither. */
function parts(response: Response, type: string): Part[] {
  const part = (range: string | undefined, body: Buffer): Part => {
    const [, from, to] = CONTENT_RANGE.exec(range ?? '') ?? [];
    if (from === undefined || Number(to) - Number(from) + 1 !== body.length)
      throw new Error(`Content-Range ${range} of ${body.length} bytes`);
    return { from: Number(from), to: Number(to) + 1, body };
  };
  const boundary = /^multipart\/byteranges; *boundary="?([^";]+)"?$/.exec(
    response.headers['content-type'] ?? '',
  )?.[1];
  if (boundary === undefined) return [part(response.headers['content-range'], response.body)];
  const found: Part[] = [];
  // The first delimiter may or may not have a line end before it.
  const delimited = Buffer.concat([Buffer.from('\r\n'), response.body]);
  let at = delimited.indexOf(`\r\n--${boundary}\r\n`);
  if (at < 0 || at > 2) throw new Error('the first part does not begin with its delimiter');
  for (;;) {
    at += boundary.length + 4;
    if (delimited.toString('latin1', at, at + 4) === '--\r\n') {
      if (at + 4 !== delimited.length) throw new Error('bytes behind the last delimiter');
      return found;
    }
    const headEnd = delimited.indexOf('\r\n\r\n', at);
    const end = delimited.indexOf(`\r\n--${boundary}`, headEnd + 4);
    if (headEnd < 0 || end < 0) throw new Error('a part without an end');
    const head = delimited.toString('latin1', at + 2, headEnd);
    if (essence(/^content-type: (.*)$/im.exec(head)?.[1]) !== type)
      throw new Error(`part of another type: ${head}`);
    found.push(part(/^content-range: (.*)$/im.exec(head)?.[1], delimited.subarray(headEnd + 4, end)));
    at = end;
  }
}

/** A map of which bytes of the file the parts hold, as text of 0 and 1; each byte must be the file's. */
function covered(response: Response, file: string, type: string): string {
  const whole = content.get(file)!;
  const seen = Buffer.alloc(whole.length, '0');
  for (const { from, to, body } of parts(response, type)) {
    if (!body.equals(whole.subarray(from, to))) throw new Error(`wrong bytes in ${from}-${to}`);
    seen.fill('1', from, to);
  }
  return seen.toString('latin1');
}
/** Gaps that cost less than another part's head. */
const closeGaps = (map: string) => map.replace(/(?<=1)0{1,127}(?=1)/g, (gap) => '1'.repeat(gap.length));

interface Deviation {
  readonly why: string;
  /** A request that shows it. */
  readonly example: Request;
  applies(request: Request, ours: Response, theirs: Response): boolean;
  /** Throws when ours is not right. */
  check(request: Request, ours: Response, theirs: Response): void;
}

const whole = (request: Request, ours: Response) => {
  expect(ours.status).toBe(200);
  expect(ours.headers['content-length']).toBe(String(FILES[request.file!]));
  if (request.method === 'GET') expect(ours.body.equals(content.get(request.file!)!)).toBe(true);
};
const present = (request: Request, ...names: string[]) =>
  names.every((name) => field(request, name) !== undefined);

const like = (
  target: string,
  kind: Request['kind'],
  fields: Request['fields'] = [],
  method: Request['method'] = 'GET',
): Request => ({
  ...LAST,
  target,
  kind,
  method,
  file: target.slice(1),
  fields: [['Host', 'localhost'], ...fields],
});

const DEVIATIONS: readonly Deviation[] = [
  {
    why: 'RFC 9110, 9.3.3: a resource decides on POST; ours refuses it whatever the path, nginx only where a file is',
    example: like('/missing.txt', 'missing', [['Content-Length', '0']], 'POST'),
    applies: ({ method, kind }) => method === 'POST' && kind !== 'file',
    check: (_, ours) => {
      expect(ours.status).toBe(405);
      expect(ours.headers.allow).toContain('GET');
    },
  },
  {
    why: 'redirects to the slash are 308 and not 301, so that a method stays what it is (RFC 9110, 15.4.9)',
    example: like('/sub?a=b', 'redirect'),
    applies: ({ kind }) => kind === 'redirect',
    check: (_, ours, theirs) => {
      expect([ours.status, theirs.status]).toEqual([308, 301]);
      expect(ours.headers.location).toBe(theirs.headers.location);
    },
  },
  {
    why: 'a directory without an index is 404 and not 403: whether it is there is nobody’s business (RFC 9110, 15.5.4)',
    example: like('/bare/', 'no index'),
    applies: ({ kind }) => kind === 'no index',
    check: (_, ours, theirs) => expect([ours.status, theirs.status]).toEqual([404, 403]),
  },
  {
    why: 'RFC 9110, 13.1.3: If-Modified-Since does not count beside If-None-Match; nginx asks both to agree',
    example: like('/text.txt', 'file', [
      ['If-None-Match', '{etag}'],
      ['If-Modified-Since', httpDate(0)],
    ]),
    applies: (request, ours, theirs) =>
      present(request, 'If-None-Match', 'If-Modified-Since') &&
      (ours.status === 304) !== (theirs.status === 304),
    check: (request, ours) => {
      const matches = /\{etag\}|\{weak\}|^\*$/.test(field(request, 'If-None-Match')!);
      expect(ours.status === 304).toBe(matches);
    },
  },
  {
    why: 'RFC 9110, 13.1.4: If-Unmodified-Since does not count beside If-Match, nor when it is no date; nginx is stricter',
    example: like('/text.txt', 'file', [['If-Unmodified-Since', 'not a date']]),
    applies: (request, ours, theirs) =>
      theirs.status === 412 &&
      ours.status !== 412 &&
      present(request, 'If-Unmodified-Since') &&
      (present(request, 'If-Match') ||
        Number.isNaN(Date.parse(`${field(request, 'If-Unmodified-Since')} `)) ||
        field(request, 'If-Unmodified-Since') === '0'),
    check: (request, ours) => {
      const match = field(request, 'If-Match');
      if (match !== undefined) expect(match).toMatch(/\{etag\}|^\*$/);
      expect([200, 206, 304, 416]).toContain(ours.status);
    },
  },
  {
    why: 'RFC 9110, 14.2: Range means something for GET only; nginx answers HEAD with 206 or 416',
    example: like('/text.txt', 'file', [['Range', 'bytes=0-1']], 'HEAD'),
    applies: (request, _, theirs) =>
      request.method === 'HEAD' && (theirs.status === 206 || theirs.status === 416),
    check: (request, ours) => whole(request, ours),
  },
  {
    why: 'RFC 9110, 14.2: a set of no ranges is invalid, which may be ignored or a 416; ours is a 416 as for any other',
    example: like('/text.txt', 'file', [['Range', 'bytes=']]),
    applies: (request, ours, theirs) =>
      ours.status === 416 && theirs.status === 200 && field(request, 'Range') === 'bytes=',
    check: (request) => expect(request.method).toBe('GET'),
  },
  {
    why: 'RFC 9110, 14.1.2: a last position beyond the end means the end, however many digits it has; nginx reads 63 bits',
    example: like('/text.txt', 'file', [['Range', 'bytes=0-99999999999999999999']]),
    applies: (request, _, theirs) =>
      theirs.status === 416 && /^bytes=0-9{20}$/.test(field(request, 'Range') ?? ''),
    check: (request, ours) => {
      expect(ours.status).toBe(FILES[request.file!] === 0 ? 200 : 206);
      expect(ours.body.equals(content.get(request.file!)!)).toBe(true);
    },
  },
  {
    why: 'RFC 9110, 14.2: more ranges than is honest are ignored; ours counts all of them, nginx the satisfiable ones',
    example: like('/one.bin', 'file', [['Range', `bytes=0-0${',9-9'.repeat(MAX_RANGES)}`]]),
    applies: (request, ours, theirs) =>
      ours.status === 200 &&
      theirs.status !== 200 &&
      (field(request, 'Range') ?? '').split(',').length > MAX_RANGES,
    check: whole,
  },
  {
    why: 'RFC 9110, 15.3.7.2: overlapping ranges, and those with a small gap between them, may be sent as one; nginx sends each part as it was asked for',
    example: like('/text.txt', 'file', [['Range', 'bytes=0-9,20-29,500-509']]),
    applies: (request, ours, theirs) =>
      ours.status === 206 && theirs.status === 206 && (field(request, 'Range') ?? '').includes(','),
    check: (request, ours, theirs) => {
      const types: Record<string, string> = TYPES;
      const type = types[request.file!.slice(request.file!.lastIndexOf('.') + 1)]!;
      const same = covered(ours, request.file!, type) === closeGaps(covered(theirs, request.file!, type));
      expect(same).toBe(true);
      expect(parts(ours, type).length).toBeLessThanOrEqual(parts(theirs, type).length);
    },
  },
];

const TYPES = {
  html: 'text/html',
  css: 'text/css',
  js: 'text/javascript',
  json: 'application/json',
  png: 'image/png',
  txt: 'text/plain',
  bin: 'application/octet-stream',
};

// ── the two servers ──────────────────────────────────────────────────────────────────────────────────

async function startOracle(): Promise<void> {
  oraclePort = await freePort();
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${site.path(`${name}_temp`)};`)
    .join(' ');
  writeFileSync(
    site.path('nginx.conf'),
    `daemon off; master_process off; worker_processes 1; pid ${site.path('nginx.pid')}; error_log ${site.path('nginx.log')};
events { worker_connections 512; }
http {
  access_log off; ${temporary}
  types { ${Object.entries(TYPES)
    .map(([extension, type]) => `${type} ${extension};`)
    .join(' ')} }
  if_modified_since before; max_ranges ${MAX_RANGES}; absolute_redirect off; keepalive_requests 100000;
  server { listen 127.0.0.1:${oraclePort} backlog=1024; root ${site.root}; }
}
`,
  );
  oracle = track(spawn(nginx!, ['-p', site.directory, '-c', site.path('nginx.conf')], { stdio: 'ignore' }));
  await until(
    () =>
      tcp(oraclePort).then(
        ({ socket }) => socket.destroy() !== undefined,
        () => false,
      ),
    'nginx',
  );
}

const etags = { ours: new Map<string, string>(), theirs: new Map<string, string>() };

const ask = {
  ours: async (text: string) => (await exchange(server.address.port, credentials, text)).bytes,
  theirs: async (text: string) => (await (await tcp(oraclePort)).write(text).end).bytes,
};

describe.skipIf(nginx === null)('nginx as the oracle (skipped without nginx)', () => {
  beforeAll(async () => {
    credentials = issue(site.directory);
    mkdirSync(site.file('bare'), { recursive: true });
    for (const [name, size] of Object.entries(FILES)) {
      content.set(name, randomBytes(size));
      site.plant(name, content.get(name)!);
      utimesSync(site.file(name), MTIME, MTIME);
    }
    await startOracle();
    server = await start(site, credentials);
    for (const who of ['ours', 'theirs'] as const)
      for (const name of Object.keys(FILES)) {
        const bytes = await ask[who](`HEAD /${name.replaceAll(' ', '%20')} HTTP/1.0\r\n\r\n`);
        etags[who].set(name, parseResponses(bytes, ['HEAD'])[0]!.headers.etag!);
      }
  });
  afterAll(async () => {
    oracle?.kill();
    await server?.close(0);
    site.remove();
  });

  it.each(DEVIATIONS)('still differs, and rightly so: $why', async ({ example, applies, check }) => {
    const requests = [example, LAST];
    const first = async (who: 'ours' | 'theirs') =>
      parseResponses(await ask[who](wireText(requests, etags[who])), [example.method, 'GET'])[0]!;
    const [ours, theirs] = [await first('ours'), await first('theirs')];
    // One that is gone is to be taken out of the list.
    expect(applies(example, ours, theirs)).toBe(true);
    check(example, ours, theirs);
  });

  it(`${SEQUENCES} random sequences agree (SOCRYPT_SEED=${seed})`, async () => {
    const statuses = new Map<number, number>();
    const failures: string[] = [];
    let compared = 0;
    const compare = async (number: number) => {
      const below = random(seed + number);
      const requests = [...Array.from({ length: 1 + below(6) }, () => makeRequest(below)), LAST];
      const methods = requests.map(({ method }) => method);
      const [ours, theirs] = await Promise.all(
        (['ours', 'theirs'] as const).map(async (who) =>
          parseResponses(await ask[who](wireText(requests, etags[who])), methods),
        ),
      );
      const explain = (from: number, to: number) =>
        `SOCRYPT_SEED=${seed}, sequence ${number}, from request ${from}:\n${wireText(requests.slice(from, to), etags.ours)}`;
      // nginx ends the connection behind a 412 without having said so (ngx_http_filter_finalize_request); we go on.
      const silent = theirs!.at(-1)?.status === 412;
      if (silent) ours!.splice(theirs!.length);
      const outline = (responses: Response[]) => responses.map(({ status }) => status).join(' ');
      if (ours!.length !== theirs!.length) {
        failures.push(`${outline(ours!)} | ${outline(theirs!)}\n${explain(0, requests.length)}`);
        return;
      }
      for (const [i, our] of ours!.entries()) {
        const their = theirs![i]!;
        const request = requests[i]!;
        const deviation = DEVIATIONS.find((known) => known.applies(request, our, their));
        try {
          if (deviation === undefined)
            expect(JSON.stringify(essentials(our))).toBe(JSON.stringify(essentials(their)));
          else {
            deviation.check(request, our, their);
            expect(closes(our)).toBe(closes(their));
          }
        } catch (error) {
          failures.push(`${explain(i, i + 1)}${deviation?.why ?? ''}\n${(error as Error).message}`);
        }
        statuses.set(our.status, (statuses.get(our.status) ?? 0) + 1);
        compared += 1;
      }
    };
    const WIDTH = 8;
    for (let number = 0; number < SEQUENCES; number += WIDTH)
      await Promise.all(
        Array.from({ length: Math.min(WIDTH, SEQUENCES - number) }, (_, i) => compare(number + i)),
      );

    expect(failures.slice(0, 5)).toEqual([]);
    // The comparison is only worth something where things happened.
    expect(compared).toBeGreaterThan(2 * SEQUENCES);
    for (const status of [200, 206, 304, 308, 404, 405, 412, 416])
      expect(statuses.get(status) ?? 0).toBeGreaterThan(10);
  });
});
