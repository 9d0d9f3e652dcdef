/** The page of the papers: blanks stay blank, plots stand where the numbers say. */
import { describe, expect, test } from 'vitest';

// JavaScript without declarations, as all of bench/: runs on a clone that nothing was compiled in.
const load = (file: string) => import(new URL(`../../bench/papers/${file}`, import.meta.url).href);
const { experiments } = (await load('experiments/index.mjs')) as {
  experiments: { id: string; title: string }[];
};
const { page, shown } = await load('page.mjs');
const { barPlot, linePlot } = await load('plot.mjs');

const circles = (svg: string) =>
  [...svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)"/g)].map(
    ([, x, y]) => [Number(x), Number(y)] as const,
  );

describe('plots', () => {
  test('equal factors are equal distances on logarithmic axes', () => {
    const svg = linePlot({
      title: 'a < b',
      x: 'bytes',
      y: 'Mb/s',
      logX: true,
      logY: true,
      lines: [
        {
          name: 'one',
          points: [
            [16, 1],
            [256, 10],
            [4096, 100],
          ],
        },
      ],
    });
    const [a, b, c] = circles(svg) as [[number, number], [number, number], [number, number]];
    expect(b[0] - a[0]).toBeCloseTo(c[0] - b[0], 0);
    expect(a[1] - b[1]).toBeCloseTo(b[1] - c[1], 0);
    expect(c[1]).toBeLessThan(a[1]);
    expect(svg).toContain('<title>a &lt; b</title>');
  });

  test('bars of a missing figure are left out, stacked bars add up', () => {
    const heights = (svg: string) =>
      [...svg.matchAll(/height="([\d.]+)" fill="#0|height="([\d.]+)" fill="#d/g)].length;
    const plot = {
      title: 't',
      y: 's',
      groups: ['a', 'b'],
      bars: [
        { name: 'user', values: [1, undefined] },
        { name: 'system', values: [1, 2] },
      ],
    };
    expect(heights(barPlot(plot))).toBe(3);
    const stacked = barPlot({ ...plot, stacked: true });
    const tops = [...stacked.matchAll(/<rect x="[\d.]+" y="([\d.]+)"/g)].map(([, y]) => Number(y));
    // The second part of a begins where the first ends, and both groups are as high as each other.
    expect(tops[1]).toBeCloseTo(tops[2] as number, 0);
  });
});

describe('page', () => {
  test('a figure that the text of the paper does not give is a blank', () => {
    expect([null, undefined, Number.NaN].map(shown)).toEqual(['', '', '']);
    expect(shown(0.012345)).toBe('0.0123');
    expect(shown(12345.6)).toBe('12,346');
  });

  test('every experiment is on it, measured or not', () => {
    const text = page(experiments, {});
    for (const { title } of experiments) expect(text).toContain(`### ${title}\n`);
    expect(text.match(/Not measured yet\./g)).toHaveLength(experiments.length);
    expect(new Set(experiments.map(({ id }) => id)).size).toBe(experiments.length);
  });
});
