/** `socrypt serve`: options, banner, signals. */
import { createLog } from '../observe/log.ts';
import { settingsFromCommandLine } from '../serve/option-sources.ts';
import { startServer } from '../serve/serve.ts';
import type { Server } from '../serve/server.ts';
import { banner } from './banner.ts';
import { EXIT_INTERRUPTED, EXIT_OK, EXIT_TERMINATED, type Io } from './io.ts';

export async function serveCommand(args: readonly string[], io: Io): Promise<number> {
  const { settings, configFile } = settingsFromCommandLine(args, io.env);
  const log = createLog(settings.logLevel);

  // From here on, not from when the server is up: a signal during the start must not kill it half-way, nor be lost.
  let stop: (signal: Stop) => void = () => {};
  const stopping = new Promise<Stop>((resolve) => {
    stop = resolve;
  });
  let server: Server | undefined;
  let exitStatus = EXIT_OK;
  let ending = false;
  const onStop = (signal: Stop) => {
    if (!ending) {
      ending = true;
      stop(signal);
    } else if (server !== undefined) {
      exitStatus = signal === 'SIGINT' ? EXIT_INTERRUPTED : EXIT_TERMINATED;
      log.warn({ signal }, 'second signal: ending at once');
      void server.close(0);
    }
  };
  const onReload = () => void (server && reload(server, args, io));
  const off = [
    io.onSignal('SIGINT', () => onStop('SIGINT')),
    io.onSignal('SIGTERM', () => onStop('SIGTERM')),
    io.onSignal('SIGHUP', onReload),
  ];
  try {
    server = await startServer(settings, { logger: log });
    const text = banner(server);
    // With the access log on stdout the banner would be a broken line of it.
    if (settings.accessLog === '-') io.err(text);
    else io.out(text);
    if (configFile !== null) log.info({ config: configFile }, 'config file');
    const signal = await stopping;
    log.info({ signal }, 'ending after open transfers; a second signal ends at once');
    await server.close();
    return exitStatus;
  } finally {
    for (const one of off) one();
  }
}

type Stop = 'SIGINT' | 'SIGTERM';

/** SIGHUP: the same flags and environment, the config file as it is now. */
async function reload(server: Server, args: readonly string[], io: Io): Promise<void> {
  try {
    await server.reload(() => settingsFromCommandLine(args, io.env).settings);
  } catch {
    // reload() has logged why.
  }
}
