/** Connections and cached files both hold descriptors; what they may hold together is the kernel's word. */
import { readFileSync } from 'node:fs';

/** The soft limit on open files of this process, which node has raised to the hard one; Infinity: none. */
export function openFileLimit(limits = readLimits()): number {
  const match = /^Max open files\s+(\S+)/m.exec(limits);
  return match === null || match[1] === 'unlimited' ? Number.POSITIVE_INFINITY : Number(match[1]);
}

function readLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'utf8');
  } catch {
    return '';
  }
}

export interface Shares {
  /** Per engine. */
  readonly maxConnections: number;
  readonly cacheEntries: number;
  /** null: nothing had to be cut. */
  readonly warning: string | null;
}

/** Descriptors for everything else: libuv, logs, listeners, epoll, files on their way to an engine. */
const RESERVE = 48;
/** A cached entry may hold a file and its precompressed neighbours, but mostly holds one or two. */
const FILES_PER_ENTRY = 2;

/** Cuts connections and cache so that running out of descriptors is rare, and says so. */
export function shareFileLimit(
  wanted: { readonly maxConnections: number; readonly cacheEntries: number; readonly workers: number },
  limit: number,
): Shares {
  const { workers } = wanted;
  const each = Math.ceil(wanted.maxConnections / workers);
  const left = Math.max(limit - RESERVE, 16);
  if (each * workers + wanted.cacheEntries * workers * FILES_PER_ENTRY <= left) {
    return { maxConnections: each, cacheEntries: wanted.cacheEntries, warning: null };
  }
  // Connections come first; the cache keeps at least a quarter, or every file would be opened anew.
  const connections = Math.min(each * workers, Math.floor((left * 3) / 4));
  const maxConnections = Math.max(1, Math.floor(connections / workers));
  const entries = Math.floor((left - maxConnections * workers) / (workers * FILES_PER_ENTRY));
  const cacheEntries = Math.max(1, Math.min(wanted.cacheEntries, entries));
  const cut = maxConnections < each;
  return {
    maxConnections,
    cacheEntries,
    // A smaller cache is only slower; fewer connections are what the operator did not ask for.
    warning: cut
      ? `the limit of ${limit} open files allows ${maxConnections * workers} of ${wanted.maxConnections} connections at once; raise it (ulimit -n, systemd: LimitNOFILE=)`
      : null,
  };
}
