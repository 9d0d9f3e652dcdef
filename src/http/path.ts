/** From the path of a request, as sent, to a name below the root. */

export type RequestPath =
  | {
      readonly kind: 'path';
      /** Decoded, relative to the root, no leading or trailing slash; '' is the root. */
      readonly name: string;
      /** Asks for a directory: "/dir/", "/dir/.", "/dir/x/..". True for the root. */
      readonly slash: boolean;
    }
  | { readonly kind: 'refused'; readonly status: 400 | 404 };

const REFUSED_400: RequestPath = { kind: 'refused', status: 400 };
const REFUSED_404: RequestPath = { kind: 'refused', status: 404 };
const ROOT: RequestPath = { kind: 'path', name: '', slash: true };

/** Needs neither decoding nor normalising. A dot may not follow a slash, nor a slash another. */
const PLAIN = /^(?:\/[A-Za-z0-9_~!$&'()*+,;=:@-][A-Za-z0-9._~!$&'()*+,;=:@-]*)+\/?$/;
/** RFC 3986: a URI is printable ASCII. Anything else did not come from a client that encodes. */
const OUTSIDE_URI = /[^!-~]/;
const BAD_ESCAPE = /%(?![0-9a-fA-F]{2})/;

/**
 * Decodes once (RFC 3986, 2.4), then merges slashes and removes dot segments, encoded or not.
 * 400: malformed escape, NUL, a character that no URI has, or ".." above the root (as nginx).
 * 404: an encoded slash, which no file name can hold, and names that are not UTF-8.
 */
export function parsePath(path: string): RequestPath {
  if (PLAIN.test(path)) {
    return path.endsWith('/')
      ? { kind: 'path', name: path.slice(1, -1), slash: true }
      : { kind: 'path', name: path.slice(1), slash: false };
  }
  if (path === '/' || path === '') return ROOT;
  if (path[0] !== '/' || OUTSIDE_URI.test(path) || BAD_ESCAPE.test(path) || path.includes('%00'))
    return REFUSED_400;
  const encodedSlash = /%2f/i.test(path);
  let decoded: string;
  try {
    decoded = decodeURIComponent(path);
  } catch {
    return REFUSED_404;
  }
  const names: string[] = [];
  let slash = false;
  for (const segment of decoded.split('/')) {
    slash = segment === '' || segment === '.' || segment === '..';
    if (segment === '..') {
      if (names.pop() === undefined) return REFUSED_400;
    } else if (!slash) names.push(segment);
  }
  if (encodedSlash) return REFUSED_404;
  return names.length === 0 ? ROOT : { kind: 'path', name: names.join('/'), slash };
}

/**
 * The path of a name below the root, for Location and links. Exactly one leading slash, and the next
 * character is never a slash or backslash: no "//evil.example" can come out of it.
 */
export function encodePath(name: string, slash: boolean): string {
  const encoded = name.split('/').map(encodeURIComponent).join('/');
  return slash && encoded !== '' ? `/${encoded}/` : `/${encoded}`;
}

/** True when a segment begins with a dot; the first may be ".well-known" (RFC 8615). */
export function isHidden(name: string): boolean {
  if (!name.includes('.')) return false;
  const rest =
    name === '.well-known' ? '' : name.startsWith('.well-known/') ? name.slice('.well-known/'.length) : name;
  return rest[0] === '.' || rest.includes('/.');
}

export function baseName(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}

/** Lower-case, without the dot; '' when there is none. ".profile" has none. */
export function extensionOf(name: string): string {
  const base = baseName(name);
  const dot = base.lastIndexOf('.');
  return dot <= 0 ? '' : base.slice(dot + 1).toLowerCase();
}

export function join(directory: string, name: string): string {
  return directory === '' ? name : `${directory}/${name}`;
}
