import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // A native addon with threads of its own does not survive vitest's thread pool (vitest issues 1488, 8528).
    pool: 'forks',
    execArgv: ['--expose-gc'],
    // Tests wait for peers more than they compute, so none is kept free for the reporter.
    maxWorkers: '100%',
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
