/** Which build it is, of processes without a TLS library of their own (a server's says that, too: families.ts). */
import type { Family } from './families.ts';

export const buildInfo: Family<{ readonly version: string }> = {
  name: 'socrypt_build_info',
  type: 'gauge',
  help: 'Build information.',
  samples: ({ version }) => [{ labels: { version, node: process.version }, value: 1 }],
};
