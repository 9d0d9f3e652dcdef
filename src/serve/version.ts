import { createRequire } from 'node:module';

// The package by its own name: right from src/, from dist/ and from node_modules/ alike.
const { version } = createRequire(import.meta.url)('socrypt/package.json') as { version: string };

export const VERSION: string = version;
