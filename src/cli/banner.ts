/** What `socrypt serve` says when it is up. */
import { networkInterfaces } from 'node:os';
import { dirname, resolve } from 'node:path';
import { hostPort } from '../observe/listener.ts';
import { urlOf } from '../serve/address.ts';
import type { LoadedCredentials } from '../serve/credentials.ts';
import type { Server } from '../serve/server.ts';

/** Addresses of this machine that others may reach, when the server listens on all of them. */
function otherUrls({ host, port }: Server['address']): string[] {
  if (host !== '0.0.0.0' && host !== '::') return [];
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, family, address }) => {
      // Link-local addresses need a zone, which no URL can carry.
      return !internal && (family === 'IPv4' || (host === '::' && !address.startsWith('fe80:')));
    })
    .map(({ address }) => urlOf(address, port));
}

function certificateLines({ store, development }: LoadedCredentials): string[] {
  const lines = store.credentials.map((credential) => {
    const names = [...credential.names, ...credential.ipAddresses];
    const shown =
      names.length > 4 ? `${names.slice(0, 4).join(', ')} and ${names.length - 4} more` : names.join(', ');
    const kind =
      credential.key.type === 'ec' ? `ECDSA ${credential.key.curve}` : credential.key.type.toUpperCase();
    return `${shown || credential.subject} (${kind}, until ${credential.notAfter.toISOString().slice(0, 10)})`;
  });
  if (development === null) return lines;
  if ('certFile' in development) {
    const made = development.created
      ? `made now, since ${development.reason}; kept in`
      : 'for development; kept in';
    return [
      ...lines,
      `${made} ${dirname(development.certFile)}`,
      'browsers warn of it, since no authority they know has signed it; to use it without a warning:',
      `  curl --cacert ${development.certFile} …`,
      `  NODE_EXTRA_CA_CERTS=${development.certFile} node …`,
      '  a browser: import that file as trusted for this site, or give --cert and --key of one it knows',
    ];
  }
  return [
    ...lines,
    `for development, in memory only: ${development.reason}`,
    'browsers warn of it; give --cert and --key',
  ];
}

export function banner(server: Server): string {
  const { address, settings, offload, redirectAddress, adminAddress } = server;
  const rows: [string, string[]][] = [
    ['url', [address.url, ...otherUrls(address)]],
    ['root', [resolve(settings.root)]],
    ['certificate', certificateLines(server.credentials)],
    [
      'offload',
      [
        `${offload.path}: ${offload.engine}; ${offload.reason}`,
        ...offload.others.map(({ path, why }) => `not ${path}: ${why}`),
      ],
    ],
    ['engines', [String(settings.workers)]],
  ];
  if (redirectAddress !== null)
    rows.push(['redirect', [`http://${hostPort(redirectAddress.host, redirectAddress.port)}/`]]);
  if (adminAddress !== null)
    rows.push(['metrics', [`http://${hostPort(adminAddress.host, adminAddress.port)}/metrics`]]);
  const width = Math.max(...rows.map(([name]) => name.length)) + 2;
  const lines = rows.flatMap(([name, values]) =>
    values.map((value, i) => `  ${(i === 0 ? name : '').padEnd(width)}${value}`),
  );
  return `socrypt serves\n${lines.join('\n')}\n`;
}
