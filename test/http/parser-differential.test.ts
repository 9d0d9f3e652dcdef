/**
 * The engine's request parser against node's llhttp in its strict mode: what we accept, llhttp accepts,
 * and understands alike. Where we refuse more, it is one of the named classes.
 */
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { random } from '../support/random.ts';

const repository = fileURLToPath(new URL('../..', import.meta.url));

interface Ours {
  kind: 'ok' | 'incomplete' | 'bad';
  status?: number;
  reason?: string;
  method: string;
  target: string;
  minor: number;
  keepAlive: boolean;
  body: 'none' | 'length' | 'chunked';
  contentLength: string;
  headLength: number;
}

/** Runs every head through test/native/tools/parse_request. */
function parseAll(heads: readonly Buffer[]): Ours[] {
  const frames = heads.flatMap((head) => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(head.length);
    return [length, head];
  });
  const output = execFileSync(`${repository}build/test/parse_request`, {
    input: Buffer.concat(frames),
    maxBuffer: 1 << 28,
  });
  const text = (hex: string) => Buffer.from(hex, 'hex').toString('latin1');
  return output
    .toString()
    .trimEnd()
    .split('\n')
    .map((line) => {
      const answer = JSON.parse(line) as Ours;
      return answer.kind === 'ok'
        ? { ...answer, method: text(answer.method), target: text(answer.target) }
        : answer;
    });
}

// llhttp without a socket: the parser object that node:http itself uses.
interface Llhttp {
  initialize(type: number, resource: object, maxHeaderSize: number, lenientFlags: number): void;
  execute(bytes: Buffer): number | (Error & { code?: string });
  [callback: number]: (...values: never[]) => unknown;
}
const { HTTPParser, methods } = createRequire(import.meta.url)('node:_http_common') as {
  HTTPParser: (new () => Llhttp) & Record<string, number>;
  methods: string[];
};

interface Theirs {
  error?: string;
  /** Bytes after which the head was complete. */
  headLength?: number;
  method?: string;
  target?: string;
  minor?: number;
  keepAlive?: boolean;
  body?: Ours['body'];
}

const parser = new HTTPParser();

function oracle(bytes: Buffer): Theirs {
  const seen: Theirs = {};
  let complete = false;
  let content = false;
  let url = '';
  parser.initialize(HTTPParser.REQUEST!, {}, 1 << 16, 0);
  parser[HTTPParser.kOnHeaders!] = (_headers: string[], part: string) => {
    url += part;
  };
  parser[HTTPParser.kOnHeadersComplete!] = (...values: unknown[]) => {
    const [, minor, , method, part, , , , keepAlive] = values;
    seen.minor = minor as number;
    seen.method = methods[method as number] ?? '?';
    seen.target = url + ((part as string | undefined) ?? '');
    seen.keepAlive = keepAlive as boolean;
    return 0;
  };
  parser[HTTPParser.kOnBody!] = () => {
    content = true;
  };
  parser[HTTPParser.kOnMessageComplete!] = () => {
    complete = true;
  };
  // In one piece but for the last byte: the head may not be complete any earlier.
  for (const part of [bytes.subarray(0, -1), bytes.subarray(-1)]) {
    const result = parser.execute(part);
    if (typeof result !== 'number') return { error: result.code ?? result.message };
    if (seen.minor !== undefined && seen.headLength === undefined) {
      seen.headLength = part.length === 1 ? bytes.length : bytes.length - 1;
    }
  }
  if (seen.headLength === undefined) return { error: 'incomplete' };
  if (complete) seen.body = 'none';
  else {
    parser.execute(Buffer.from('0'));
    seen.body = content ? 'length' : 'chunked';
  }
  return seen;
}

const LINES = [
  'Host: a.example:8443',
  'Host: [::1]',
  'Content-Length: 5',
  'Content-Length: 0',
  'content-length: 005',
  'Content-Length: 5, 5',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding: chunked, gzip',
  'TRANSFER-ENCODING: identity',
  'Connection: close',
  'Connection: keep-alive',
  'Connection: Keep-Alive, x',
  'connection: x ,close',
  'Accept: */*',
  'Expect: 100-continue',
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64) "q" \\',
  'X-Empty:',
  'X-Tab:\ta\tb\t',
  'X-Obs: caf\xe9',
  'If-None-Match: "a", W/"b"',
  'Range: bytes=0-1',
] as const;
const STARTS = [
  'GET / HTTP/1.1',
  'GET /a/b.html?x=1&y=%20 HTTP/1.1',
  'HEAD /x HTTP/1.0',
  'POST /form HTTP/1.1',
  'OPTIONS * HTTP/1.1',
  'GET http://b.example/p?q HTTP/1.1',
  'GET https://b.example HTTP/1.1',
  'DELETE /"<>\\^`{|} HTTP/1.1',
] as const;
const BYTES = '\0\t\n\v\r !"#,-/09:;<=?@A[\\]_az{|}~\x7f\x80\xe9\xff';

function randomHead(random: (limit: number) => number): Buffer {
  const pick = <T>(from: readonly T[]) => from[random(from.length)]!;
  const lines: string[] = [pick(STARTS)];
  if (random(8) !== 0) lines.push('Host: localhost');
  for (let i = random(5); i > 0; i--) lines.splice(1 + random(lines.length), 0, pick(LINES));
  let text = `${random(20) === 0 ? '\r\n' : ''}${lines.join('\r\n')}\r\n\r\n`;
  for (let i = random(4); i > 0; i--) {
    const at = random(text.length);
    const byte = BYTES[random(BYTES.length)]!;
    switch (random(5)) {
      case 0:
        text = text.slice(0, at) + byte + text.slice(at);
        break;
      case 1:
        text = text.slice(0, at) + text.slice(at + 1);
        break;
      case 2:
        text = text.slice(0, at) + byte + text.slice(at + 1);
        break;
      case 3: {
        const from = random(text.length);
        text = text.slice(0, at) + text.slice(from, from + random(12)) + text.slice(at);
        break;
      }
      default: {
        // Around the places where framing is decided.
        const places = [...text.matchAll(/[:\r\n ]/g)].map((match) => match.index);
        const place = places[random(places.length)] ?? at;
        text = text.slice(0, place) + byte + text.slice(place + random(2));
      }
    }
  }
  return Buffer.from(text, 'latin1');
}

/** Why we may refuse what llhttp accepts. The reasons are the parser's own. */
const STRICTER = new Set([
  'host_missing', // node:http checks this above llhttp
  'host_duplicate',
  'host_invalid',
  'target_empty', // llhttp skips any number of spaces before the target
  'target_fragment', // llhttp takes '#…' as part of the target
  'target_form',
  'target_scheme',
  'target_authority',
  'version', // llhttp takes a request line without a version as HTTP/0.9
  'version_unsupported', // llhttp reads 0.9 and 2.0
  'transfer_coding', // "gzip, chunked" and "identity" are framed by llhttp
  'transfer_encoding', // such as "chunked" followed by an empty list member
  'transfer_encoding_duplicate',
  'transfer_encoding_in_1_0',
  'bare_lf', // llhttp takes lone LFs before the request line, and after one of HTTP/0.9
  'bare_cr', // more than one empty line before the request
  'framing_tab', // a tab before a length or coding
  'content_length', // more than 19 digits
]);

beforeAll(() => {
  execFileSync(
    'bash',
    [
      '-c',
      'set -eu; mkdir -p build; source scripts/native-programs.sh; configure build/test; ' +
        'cmake --build build/test -j "$jobs" --target parse_request >&2',
    ],
    { cwd: repository, stdio: 'pipe' },
  );
}, 300_000);

describe('the request parser beside llhttp', () => {
  it('reads random and mutated heads alike, or refuses them for a named reason', () => {
    const seed = Number(process.env.SOCRYPT_SEED ?? (Math.random() * 2 ** 32) >>> 0);
    console.log(
      `parser-differential: seed ${seed} (SOCRYPT_SEED repeats it), llhttp ${process.versions.llhttp}`,
    );
    const below = random(seed);
    const heads = Array.from({ length: 20_000 }, () => randomHead(below));
    const counts = { both: 0, neither: 0, stricter: 0, unknownMethod: 0 };
    const unnamed = new Map<string | undefined, string>();
    for (const [index, ours] of parseAll(heads).entries()) {
      const head = heads[index]!;
      const described = JSON.stringify(head.toString('latin1'));
      if (ours.kind === 'ok') {
        const theirs = oracle(head.subarray(0, ours.headLength));
        // Methods that llhttp does not know are for the control plane to refuse (405).
        if (theirs.error === 'HPE_INVALID_METHOD' && !methods.includes(ours.method)) {
          counts.unknownMethod++;
          continue;
        }
        const { headLength, method, target, minor, body } = ours;
        // Latin-1 on both sides: node decodes the target as such.
        expect({ ...theirs, keepAlive: undefined }, described).toEqual({
          headLength,
          method,
          target,
          minor,
          body,
          keepAlive: undefined,
        });
        // We may close where llhttp would go on ("close" beside "keep-alive" in 1.0), never the reverse.
        if (ours.keepAlive) expect(theirs.keepAlive, described).toBe(true);
        counts.both++;
      } else if (ours.kind === 'bad') {
        const end = head.indexOf('\r\n\r\n', 2, 'latin1');
        const theirs = oracle(end < 0 ? head : head.subarray(0, end + 4));
        if (theirs.error === undefined) {
          if (!STRICTER.has(ours.reason ?? '')) unnamed.set(ours.reason, described);
          counts.stricter++;
        } else counts.neither++;
      } else {
        expect(oracle(head).headLength, described).toBeUndefined();
        counts.neither++;
      }
    }
    console.log(`parser-differential: ${JSON.stringify(counts)}`);
    expect(Object.fromEntries(unnamed)).toEqual({});
    // The mutations must leave enough of every kind for this to mean something.
    expect(counts.both).toBeGreaterThan(1000);
    expect(counts.neither).toBeGreaterThan(1000);
    expect(counts.stricter).toBeGreaterThan(100);
  });

  it('never lets a connection go on that llhttp would close', () => {
    const cases = ['1.0', '1.1'].flatMap((version) =>
      [
        '',
        'close',
        'keep-alive',
        'close, keep-alive',
        'keep-alive, close',
        'KEEP-ALIVE',
        'x, CLOSE',
        'closed',
        ' , close',
      ].map((value) => Buffer.from(`GET / HTTP/${version}\r\nHost: a\r\nConnection: ${value}\r\n\r\n`)),
    );
    for (const [index, ours] of parseAll(cases).entries()) {
      const theirs = oracle(cases[index]!);
      expect(ours.kind).toBe('ok');
      if (ours.keepAlive) expect(theirs.keepAlive, cases[index]!.toString()).toBe(true);
    }
  });
});
