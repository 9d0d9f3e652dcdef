import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatHttpDate, parseHttpDate } from '../../src/http/conditions.ts';
import { MAX_RANGES, parseRanges } from '../../src/http/ranges.ts';
import { MTIME, type Site, site } from './tree.ts';

describe('parseRanges', () => {
  const cases: [field: string, size: number, expected: ReturnType<typeof parseRanges>][] = [
    [
      'bytes=0-0,500-509',
      1000,
      [
        { offset: 0, length: 1 },
        { offset: 500, length: 10 },
      ],
    ],
    // in the order of asking
    [
      'bytes=500-509,0-0',
      1000,
      [
        { offset: 500, length: 10 },
        { offset: 0, length: 1 },
      ],
    ],
    [
      'BYTES=0-0 , , -1',
      1000,
      [
        { offset: 0, length: 1 },
        { offset: 999, length: 1 },
      ],
    ],
    [
      'bytes=0-0,900-',
      1000,
      [
        { offset: 0, length: 1 },
        { offset: 900, length: 100 },
      ],
    ],
    [
      'bytes=0-0,900-99999999999999999999',
      1000,
      [
        { offset: 0, length: 1 },
        { offset: 900, length: 100 },
      ],
    ],
    // overlapping, touching, near
    ['bytes=0-99,50-149', 1000, [{ offset: 0, length: 150 }]],
    ['bytes=100-199,0-99', 1000, [{ offset: 0, length: 200 }]],
    ['bytes=0-9,20-29', 1000, [{ offset: 0, length: 30 }]],
    [
      'bytes=0-9,500-509,20-29',
      1000,
      [
        { offset: 0, length: 30 },
        { offset: 500, length: 10 },
      ],
    ],
    // unsatisfiable ones fall away
    ['bytes=0-9,2000-', 1000, [{ offset: 0, length: 10 }]],
    ['bytes=0-9,5-3', 1000, [{ offset: 0, length: 10 }]],
    ['bytes=0-9,-0', 1000, [{ offset: 0, length: 10 }]],
    ['bytes=2000-,3000-', 1000, 'unsatisfiable'],
    ['bytes=,,', 1000, 'unsatisfiable'],
    ['bytes=0-9,x', 1000, 'unsatisfiable'],
    ['bytes=0-9,-', 1000, 'unsatisfiable'],
    ['bytes=0-9,+5-6', 1000, 'unsatisfiable'],
    // more than the file has
    ['bytes=0-,0-', 1000, 'ignore'],
    ['bytes=0-999,0-0', 1000, 'ignore'],
    ['bytes=0-0,0-1', 0, 'ignore'],
    [`bytes=${Array.from({ length: MAX_RANGES + 1 }, (_, i) => `${i * 300}-${i * 300}`)}`, 1e6, 'ignore'],
  ];
  it.each(cases)('%s of %d', (field, size, expected) => expect(parseRanges(field, size)).toEqual(expected));
  it('takes as many as MAX_RANGES', () => {
    const field = `bytes=${Array.from({ length: MAX_RANGES }, (_, i) => `${i * 300}-${i * 300}`)}`;
    expect(parseRanges(field, 1e6)).toHaveLength(MAX_RANGES);
  });
});

describe('dates', () => {
  it.each([
    ['Sun, 06 Nov 1994 08:49:37 GMT', 784111777],
    ['Sunday, 06-Nov-94 08:49:37 GMT', 784111777],
    ['Sun Nov  6 08:49:37 1994', 784111777],
    ['Sun, 06 Nov 1994 08:49:37 UTC', undefined],
    ['Sun, 31 Feb 1994 08:49:37 GMT', undefined],
    ['Sun, 06 Nov 1994 24:49:37 GMT', undefined],
    ['1994-11-06', undefined],
    ['', undefined],
  ])('%s', (date, seconds) => expect(parseHttpDate(date)).toBe(seconds));
  it('come back', () => expect(parseHttpDate(formatHttpDate(MTIME))).toBe(MTIME));
});

describe('several ranges', () => {
  const content = Array.from({ length: 1000 }, (_, i) => String.fromCharCode(97 + (i % 26))).join('');
  const several = { range: 'bytes=0-2,500-502' };
  let there: Site;
  let etag: string;
  beforeAll(async () => {
    there = site({ 'a.txt': content, 'a.txt.br': 'brotli', empty: '' });
    etag = (await there.get('/a.txt')).variants.identity!.etag;
  });
  afterAll(() => there.close());

  it('come as multipart/byteranges (RFC 9110, 14.6)', async () => {
    const answer = await there.get('/a.txt', several);
    expect(answer).toMatchObject({ kind: 'segments', status: 206 });
    const boundary = /^multipart\/byteranges; boundary=([0-9a-f]{36})$/.exec(
      answer.field('Content-Type')!,
    )![1]!;
    expect(answer.text).toBe(
      `--${boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 0-2/1000\r\n\r\n${content.slice(0, 3)}\r\n` +
        `--${boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 500-502/1000\r\n\r\n${content.slice(500, 503)}\r\n--${boundary}--\r\n`,
    );
    expect(answer.headers.match(/^content-type:/gim)).toHaveLength(1);
    expect(answer.field('Content-Range')).toBeUndefined();
    expect(answer.field('ETag')).toBe(etag);
    expect(answer.field('Last-Modified')).toBe(formatHttpDate(MTIME));
    expect(answer.field('Vary')).toBe('Accept-Encoding');
    const again = await there.get('/a.txt', several);
    expect(again.text).not.toContain(boundary);
  });

  it('come as one when they join', async () => {
    const answer = await there.get('/a.txt', { range: 'bytes=0-99,50-149' });
    expect(answer).toMatchObject({ kind: 'segments', status: 206, text: content.slice(0, 150) });
    expect(answer.field('Content-Range')).toBe('bytes 0-149/1000');
    expect(answer.field('Content-Type')).toBe('text/plain; charset=utf-8');
  });

  // The engine asks again for whatever it finds to be several ranges; a file for an answer would go round in circles.
  const conditions: [name: string, headers: (etag: string) => Record<string, string>, status: number][] = [
    ['If-Range, our tag', (tag) => ({ 'if-range': tag }), 206],
    ['If-Range, our date', () => ({ 'if-range': formatHttpDate(MTIME) }), 206],
    ['If-Range, weak', (tag) => ({ 'if-range': `W/${tag}` }), 200],
    ['If-Range, other', () => ({ 'if-range': '"x"' }), 200],
    ['If-Range, earlier', () => ({ 'if-range': formatHttpDate(MTIME - 1) }), 200],
    ['If-Range, later', () => ({ 'if-range': formatHttpDate(MTIME + 1) }), 200],
    ['If-Range, nonsense', () => ({ 'if-range': 'x' }), 200],
    ['If-None-Match, ours', (tag) => ({ 'if-none-match': `"x", W/${tag}` }), 304],
    ['If-None-Match, *', () => ({ 'if-none-match': '*' }), 304],
    ['If-None-Match, other', () => ({ 'if-none-match': '"x"' }), 206],
    ['If-None-Match, nonsense first', (tag) => ({ 'if-none-match': `x, ${tag}` }), 206],
    [
      'If-None-Match beats If-Modified-Since',
      () => ({ 'if-none-match': '"x"', 'if-modified-since': formatHttpDate(MTIME) }),
      206,
    ],
    ['If-Modified-Since', () => ({ 'if-modified-since': formatHttpDate(MTIME) }), 304],
    ['If-Modified-Since, earlier', () => ({ 'if-modified-since': formatHttpDate(MTIME - 1) }), 206],
    ['If-Match, ours', (tag) => ({ 'if-match': tag }), 206],
    ['If-Match, weak', (tag) => ({ 'if-match': `W/${tag}` }), 412],
    ['If-Match, other', () => ({ 'if-match': '"x"' }), 412],
    ['If-Unmodified-Since, earlier', () => ({ 'if-unmodified-since': formatHttpDate(MTIME - 1) }), 412],
    ['If-Unmodified-Since, later', () => ({ 'if-unmodified-since': formatHttpDate(MTIME + 1) }), 206],
    ['too many', () => ({ range: `bytes=${'0-0,'.repeat(17)}` }), 200],
    ['past the end', () => ({ range: 'bytes=5000-,6000-' }), 416],
    ['malformed', () => ({ range: 'bytes=0-1,x' }), 416],
  ];
  it.each(conditions)('%s', async (_, headers, status) => {
    const answer = await there.get('/a.txt', { ...several, ...headers(etag) });
    expect(answer.status).toBe(status);
    expect(answer.kind).not.toBe('file');
    expect(answer.cacheable).toBe(false);
    if (status === 200) expect(answer.text).toBe(content);
    if (status === 304)
      expect([answer.text, answer.field('ETag'), answer.field('Content-Type')]).toEqual([
        '',
        etag,
        undefined,
      ]);
    if (status === 416) expect(answer.field('Content-Range')).toBe('bytes */1000');
  });

  it('leaves other units, single ranges and HEAD to the engine', async () => {
    expect((await there.get('/a.txt', { range: 'lines=1-2,3-4' })).kind).toBe('file');
    expect((await there.get('/a.txt', { range: 'bytes=1-2' })).kind).toBe('file');
    expect((await there.get('/a.txt', several, 'HEAD')).kind).toBe('file');
  });

  it('of an empty file is the empty file', async () => {
    expect(await there.get('/empty', { range: 'bytes=0-0,0-1' })).toMatchObject({ status: 200, text: '' });
  });
});
