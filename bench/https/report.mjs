// @ts-check
/** From samples to medians, ratios and the table. */

/** @typedef {{ kind: 'file', name: string, bytes: number } | { kind: 'connect', name: string, bytes: number }} Cell */
/** Shares of a core's time; `others` ran programs that are neither the server nor the load. */
/** @typedef {{ busy: number, softirq: number, steal: number, others: number }} CoreUse */
/**
 * One measurement of one peer in one cell.
 * @typedef {import('./load.mjs').LoadResult & { peer: string, cell: string, round: number, core: CoreUse, loadCore: CoreUse }} Sample
 */
/** @typedef {{ peer: string, connections: number, held: number, bytesEach: number, lost: number }} IdleSample */
/**
 * @typedef {object} Results
 * @property {Cell[]} cells
 * @property {{ name: string, version: string }[]} peers
 * @property {Sample[]} samples
 * @property {IdleSample[]} idle
 * @property {Record<string, number>} peakBytes
 */

const BASE = 'nginx';
/** Of the core's time. More than this and the hypervisor, not the server, set the pace. */
export const STEAL_WORTH_A_WORD = 0.05;
export const OTHERS_WORTH_A_WORD = 0.1;
export const SPREAD_WORTH_A_WORD = 0.15;

/** @param {number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Files of 100 KB and more are told in bytes, the rest in answers. @param {Cell} cell */
const inBytes = (cell) => cell.kind === 'file' && cell.bytes >= 100 * 1024;

/** @param {Cell} cell @param {Sample} sample */
const amount = (cell, sample) => (inBytes(cell) ? sample.bodyBytes / 1e9 : sample.responses);
/** @param {Cell} cell @param {Sample} sample */
export const perCpuSecond = (cell, sample) => amount(cell, sample) / sample.serverCpuSeconds;
/** @param {Cell} cell @param {Sample} sample */
export const perSecond = (cell, sample) => amount(cell, sample) / sample.seconds;

/** @param {Cell} cell @param {number} value */
function show(cell, value) {
  if (!Number.isFinite(value)) return 'no answer';
  return inBytes(cell) ? value.toFixed(2) : Math.round(value).toLocaleString('en-US');
}

export const percent = (/** @type {number} */ share) => `${Math.round(share * 100)} %`;

/** @param {Cell} cell */
function title(cell) {
  if (cell.kind === 'connect') return 'new connections';
  const name = cell.name.replace(/k$/, ' KB').replace(/m$/, ' MB').replace(/g$/, ' GB').replace(/b$/, ' B');
  return `${name}, ${inBytes(cell) ? 'GB' : 'requests'}`;
}

/**
 * Median over the rounds, and the median of the ratios to nginx within each round: neighbours in time
 * share the machine's mood, so their ratio is steadier than the ratio of two medians.
 * @param {Results} results @param {Cell} cell @param {string} peer @param {(cell: Cell, sample: Sample) => number} metric
 */
export function summarise(results, cell, peer, metric) {
  const of = (/** @type {string} */ name) =>
    results.samples.filter((sample) => sample.cell === cell.name && sample.peer === name);
  const own = of(peer);
  const base = of(BASE);
  const values = own.map((sample) => metric(cell, sample));
  const ratios = own.flatMap((sample) => {
    const same = base.find((other) => other.round === sample.round);
    return same ? [metric(cell, sample) / metric(cell, same)] : [];
  });
  const value = median(values);
  return {
    value,
    ratio: ratios.length > 0 ? median(ratios) : null,
    spread: (Math.max(...values) - Math.min(...values)) / value,
    errors: own.reduce((sum, sample) => sum + Object.values(sample.errors).reduce((a, b) => a + b, 0), 0),
    resumed: own.reduce((sum, sample) => sum + sample.resumed, 0),
    steal: Math.max(...own.map((sample) => Math.max(sample.core.steal, sample.loadCore.steal))),
    others: Math.max(...own.map((sample) => Math.max(sample.core.others, sample.loadCore.others))),
    serverBusy: median(own.map((sample) => sample.serverCpuSeconds / sample.seconds)),
    loadBusy: median(own.map((sample) => sample.loadCpuSeconds / sample.seconds)),
    p50: median(own.map((sample) => sample.latencyMicroseconds.p50)),
    p99: median(own.map((sample) => sample.latencyMicroseconds.p99)),
  };
}

/** @param {string[][]} rows  the first is the head */
export function markdown(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const line = (/** @type {string[]} */ row) =>
    `| ${row.map((text, column) => (column === 0 ? text.padEnd(widths[column]) : text.padStart(widths[column]))).join(' | ')} |`;
  const rule = `|${widths.map((width, column) => (column === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  return [line(rows[0]), rule, ...rows.slice(1).map(line)].join('\n');
}

/** @param {string} peer @param {number | null} ratio */
export const withRatio = (peer, ratio) => (peer === BASE || ratio === null ? '' : ` (${ratio.toFixed(2)}x)`);

/** @param {Results} results */
export function table(results) {
  const names = results.peers.map((peer) => peer.name);
  const rows = [['per server CPU-second', ...names]];
  for (const cell of results.cells) {
    const texts = names.map((peer) => {
      const { value, ratio, errors, resumed } = summarise(results, cell, peer, perCpuSecond);
      return `${show(cell, value)}${withRatio(peer, ratio)}${errors + resumed > 0 ? ' !' : ''}`;
    });
    rows.push([title(cell), ...texts]);
  }
  rows.push(...memoryRows(results, names));
  const wall = [['per second, as the client saw it (server core busy)', ...names]];
  for (const cell of results.cells) {
    const texts = names.map((peer) => {
      const { value, serverBusy } = summarise(results, cell, peer, perSecond);
      return `${show(cell, value)} (${percent(serverBusy)})`;
    });
    wall.push([title(cell), ...texts]);
  }
  return [markdown(rows), '', markdown(wall), ...notes(results, names)].join('\n');
}

/** @param {Results} results @param {string[]} names */
function memoryRows(results, names) {
  const idle = (/** @type {string} */ peer) => results.idle.find((sample) => sample.peer === peer);
  const ratio = (/** @type {string} */ peer, /** @type {(peer: string) => number | undefined} */ of) => {
    const [own, base] = [of(peer), of(BASE)];
    return own === undefined || base === undefined ? null : own / base;
  };
  const rows = [];
  if (results.idle.length > 0) {
    const each = (/** @type {string} */ peer) => idle(peer)?.bytesEach;
    const texts = names.map(
      (peer) => `${((each(peer) ?? NaN) / 1024).toFixed(1)}${withRatio(peer, ratio(peer, each))}`,
    );
    rows.push([`KB per idle connection (${results.idle[0].connections.toLocaleString('en-US')})`, ...texts]);
  }
  const peak = (/** @type {string} */ peer) => results.peakBytes[peer];
  const texts = names.map(
    (peer) => `${((peak(peer) ?? NaN) / 2 ** 20).toFixed(0)}${withRatio(peer, ratio(peer, peak))}`,
  );
  return [...rows, ['peak resident MB', ...texts]];
}

/** What a reader must know before believing the table. @param {Results} results @param {string[]} names */
function notes(results, names) {
  const lines = [];
  for (const cell of results.cells) {
    for (const peer of names) {
      const summary = summarise(results, cell, peer, perCpuSecond);
      const where = `${peer}, ${title(cell).split(',')[0]}`;
      if (summary.errors > 0)
        lines.push(`! ${where}: ${summary.errors} wrong or missing answers ${kinds(results, cell, peer)}`);
      if (summary.resumed > 0) lines.push(`! ${where}: ${summary.resumed} handshakes were resumed`);
      if (summary.spread > SPREAD_WORTH_A_WORD) {
        lines.push(`${where}: rounds differ by ${percent(summary.spread)}`);
      }
      if (summary.steal > STEAL_WORTH_A_WORD) {
        lines.push(`${where}: the hypervisor took up to ${percent(summary.steal)} of a core`);
      }
      if (summary.others > OTHERS_WORTH_A_WORD) {
        lines.push(
          `${where}: other programs took up to ${percent(summary.others)} of a core; run on a quiet machine`,
        );
      }
    }
  }
  for (const sample of results.idle) {
    if (sample.held < sample.connections || sample.lost > 0) {
      lines.push(
        `! ${sample.peer}: held ${sample.held} of ${sample.connections} idle connections, lost ${sample.lost}`,
      );
    }
  }
  return lines.length > 0 ? ['', ...lines.map((line) => `- ${line}`)] : [];
}

/** @param {Results} results @param {Cell} cell @param {string} peer */
function kinds(results, cell, peer) {
  /** @type {Record<string, number>} */
  const sum = {};
  for (const sample of results.samples) {
    if (sample.cell !== cell.name || sample.peer !== peer) continue;
    for (const [kind, count] of Object.entries(sample.errors))
      if (count > 0) sum[kind] = (sum[kind] ?? 0) + count;
  }
  return JSON.stringify(sum);
}

/** For the JSON: every cell of every peer, both metrics. @param {Results} results */
export function summaries(results) {
  return results.cells.flatMap((cell) =>
    results.peers.map((peer) => {
      const cpu = summarise(results, cell, peer.name, perCpuSecond);
      const wall = summarise(results, cell, peer.name, perSecond);
      const unit = inBytes(cell) ? 'GB' : 'responses';
      return {
        cell: cell.name,
        peer: peer.name,
        unit,
        perCpuSecond: cpu.value,
        ratioToNginx: cpu.ratio,
        spread: cpu.spread,
        perSecond: wall.value,
        serverBusy: cpu.serverBusy,
        loadBusy: cpu.loadBusy,
        latencyMicroseconds: { p50: cpu.p50, p99: cpu.p99 },
        errors: cpu.errors,
        resumed: cpu.resumed,
      };
    }),
  );
}
