import { mimes } from 'mrmime';
import type { ResolvedHttpOptions } from './options.ts';
import { baseName, extensionOf } from './path.ts';

/**
 * Where mrmime (made from mime-db, without its vnd. and x- types) has nothing, or something that browsers
 * do not take. The registered ones are in https://www.iana.org/assignments/media-types.
 */
const OWN: Readonly<Record<string, string>> = {
  // RFC 9239: text/javascript for both.
  js: 'text/javascript',
  mjs: 'text/javascript',
  cjs: 'text/javascript',
  // What browsers know; mime-db's image/vnd.microsoft.icon is IANA's name for it.
  ico: 'image/x-icon',
  br: 'application/octet-stream',
  // RFC 8878.
  zst: 'application/zstd',
  tgz: 'application/gzip',
  flac: 'audio/flac',
  m4b: 'audio/mp4',
  // RFC 9512.
  yaml: 'application/yaml',
  yml: 'application/yaml',
  // RFC 8216.
  m3u8: 'application/vnd.apple.mpegurl',
  ndjson: 'application/x-ndjson',
  '7z': 'application/x-7z-compressed',
  apk: 'application/vnd.android.package-archive',
  bz2: 'application/x-bzip2',
  deb: 'application/vnd.debian.binary-package',
  eot: 'application/vnd.ms-fontobject',
  iso: 'application/x-iso9660-image',
  rar: 'application/vnd.rar',
  tar: 'application/x-tar',
  xz: 'application/x-xz',
  doc: 'application/msword',
  docx: 'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
  odp: 'application/vnd.oasis.opendocument.presentation',
  ods: 'application/vnd.oasis.opendocument.spreadsheet',
  odt: 'application/vnd.oasis.opendocument.text',
  ppt: 'application/vnd.ms-powerpoint',
  pptx: 'application/vnd.openxmlformats-officedocument.presentationml.presentation',
  xls: 'application/vnd.ms-excel',
  xlsx: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
};
/** Files that have a type by name. Apple's association file has no extension and must be JSON. */
const NAMES: Readonly<Record<string, string>> = { 'apple-app-site-association': 'application/json' };

const TEXT =
  /^(?:text\/|application\/(?:javascript|json|xml|yaml|toml|[a-z0-9.-]+\+(?:json|xml))|image\/svg\+xml)/;

/** "constructor" is a possible extension. */
function own(table: Readonly<Record<string, string>>, key: string): string | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}

/** The Content-Type of a file, charset included. */
export function contentType(name: string, options: ResolvedHttpOptions): string {
  const extension = extensionOf(name);
  const type =
    options.mimeTypes.get(extension) ??
    (extension === '' ? own(NAMES, baseName(name)) : (own(OWN, extension) ?? own(mimes, extension))) ??
    'application/octet-stream';
  if (options.charset === undefined || type.includes(';') || !TEXT.test(type)) return type;
  return `${type}; charset=${options.charset}`;
}
