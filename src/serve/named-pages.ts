/** Pages that options name and the root lacks: no error, since they may come later, but most often a misspelling. */
import type { ServedRoot } from '../http/root.ts';
import { native } from '../native.ts';
import type { Settings } from './options.ts';

/** The options whose page is no regular file below the root now. */
export async function missingPages(
  root: ServedRoot,
  { spa, errorPages }: Pick<Settings, 'spa' | 'errorPages'>,
): Promise<{ readonly option: string; readonly path: string }[]> {
  const named = Object.entries(errorPages).map(([status, path]) => ({
    option: `errorPages ${status}`,
    path,
  }));
  if (typeof spa === 'string') named.push({ option: 'spa', path: spa });
  if (named.length === 0) return [];
  const lease = root.acquire();
  try {
    const found = await native.files.openBeneath(
      lease.fd,
      named.map(({ path }) => path.replace(/^\/+/, '')),
    );
    return named.filter((_, i) => {
      const one = found[i];
      if (typeof one !== 'object') return true;
      if (one.fd >= 0) native.files.close(one.fd);
      return one.type !== 'file';
    });
  } finally {
    lease.release();
  }
}
