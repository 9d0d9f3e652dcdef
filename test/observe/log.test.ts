import { describe, expect, it } from 'vitest';
import { createLog, describeError } from '../../src/observe/log.ts';

describe('log', () => {
  it('writes one JSON line per message, from its level on', () => {
    const lines: string[] = [];
    const log = createLog('warn', { write: (line: string) => void lines.push(line) });
    log.info({ a: 1 }, 'unheard');
    log.warn({ a: 1 }, 'heard');
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0]!)).toMatchObject({
      level: 'warn',
      a: 1,
      msg: 'heard',
      time: expect.stringMatching(/^\d{4}-.*Z$/),
    });
  });

  it('says of an error its code and message, never what else hangs on it', () => {
    const error = Object.assign(new Error('broken'), {
      code: 'ERR_X',
      key: 'SECRET',
      cause: new Error('SECRET'),
    });
    const lines: string[] = [];
    createLog('info', { write: (line: string) => void lines.push(line) }).error({ err: error }, 'failed');
    expect(lines[0]).toContain('broken');
    expect(lines[0]).not.toContain('SECRET');
    expect(describeError('text')).toEqual({ error: 'text' });
  });
});
