/** The pages that the server itself has to say something on. No external resources, no file-system paths. */
import { createHash } from 'node:crypto';
import { STATUS_CODES } from 'node:http';

const STYLE = `
:root { color-scheme: light dark; --ink: #1d2330; --soft: #5b6474; --line: #e2e5ea; --link: #0b57d0; --page: #fff; --hover: #f4f6f9; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8ec; --soft: #a2aab8; --line: #333a46; --link: #8ab4f8; --page: #15181e; --hover: #1f242d; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1rem; }
h1 { font-size: 1.4rem; font-weight: 600; overflow-wrap: anywhere; }
p { color: var(--soft); }
a { color: var(--link); text-decoration: none; overflow-wrap: anywhere; }
a:hover, a:focus { text-decoration: underline; }
table { width: 100%; border-collapse: collapse; }
th { text-align: left; font-weight: 600; color: var(--soft); }
th, td { padding: .45rem .5rem; border-bottom: 1px solid var(--line); vertical-align: top; }
tbody tr:hover { background: var(--hover); }
th:first-child { width: 100%; }
.size, .date { white-space: nowrap; color: var(--soft); font-variant-numeric: tabular-nums; }
.size { text-align: right; }
@media (max-width: 32rem) { .date { display: none; } }
`;

/** Nothing on these pages may load or run; the style is allowed by its hash. */
export const PAGE_POLICY = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
export const PAGE_TYPE = 'text/html; charset=utf-8';

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** For text and for quoted attributes. Control characters become U+FFFD: they have no place in HTML. */
export function escapeHtml(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is replaced
  return text.replace(/[&<>"']|[\0-\x1f\x7f-\x9f]/g, (character) => ESCAPES[character] ?? '\ufffd');
}

export function page(title: string, body: string): Uint8Array {
  return Buffer.from(
    `<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n` +
      `<title>${escapeHtml(title)}</title>\n<style>${STYLE}</style>\n</head>\n<body>\n<main>\n${body}\n</main>\n</body>\n</html>\n`,
  );
}

const HINTS: Readonly<Record<number, string>> = {
  400: 'The request could not be understood.',
  403: 'This may not be read.',
  404: 'There is nothing here under this name.',
  405: 'Only GET, HEAD and OPTIONS are answered here.',
  408: 'The request took too long to arrive.',
  413: 'The request is too large.',
  414: 'The address is too long.',
  416: 'The file has no such range.',
  431: 'The request header is too large.',
  500: 'Something went wrong on this server.',
  503: 'The server is busy. Please try again in a moment.',
};
const made = new Map<number, Uint8Array>();

/** The built-in page for a status; made once. */
export function statusPage(status: number): Uint8Array {
  let body = made.get(status);
  if (body === undefined) {
    const title = `${status} ${STATUS_CODES[status] ?? 'Error'}`;
    body = page(title, `<h1>${title}</h1>\n<p>${HINTS[status] ?? 'The request could not be answered.'}</p>`);
    made.set(status, body);
  }
  return body;
}
