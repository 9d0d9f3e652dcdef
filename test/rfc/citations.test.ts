import { describe, expect, test } from 'vitest';
// @ts-expect-error: a script, without types.
import { citationsOf } from '../../scripts/rfc/citations.mjs';
// @ts-expect-error: a script, without types.
import { normalise, requirementsOf } from '../../scripts/rfc/requirements.mjs';

describe('requirements of an RFC', () => {
  const text = [
    'Table of Contents',
    '   1.  Pigeons ....................................................3',
    '',
    '1.  Pigeons',
    '',
    '   A pigeon is a bird.  It MUST fly home, and it',
    '   SHALL NOT stop.  It may rest.',
    '',
    'Waldmann, et al.             Standards Track                    [Page 3]',
    '\f',
    'RFC 1149            IP Datagrams on Avian Carriers            April 1990',
    '',
    '   -  Feathers are REQUIRED.',
    '   -  Feet are not.',
    '',
    '1.1.  Lofts',
    '',
    '   A loft ("home", see RFC 2549) MUST be dry.',
    '',
    'Appendix B.  Corn',
    '',
    '   Corn MUST be fresh.',
  ].join('\n');

  test('are its sentences with MUST, SHALL or REQUIRED, each with its section', () => {
    expect(requirementsOf(text)).toEqual([
      { section: '1', sentence: 'It MUST fly home, and it SHALL NOT stop.' },
      { section: '1', sentence: 'Feathers are REQUIRED.' },
      { section: '1.1', sentence: 'A loft ("home", see RFC 2549) MUST be dry.' },
      { section: 'B', sentence: 'Corn MUST be fresh.' },
    ]);
  });

  test('are compared without quotes, case and line ends', () => {
    expect(normalise('The  "key_share"\n MUST’s')).toBe("the key_share must's");
  });
});

describe('citations', () => {
  test('are what stands in quotes after an RFC and its section, in neighbouring lines of a comment', () => {
    const source = [
      'const a = 1; // no RFC here',
      '  /**',
      '   * RFC 1149 1: a bird "MUST fly',
      '   * home"; RFC 2549 2.1: no words.',
      '   */',
      'code();',
      'test(\'RFC 1149 B: "Corn MUST be fresh"\', () => {});',
    ].join('\n');
    expect(citationsOf(source)).toEqual([
      { line: 2, rfc: '1149', section: '1', quotes: ['MUST fly home'] },
      { line: 2, rfc: '2549', section: '2.1', quotes: [] },
      { line: 7, rfc: '1149', section: 'B', quotes: ['Corn MUST be fresh'] },
    ]);
  });
});
