/** What is said about options: --help, and the tables of docs/serve.md. */
import type { Group } from './option.ts';
import { defaultOf, flagOf, GROUPS, type OptionKey, optionKeys, optionOf, variableOf } from './options.ts';

const groups = Object.keys(GROUPS) as Group[];
const ofGroup = (group: Group): OptionKey[] => optionKeys.filter((key) => optionOf(key).group === group);

function shownDefault(key: OptionKey): string {
  const option = optionOf(key);
  return option.defaultText ?? option.show(defaultOf(key));
}

function flagUsage(key: OptionKey): string {
  const option = optionOf(key);
  if (option.isSwitch) return `--${defaultOf(key) === true ? 'no-' : ''}${flagOf(key)}`;
  return `--${flagOf(key)} ${option.placeholder}${option.repeatable ? '…' : ''}`;
}

function wrap(text: string, width: number, indent: string): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  lines.push(line);
  return lines.join(`\n${indent}`);
}

const COLUMN = 34;

export function serveHelp(width = 100): string {
  const indent = ' '.repeat(COLUMN);
  const entry = (usage: string, help: string) => {
    const left = `  ${usage}`;
    const gap = left.length < COLUMN - 1 ? ' '.repeat(COLUMN - left.length) : `\n${indent}`;
    return `${left}${gap}${wrap(help, Math.max(30, width - COLUMN), indent)}`;
  };
  const sections = groups.map((group) => {
    const entries = ofGroup(group)
      .filter((key) => key !== 'root')
      .map((key) => entry(flagUsage(key), `${optionOf(key).help} [${shownDefault(key)}]`));
    return `${GROUPS[group]}:\n${entries.join('\n')}`;
  });
  return [
    'Usage: socrypt serve [ROOT] [OPTIONS]',
    'Serves the directory ROOT (default: the current one) over HTTPS.',
    ...sections,
    `Other:\n${entry('-c, --config FILE', 'Config file, JSON; its keys are the options in camelCase [off]')}\n${entry('-h, --help', 'This text')}`,
    wrap(
      'Every option can also be set in the environment (--metrics-port is SOCRYPT_METRICS_PORT, lists take commas) and in the config file (metricsPort). A flag counts before the environment, the environment before the file.',
      width,
      '',
    ),
    wrap(
      "SIGHUP reloads certificates, config and files' policy; SIGTERM and SIGINT end open transfers first, a second one ends at once.",
      width,
      '',
    ),
  ].join('\n\n');
}

const cell = (text: string) => text.replaceAll('|', '\\|');

/** The tables of docs/serve.md, one per group. */
export function optionTables(): string {
  const sections = groups.map((group) => {
    const rows = ofGroup(group).map((key) => {
      const option = optionOf(key);
      const flag = key === 'root' ? '`ROOT` or `--root DIR`' : `\`${flagUsage(key)}\``;
      const reload = option.reload === true ? 'yes' : 'no';
      return `| \`${key}\` | ${cell(flag)} | \`${variableOf(key)}\` | ${cell(shownDefault(key))} | ${cell(option.expected)} | ${reload} | ${cell(option.help)} |`;
    });
    const head =
      '| key | flag | environment | default | expects | reload | meaning |\n|---|---|---|---|---|---|---|';
    return `### ${GROUPS[group]}\n\n${head}\n${rows.join('\n')}`;
  });
  return sections.join('\n\n');
}
