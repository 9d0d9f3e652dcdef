import type { FileFacts } from '../native.ts';
import { escapeHtml, page } from './pages.ts';
import { baseName } from './path.ts';

/** Shown of one directory at most; the page says so when there are more. */
export const MAX_LISTED = 10_000;

export type Entry = FileFacts & { readonly name: string };

export interface Listing {
  /** Name of the directory below the root; '' is the root. */
  readonly name: string;
  /** Whether the address ends with a slash: what relative links start from. */
  readonly slash: boolean;
  /** Whether addresses of directories do. */
  readonly directorySlash: boolean;
  readonly entries: readonly Entry[];
  readonly truncated: boolean;
}

const order = new Intl.Collator('en', { numeric: true });

/** Directories first, then by name as people count (2 before 10). Only what can be served. */
export function sortEntries(entries: readonly Entry[]): Entry[] {
  return entries
    .filter((entry) => entry.type !== 'other')
    .sort((a, b) => {
      if (a.type !== b.type) return a.type === 'directory' ? -1 : 1;
      return order.compare(a.name, b.name) || (a.name < b.name ? -1 : 1);
    });
}

function day(entry: Entry): string {
  // Beyond what Date can hold (±8.64e15 ms) is no date that a file has.
  const date = new Date(Number(entry.mtimeNs / 1_000_000n));
  return Number.isNaN(date.getTime()) ? '' : date.toISOString();
}

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'];
export function formatSize(size: bigint): string {
  let value = Number(size);
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

export function listingPage(listing: Listing): Uint8Array {
  const { name, slash, directorySlash, entries, truncated } = listing;
  const title = `Index of /${name}`;
  // Relative, so that the page also works behind a proxy that takes a prefix off; "./" keeps "a:b" from being a scheme.
  const base = slash ? './' : `./${encodeURIComponent(baseName(name))}/`;
  const rows: string[] = [];
  if (name !== '') {
    const up = slash ? '../' : './';
    rows.push(
      `<tr><td><a href="${up}" rel="up">../ <span>(up)</span></a></td><td></td><td class="date"></td></tr>`,
    );
  }
  for (const entry of entries) {
    const directory = entry.type === 'directory';
    const href = `${base}${encodeURIComponent(entry.name)}${directory && directorySlash ? '/' : ''}`;
    const time = day(entry);
    // <bdi>: a name may turn the writing direction, and must not turn the rest of its row.
    rows.push(
      `<tr><td><a href="${escapeHtml(href)}"><bdi>${escapeHtml(entry.name)}</bdi>${directory ? '/' : ''}</a></td>` +
        `<td class="size">${directory ? '' : formatSize(entry.size)}</td>` +
        `<td class="date"><time datetime="${time}">${time.slice(0, 16).replace('T', ' ')}</time></td></tr>`,
    );
  }
  const note = truncated
    ? `<p>Only ${MAX_LISTED.toLocaleString('en')} entries are shown; there are more.</p>`
    : entries.length === 0
      ? '<p>This folder is empty.</p>'
      : '';
  return page(
    title,
    `<h1><bdi>${escapeHtml(title)}</bdi></h1>\n<table>\n<thead><tr><th scope="col">Name</th><th scope="col" class="size">Size</th>` +
      `<th scope="col" class="date">Changed (UTC)</th></tr></thead>\n<tbody>\n${rows.join('\n')}\n</tbody>\n</table>\n${note}`,
  );
}

/** { path, truncated, entries: [{ name, type, size (bytes, files only), modified (ISO 8601) }] } */
export function listingJson(listing: Listing): Uint8Array {
  return Buffer.from(
    JSON.stringify({
      path: `/${listing.name}`,
      truncated: listing.truncated,
      entries: listing.entries.map((entry) => ({
        name: entry.name,
        type: entry.type,
        ...(entry.type === 'file' ? { size: Number(entry.size) } : {}),
        modified: day(entry),
      })),
    }),
  );
}
