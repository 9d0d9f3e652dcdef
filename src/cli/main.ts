#!/usr/bin/env -S node --max-semi-space-size=4
// A burst of handshakes leaves nothing behind but garbage; V8 would let its young generation grow to 16 MiB
// and more before it looked, which is memory that idle connections seem to cost.
import { processIo } from './io.ts';
import { run } from './run.ts';

// Not process.exit(): what is still on its way to stdout or the log would be lost.
process.exitCode = await run(process.argv.slice(2), processIo());
