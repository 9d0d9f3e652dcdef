/**
 * A real page in a real browser: images, style, modules, fetches checked by crypto.subtle, and byte ranges as a video
 * element asks for them. The page says what it found in its DOM, which `--dump-dom` prints.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { crc32, deflateSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Server } from '../../src/index.ts';
import { type Credentials, issue, program, Site, sha256, start, track, until } from './support.ts';

const chromium = program('chromium') ?? program('chromium-browser') ?? program('google-chrome');
const SIZES = [0, 1, 4097, 16_384, 16_385, 100_000, 3_000_001];
const WIDTH = 37;
const HEIGHT = 23;

const site = new Site();
let credentials: Credentials;
let server: Server;

/** A PNG of random pixels (RFC 2083): 8-bit RGB, no filter. */
function png(width: number, height: number): Buffer {
  const chunk = (type: string, content: Buffer) => {
    const body = Buffer.concat([Buffer.from(type, 'latin1'), content]);
    const out = Buffer.alloc(body.length + 8);
    out.writeUInt32BE(content.length, 0);
    body.copy(out, 4);
    out.writeUInt32BE(crc32(body), body.length + 4);
    return out;
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const rows = Array.from({ length: height }, () =>
    Buffer.concat([Buffer.from([0]), randomBytes(3 * width)]),
  );
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10]),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(Buffer.concat(rows))),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** A WAV of silence with some noise: a media file that every build of Chromium plays, and seeks in by ranges. */
function wav(seconds: number): Buffer {
  const rate = 8000;
  const samples = randomBytes(seconds * rate);
  const head = Buffer.alloc(44);
  head.write('RIFF', 0);
  head.writeUInt32LE(36 + samples.length, 4);
  head.write('WAVEfmt ', 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(rate, 24);
  head.writeUInt32LE(rate, 28);
  head.writeUInt16LE(1, 32);
  head.writeUInt16LE(8, 34);
  head.write('data', 36);
  head.writeUInt32LE(samples.length, 40);
  return Buffer.concat([head, samples]);
}

const PAGE = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>socrypt</title>
<link rel="stylesheet" href="/style/page.css">
<script type="module" src="/script/main.js"></script></head>
<body><h1 id="styled">Grüße</h1>
${Array.from({ length: 12 }, (_, i) => `<img src="/image/${i}.png" alt="">`).join('\n')}
<pre id="outcome">not finished</pre></body></html>
`;

const MAIN = `import { digest, range } from './digest.js';
const outcome = { hashes: {}, ranges: [], images: [], errors: [] };
const wait = (target, event) => new Promise((done, failed) => {
  target.addEventListener(event, done, { once: true });
  target.addEventListener('error', () => failed(new Error(event + ' of ' + target.tagName)), { once: true });
});
try {
  if (document.readyState !== 'complete') await wait(window, 'load');
  outcome.heading = document.getElementById('styled').textContent;
  outcome.colour = getComputedStyle(document.getElementById('styled')).color;
  outcome.images = [...document.images].map((image) => [image.naturalWidth, image.naturalHeight]);
  const names = await (await fetch('/files.json')).json();
  await Promise.all(names.map(async (name) => {
    const response = await fetch('/file/' + name);
    outcome.hashes[name] = [response.status, await digest(await response.arrayBuffer())];
  }));
  // As a video element does it: the start, the end, something in the middle, then to the end.
  outcome.ranges.push(await range('/media/noise.wav', 'bytes=0-'));
  outcome.ranges.push(await range('/media/noise.wav', 'bytes=100000-165535'));
  outcome.ranges.push(await range('/media/noise.wav', 'bytes=-44'));
  outcome.ranges.push(await range('/media/noise.wav', 'bytes=200000-'));
  outcome.ranges.push(await range('/media/noise.wav', 'bytes=9999999-'));
  const audio = new Audio('/media/noise.wav');
  audio.preload = 'auto';
  const loaded = wait(audio, 'loadedmetadata');
  audio.load();
  await loaded;
  outcome.duration = Math.round(audio.duration);
  const sought = wait(audio, 'seeked');
  audio.currentTime = 30;
  await sought;
  outcome.sought = audio.currentTime;
  const again = await fetch('/file/' + names.at(-1), { cache: 'no-cache' });
  outcome.again = [again.status, await digest(await again.arrayBuffer())];
  outcome.protocol = performance.getEntriesByType('navigation')[0].nextHopProtocol;
  outcome.secure = isSecureContext;
} catch (error) {
  outcome.errors.push(String(error && error.stack || error));
}
document.getElementById('outcome').textContent = JSON.stringify(outcome);
`;

const DIGEST = `export async function digest(bytes) {
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
export async function range(path, value) {
  const response = await fetch(path, { headers: { Range: value }, cache: 'no-store' });
  const body = await response.arrayBuffer();
  return [response.status, response.headers.get('content-range'), response.status === 206 ? await digest(body) : ''];
}
`;

beforeAll(async () => {
  credentials = issue(site.directory);
  site.plant('index.html', PAGE);
  site.plant('style/page.css', '#styled { color: rgb(1, 2, 3); }\n');
  site.plant('script/main.js', MAIN);
  site.plant('script/digest.js', DIGEST);
  for (let i = 0; i < 12; ++i) site.plant(`image/${i}.png`, png(WIDTH + i, HEIGHT + i));
  for (const size of SIZES) site.random(`file/${size}.bin`, size);
  site.plant('files.json', JSON.stringify(SIZES.map((size) => `${size}.bin`)));
  site.plant('media/noise.wav', wav(60));
  server = await start(site, credentials);
});
afterAll(async () => {
  await server?.close(0);
  site.remove();
});

interface Outcome {
  readonly hashes: Readonly<Record<string, [number, string]>>;
  readonly [name: string]: unknown;
}

/** Chromium under the DevTools protocol, spoken over two pipes: messages are JSON, each ended by a NUL. */
class Browser {
  readonly #profile = mkdtempSync(join(tmpdir(), 'socrypt-chromium-'));
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #next = 1;
  #session: string | undefined;

  constructor(...args: readonly string[]) {
    this.#child = track(
      spawn(
        chromium!,
        [
          ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-dev-shm-usage'],
          ...[
            '--no-first-run',
            '--disable-background-networking',
            '--disable-component-update',
            '--disable-sync',
          ],
          ...['--disable-extensions', '--autoplay-policy=no-user-gesture-required', '--mute-audio'],
          // Nothing but this server is asked for anything, by whatever part of the browser.
          '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1',
          ...[`--user-data-dir=${this.#profile}`, '--remote-debugging-pipe', ...args, 'about:blank'],
        ],
        { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] },
      ),
    );
    this.#ended = new Promise((done) => this.#child.once('close', done));
    let text = '';
    const out = this.#child.stdio[4] as Readable;
    out.setEncoding('utf8');
    out.on('data', (chunk: string) => {
      const messages = (text + chunk).split('\0');
      text = messages.pop()!;
      for (const message of messages) {
        const answer = JSON.parse(message) as Answer;
        this.#waiting.get(answer.id ?? 0)?.(answer);
      }
    });
  }

  async #call(method: string, params: object): Promise<Readonly<Record<string, unknown>>> {
    const id = this.#next++;
    const answered = new Promise<Answer>((done) => this.#waiting.set(id, done));
    const message = {
      id,
      method,
      params,
      ...(this.#session === undefined ? {} : { sessionId: this.#session }),
    };
    (this.#child.stdio[3] as Writable).write(`${JSON.stringify(message)}\0`);
    const { result, error } = await answered;
    if (result === undefined) throw new Error(`${method}: ${error?.message}`);
    return result;
  }

  /** The reason why it could not, or ''. */
  async open(url: string): Promise<string> {
    const { targetId } = await this.#call('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await this.#call('Target.attachToTarget', { targetId, flatten: true });
    this.#session = sessionId as string;
    return ((await this.#call('Page.navigate', { url })).errorText as string | undefined) ?? '';
  }
  async evaluate(expression: string): Promise<unknown> {
    const { result } = await this.#call('Runtime.evaluate', { expression, returnByValue: true });
    return (result as { value?: unknown }).value;
  }
  async close(): Promise<void> {
    // Asked, and not killed: its helpers would go on writing into the profile.
    this.#session = undefined;
    this.#call('Browser.close', {}).catch(() => {});
    await this.#ended;
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

interface Answer {
  readonly id?: number;
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: { readonly message: string };
}

it.skipIf(chromium === null)('Chromium shows a whole page (skipped without chromium)', async () => {
  const { publicKey } = new X509Certificate(readFileSync(credentials.ecdsa.cert));
  const pin = createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('base64');
  const before = server.stats();
  // This key and no other passes without an authority that the browser knows.
  const browser = new Browser(`--ignore-certificate-errors-spki-list=${pin}`);
  let text = '';
  try {
    expect(await browser.open(server.address.url)).toBe('');
    await until(async () => {
      text = String(await browser.evaluate("document.getElementById('outcome')?.textContent"));
      return text.startsWith('{');
    }, `the page to be done (${text})`);
  } finally {
    await browser.close();
  }
  const outcome = JSON.parse(text) as Outcome;
  expect(outcome.errors).toEqual([]);
  expect(outcome.heading).toBe('Grüße');
  expect(outcome.colour).toBe('rgb(1, 2, 3)');
  expect(outcome.images).toEqual(Array.from({ length: 12 }, (_, i) => [WIDTH + i, HEIGHT + i]));
  for (const size of SIZES)
    expect(outcome.hashes[`${size}.bin`]).toEqual([200, sha256(readFileSync(site.file(`file/${size}.bin`)))]);
  const media = readFileSync(site.file('media/noise.wav'));
  const total = media.length;
  const slice = (from: number, to: number) => [
    206,
    `bytes ${from}-${to - 1}/${total}`,
    sha256(media.subarray(from, to)),
  ];
  expect(outcome.ranges).toEqual([
    slice(0, total),
    slice(100_000, 165_536),
    slice(total - 44, total),
    slice(200_000, total),
    [416, `bytes */${total}`, ''],
  ]);
  expect(outcome.duration).toBe(60);
  expect(outcome.sought).toBe(30);
  // The browser asked whether what it had was still good, and shows the 304 as the 200 that it kept.
  expect(outcome.again).toEqual([200, sha256(readFileSync(site.file('file/3000001.bin')))]);
  expect(outcome.protocol).toBe('http/1.1');
  expect(outcome.secure).toBe(true);
  const { counters } = server.stats();
  expect(counters.responses_304! - before.counters.responses_304!).toBeGreaterThan(0);
  expect(counters.range_single! - before.counters.range_single!).toBeGreaterThanOrEqual(4);
});

it.skipIf(chromium === null)(
  'Chromium refuses a certificate of an authority that it does not know (skipped without chromium)',
  async () => {
    const requests = server.stats().requests;
    const browser = new Browser();
    try {
      expect(await browser.open(server.address.url)).toBe('net::ERR_CERT_AUTHORITY_INVALID');
    } finally {
      await browser.close();
    }
    expect(server.stats().requests).toBe(requests);
  },
);
