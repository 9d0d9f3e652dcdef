/** Metrics and logs. */
import { choice, optionalPort, optionalText, text, toggle } from '../option.ts';
import { FILE, HOST } from './kinds.ts';

export const OBSERVE = {
  /** Port of the admin listener: /metrics, /healthz, /readyz. */
  metricsPort: optionalPort({
    group: 'observe',
    help: 'Port of the admin listener (plain HTTP): /metrics, /healthz, /readyz',
    default: null,
  }),
  /** Address of the admin listener. */
  metricsHost: text({ group: 'observe', help: 'Address of the admin listener', default: '127.0.0.1' }, HOST),
  /** process_* and nodejs_* metrics beside our own. */
  processMetrics: toggle({
    group: 'observe',
    help: "Also export prom-client's process_* and nodejs_* metrics",
    default: false,
  }),
  /** Least severe level that is logged. */
  logLevel: choice(
    { group: 'observe', help: 'Least severe level of the JSON log on stderr', default: 'info', reload: true },
    ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
  ),
  /** File of the access log, '-' for stdout, null for none. */
  accessLog: optionalText(
    { group: 'observe', help: 'File of the access log, `-` for stdout', default: null },
    { ...FILE, expected: "a path, '-' for stdout, or off", example: './access.log' },
  ),
  /** File that the secrets of every connection are written to, null for none. */
  keylog: optionalText(
    {
      group: 'observe',
      help: 'Write the secrets of every connection to this file (NSS key log, for Wireshark): whoever reads it reads all traffic',
      default: null,
    },
    { ...FILE, example: './keys.log' },
  ),
  /** Unix socket for `socrypt ocf attach`, `socrypt nic flows` and the like; null for none. */
  control: optionalText(
    {
      group: 'observe',
      help: 'Unix socket for `socrypt ocf attach`, `withdraw` and `list`, and `socrypt nic status`, `flows` and `trace`, of this user alone',
      default: null,
    },
    { placeholder: 'PATH', expected: 'a path', example: '/run/socrypt.sock' },
  ),
  /** Form of the access log's lines. */
  accessLogFormat: choice({ group: 'observe', help: "Form of the access log's lines", default: 'combined' }, [
    'combined',
    'json',
  ]),
};
