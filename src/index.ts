/** What `import { serve } from 'socrypt'` gives. */
export { type ErrorCode, isSocryptError, SocryptError } from './errors.ts';
export type { Log } from './observe/log.ts';
export type { MetricRegistry } from './observe/registry.ts';
export { ocf } from './ocf/index.ts';
export type { ServedDriver, WithdrawOptions } from './serve/drivers.ts';
export { UsageError } from './serve/errors.ts';
export type { OffloadReport } from './serve/offload.ts';
export type { ServeSettings, Settings } from './serve/options.ts';
export { serve } from './serve/serve.ts';
export type { ReloadReport, ServeOptions, Server, ServerStats } from './serve/server.ts';
export { VERSION as version } from './serve/version.ts';
