import { describe, expect, it } from 'vitest';
import { JsonError, parseJson } from '../../src/serve/json.ts';

describe('located JSON', () => {
  it('agrees with JSON.parse on valid texts', () => {
    const texts = [
      'null',
      ' true ',
      '-0.5e+3',
      '0',
      '"\\u00e9\\n\\"\\\\\\/\\ud83d\\ude00"',
      '[]',
      '{}',
      '{"a":[1,2,{"b":null}],"c":{"d":"x"}, "e" : [ ] }',
      '\r\n\t[false , "ü"]\n',
    ];
    for (const text of texts) expect(parseJson(text).value).toEqual(JSON.parse(text));
  });

  it('refuses what JSON.parse refuses', () => {
    const texts = [
      '',
      '{',
      '[1,]',
      '{"a":1,}',
      "{'a':1}",
      '{a:1}',
      '01',
      '1.',
      '.5',
      '+1',
      'NaN',
      'truex',
      '"a\nb"',
      '"\\x41"',
      '"\\u12"',
      '[1 2]',
      '{"a" 1}',
      '1 2',
      '"',
      '"\\',
    ];
    for (const text of texts) {
      expect(() => JSON.parse(text), text).toThrow();
      expect(() => parseJson(text), text).toThrow(JsonError);
    }
  });

  it('says where a value stands and where a text breaks', () => {
    const text = '{\n  "a": 1,\n  "limits": { "b": [10,\n 20] }\n}';
    const located = parseJson(text);
    expect(located.placeOf(['a'])).toEqual({ line: 2, column: 3 });
    expect(located.placeOf(['limits', 'b'])).toEqual({ line: 3, column: 15 });
    expect(located.placeOf(['limits', 'b', 1])).toEqual({ line: 4, column: 2 });
    const place = (broken: string) => {
      try {
        parseJson(broken);
      } catch (error) {
        return [(error as JsonError).place.line, (error as JsonError).place.column];
      }
      return null;
    };
    expect(place('{\n  "a": 1\n  "b": 2\n}')).toEqual([3, 3]);
    expect(place('{\n  // hi\n}')).toEqual([2, 3]);
    expect(place('{"a": 1, "a": 2}')).toEqual([1, 10]);
    expect(place('\n\n"open')).toEqual([3, 1]);
  });

  it('keeps __proto__ a key and bounds the depth', () => {
    const value = parseJson('{"__proto__": {"x": 1}}').value as object;
    expect(Object.keys(value)).toEqual(['__proto__']);
    expect(({} as { x?: number }).x).toBeUndefined();
    expect(() => parseJson('['.repeat(100_000))).toThrow(/nested deeper/);
  });
});
