// @ts-check
/** Plots as SVG files of their own: lines over sizes, bars in groups. No library, no script, readable on either background. */

/** @typedef {{ name: string, points: readonly (readonly [number, number])[], dashed?: boolean, colour?: number }} Line  `colour`: lines with the same belong together */
/** @typedef {{ title: string, x: string, y: string, logX?: boolean, logY?: boolean, lines: readonly Line[] }} LinePlot */
/** @typedef {{ title: string, y: string, groups: readonly string[], bars: readonly { name: string, values: readonly (number | undefined)[] }[], stacked?: boolean }} BarPlot */

const WIDTH = 820;
const HEIGHT = 400;
const LEFT = 72;
const RIGHT = 260;
const TOP = 44;
const BOTTOM = 52;
// Okabe and Ito's palette, which colour-blind readers can tell apart.
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#7f7f7f', '#a6761d'];

const escaped = (/** @type {string} */ text) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

const short = (/** @type {number} */ value) => {
  if (value === 0) return '0';
  for (const [unit, name] of /** @type {const} */ ([
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ]))
    if (Math.abs(value) >= unit) return `${Number((value / unit).toPrecision(3))}${name}`;
  return String(Number(value.toPrecision(2)));
};

/** Round steps that cover `limit`. @param {number} limit */
function linearTicks(limit) {
  const rough = limit / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((value) => value >= rough) ?? rough;
  const count = Math.ceil(limit / step - 1e-9);
  return Array.from({ length: count + 1 }, (_, i) => i * step);
}

/** Powers of ten around `[low, high]`. @param {number} low @param {number} high */
function logTicks(low, high) {
  const from = Math.floor(Math.log10(low) + 1e-9);
  const to = Math.max(from + 1, Math.ceil(Math.log10(high) - 1e-9));
  return Array.from({ length: to - from + 1 }, (_, i) => 10 ** (from + i));
}

/** @param {readonly number[]} ticks @param {boolean | undefined} log @param {number} from @param {number} to pixels */
function scale(ticks, log, from, to) {
  const first = /** @type {number} */ (ticks[0]);
  const last = /** @type {number} */ (ticks.at(-1));
  const place = (/** @type {number} */ value) =>
    log ? Math.log(value / first) / Math.log(last / first) : (value - first) / (last - first);
  return (/** @type {number} */ value) => from + place(value) * (to - from);
}

/** @param {string} title @param {string} y @param {readonly string[]} parts */
function document(title, y, parts) {
  const middle = (TOP + HEIGHT - BOTTOM) / 2;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" font-family="sans-serif" font-size="12">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    `<text x="${LEFT}" y="24" font-size="14" font-weight="bold">${escaped(title)}</text>`,
    `<text transform="translate(16 ${middle}) rotate(-90)" text-anchor="middle">${escaped(y)}</text>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}

/** @param {readonly number[]} ticks @param {(value: number) => number} at */
const rows = (ticks, at) =>
  ticks.flatMap((tick) => [
    `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at(tick).toFixed(1)}" y2="${at(tick).toFixed(1)}" stroke="#dddddd"/>`,
    `<text x="${LEFT - 6}" y="${(at(tick) + 4).toFixed(1)}" text-anchor="end">${short(tick)}</text>`,
  ]);

/** @param {readonly { name: string, dashed?: boolean, colour?: number }[]} entries */
const legend = (entries) =>
  entries.flatMap(({ name, dashed, colour: group }, i) => {
    const y = TOP + 10 + i * 18;
    const colour = COLOURS[(group ?? i) % COLOURS.length];
    return [
      `<line x1="${WIDTH - RIGHT + 12}" x2="${WIDTH - RIGHT + 36}" y1="${y}" y2="${y}" stroke="${colour}" stroke-width="3"${dashed ? ' stroke-dasharray="5 4"' : ''}/>`,
      `<text x="${WIDTH - RIGHT + 42}" y="${y + 4}">${escaped(name)}</text>`,
    ];
  });

/** @param {LinePlot} plot @returns {string} SVG */
export function linePlot(plot) {
  const lines = plot.lines.filter((line) => line.points.length > 0);
  const xs = lines.flatMap((line) => line.points.map(([x]) => x));
  const ys = lines.flatMap((line) => line.points.map(([, y]) => y));
  const yTicks = plot.logY ? logTicks(Math.min(...ys), Math.max(...ys)) : linearTicks(Math.max(...ys));
  const steps = [...new Set(xs)].sort((a, b) => a - b);
  const atX = scale(
    [/** @type {number} */ (steps[0]), /** @type {number} */ (steps.at(-1))],
    plot.logX,
    LEFT + 10,
    WIDTH - RIGHT - 10,
  );
  const atY = scale(yTicks, plot.logY, HEIGHT - BOTTOM, TOP);
  const parts = [...rows(yTicks, atY)];
  for (const step of steps)
    parts.push(
      `<text x="${atX(step).toFixed(1)}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${step >= 1024 && step % 1024 === 0 ? `${step / 1024}K` : step < 1024 ? step : short(step)}</text>`,
    );
  parts.push(
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 14}" text-anchor="middle">${escaped(plot.x)}</text>`,
  );
  lines.forEach((line, i) => {
    const colour = COLOURS[(line.colour ?? i) % COLOURS.length];
    const places = line.points.map(([x, y]) => `${atX(x).toFixed(1)},${atY(y).toFixed(1)}`);
    parts.push(
      `<polyline fill="none" stroke="${colour}" stroke-width="2"${line.dashed ? ' stroke-dasharray="5 4"' : ''} points="${places.join(' ')}"/>`,
    );
    for (const [x, y] of line.points)
      parts.push(`<circle cx="${atX(x).toFixed(1)}" cy="${atY(y).toFixed(1)}" r="3" fill="${colour}"/>`);
  });
  return document(plot.title, plot.y, [...parts, ...legend(lines)]);
}

/** @param {BarPlot} plot @returns {string} SVG */
export function barPlot(plot) {
  const sums = plot.groups.map((_, g) =>
    plot.stacked
      ? plot.bars.reduce((sum, bar) => sum + (bar.values[g] ?? 0), 0)
      : Math.max(...plot.bars.map((bar) => bar.values[g] ?? 0)),
  );
  const ticks = linearTicks(Math.max(...sums));
  const atY = scale(ticks, false, HEIGHT - BOTTOM, TOP);
  const parts = [...rows(ticks, atY)];
  const group = (WIDTH - RIGHT - LEFT) / plot.groups.length;
  plot.groups.forEach((name, g) => {
    const from = LEFT + g * group + group * 0.12;
    const width = (group * 0.76) / (plot.stacked ? 1 : plot.bars.length);
    let base = 0;
    plot.bars.forEach((bar, b) => {
      const value = bar.values[g];
      if (value === undefined) return;
      const top = atY(base + value);
      const x = plot.stacked ? from : from + b * width;
      parts.push(
        `<rect x="${x.toFixed(1)}" y="${top.toFixed(1)}" width="${(width * 0.94).toFixed(1)}" height="${(atY(base) - top).toFixed(1)}" fill="${COLOURS[b % COLOURS.length]}"/>`,
      );
      if (plot.stacked) base += value;
    });
    parts.push(
      `<text x="${(LEFT + (g + 0.5) * group).toFixed(1)}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${escaped(name)}</text>`,
    );
  });
  return document(plot.title, plot.y, [...parts, ...legend(plot.bars)]);
}
