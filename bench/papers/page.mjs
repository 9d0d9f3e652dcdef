// @ts-check
/** docs/papers.md from the outcomes of all experiments. */

/** @typedef {import('./papers.mjs').Experiment} Experiment */
/** @typedef {import('./papers.mjs').Outcome} Outcome */
/** @typedef {{ date: string, machine: string, outcome: Omit<Outcome, 'plots'> & { plots: string[] } }} Kept */

/** Three digits that count, thousands set apart; a blank for what is not known. @param {string | number | null | undefined} value */
export function shown(value) {
  if (value === null || value === undefined) return '';
  if (typeof value === 'string') return value;
  if (!Number.isFinite(value)) return '';
  if (value !== 0 && Math.abs(value) < 100) return String(Number(value.toPrecision(3)));
  return Math.round(value).toLocaleString('en-US');
}

/** @param {import('./papers.mjs').Table} table */
export function markdown(table) {
  const line = (/** @type {readonly (string | number | null | undefined)[]} */ cells) =>
    `| ${cells.map(shown).join(' | ')} |`;
  return [
    `**${table.caption}**`,
    '',
    line(table.head),
    `|${table.head.map((_, i) => (i === 0 ? ' --- ' : ' ---: ')).join('|')}|`,
    ...table.rows.map(line),
  ].join('\n');
}

/** @param {readonly Experiment[]} experiments @param {Record<string, Kept>} results */
export function page(experiments, results) {
  const lines = [
    "# The papers' experiments, run again",
    '',
    "Each experiment of the papers that can be run again, the paper's figure beside ours. Blank: the paper's text does not",
    'give the figure (the bars of its plots are pictures), or it could not be measured on the machine named. Their machines',
    'were of 1999 to 2016; what can be compared is the shape, and each part says what is different. This page is made by',
    '',
    '    npm run bench:papers -- --write',
    '',
    '(`--list` names the experiments, `--only ID,ID` runs some). Cards that nobody has any more are simulated by the',
    '`model` driver from data files; its time is virtual where the tables say so.',
    '',
  ];
  let paper = '';
  for (const experiment of experiments) {
    if (experiment.paper.name !== paper) {
      paper = experiment.paper.name;
      lines.push(`## ${paper}`, '');
    }
    lines.push(`### ${experiment.title}`, '', `*Different here:* ${experiment.differs}`, '');
    const kept = results[experiment.id];
    if (kept === undefined) {
      lines.push('Not measured yet.', '');
      continue;
    }
    for (const table of kept.outcome.tables) lines.push(markdown(table), '');
    for (const file of kept.outcome.plots) lines.push(`![${experiment.title}](papers/${file})`, '');
    for (const finding of kept.outcome.findings) lines.push(`- ${finding}`);
    if (kept.outcome.findings.length > 0) lines.push('');
    lines.push(
      `<sub>${kept.date}, ${kept.machine}; \`npm run bench:papers -- --only ${experiment.id}\`</sub>`,
      '',
    );
  }
  return `${lines.join('\n').trimEnd()}\n`;
}
