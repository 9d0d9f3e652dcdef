/** What a path means and what is sent with a file. */
import {
  CACHE_PRESETS,
  type CachePreset,
  type CacheSetting,
  type Coding,
  type HeaderSetting,
  readCacheControl,
  readCors,
  readHeaders,
} from '../file-values.ts';
import { choice, custom, list, map, optionalText, toggle } from '../option.ts';

export const FILES = {
  /** Names tried, in order, for a path that is a directory. */
  index: list<string>(
    {
      group: 'files',
      help: 'Names tried, in order, for a path that is a directory',
      default: ['index.html'],
      reload: true,
    },
    {
      placeholder: 'NAME',
      expected: 'file names without a slash',
      example: 'index.html',
      pattern: /^(?!\.{1,2}$)[^/]+$/,
    },
  ),
  /** List a directory that has no index. */
  listing: toggle({
    group: 'files',
    help: 'List a directory that has no index',
    default: false,
    reload: true,
  }),
  /** Serve about.html as /about. */
  cleanUrls: toggle({
    group: 'files',
    help: 'Serve about.html as /about, and redirect /about.html to it',
    default: false,
    reload: true,
  }),
  /** Slash at the end of a directory's path. */
  trailingSlash: choice(
    {
      group: 'files',
      help: "Slash at the end of a directory's path: redirect to add it, to remove it, or serve both",
      default: 'add',
      reload: true,
    },
    ['add', 'remove', 'ignore'],
  ),
  /** Names that begin with a dot. */
  dotfiles: choice(
    {
      group: 'files',
      help: 'Names that begin with a dot (below /.well-known/ they are always served)',
      default: 'deny',
      reload: true,
    },
    ['deny', 'allow'],
  ),
  /** Symbolic links; never out of the root. */
  symlinks: choice(
    {
      group: 'files',
      help: 'Symbolic links that stay within the root; those that leave it are never followed',
      default: 'inside',
      reload: true,
    },
    ['inside', 'deny'],
  ),
  /** Codings for which a neighbour (app.js.br) is sent. */
  precompressed: list<Coding>(
    {
      group: 'files',
      help: 'Codings for which a neighbour (app.js.br, .zst, .gz) is sent in place of the file',
      default: ['br', 'zstd', 'gzip'],
      reload: true,
    },
    {
      placeholder: 'CODING',
      expected: 'br, zstd, gzip (or none)',
      example: 'br',
      pattern: /^(?:br|zstd|gzip)$/,
    },
  ),
  /** Cache-Control: a preset or rules. */
  cacheControl: custom<CachePreset | readonly CacheSetting[]>(
    {
      group: 'files',
      help: 'Cache-Control of files: `default` is a year for names with a fingerprint and no-cache for the rest',
      default: 'default',
      reload: true,
    },
    {
      expected: `one of ${CACHE_PRESETS.join(', ')}, or a list of {"match": GLOB, "value": TEXT}`,
      placeholder: 'PRESET',
      example: 'immutable',
      read: readCacheControl,
    },
  ),
  /** Fields added to responses. */
  headers: custom<readonly HeaderSetting[]>(
    {
      group: 'files',
      help: 'Field added to every response (config: with `match`, to paths that a glob matches)',
      default: [],
      reload: true,
    },
    {
      expected:
        '\'NAME: VALUE\', an object of them, or a list of {"match": GLOB, "name": NAME, "value": TEXT}',
      placeholder: "'NAME: VALUE'",
      example: "'X-Frame-Options: DENY'",
      repeatable: true,
      read: readHeaders,
      show: () => 'none',
    },
  ),
  /** Cross-origin reads. */
  cors: custom<false | '*' | readonly string[]>(
    { group: 'files', help: 'Origins that may read across origins', default: false, reload: true },
    {
      expected: "'*', off, or origins such as https://example.org",
      placeholder: 'ORIGIN',
      example: 'https://example.org',
      repeatable: true,
      read: readCors,
      show: () => 'off',
    },
  ),
  /** File served for a path without a file (single-page applications). */
  spa: optionalText(
    {
      group: 'files',
      help: 'File served for a path without a file (single-page application)',
      default: null,
      reload: true,
    },
    { placeholder: 'PATH', expected: 'a path below the root', example: 'index.html' },
  ),
  /** Pages by status. */
  errorPages: map(
    {
      group: 'files',
      help: 'Page of an error status; 404.html at the root needs no mention',
      default: {},
      reload: true,
    },
    {
      placeholder: 'STATUS=PATH',
      expected: 'a status from 400 to 599 and a path below the root',
      example: '404=errors/404.html',
      separator: '=',
      key: /^[45]\d\d$/,
      value: /^[^\0]+$/,
    },
  ),
  /** Media types by extension, before the built-in ones. */
  mimeTypes: map(
    {
      group: 'files',
      help: 'Media type of an extension, before the built-in table',
      default: {},
      reload: true,
    },
    {
      placeholder: 'EXT=TYPE',
      expected: 'an extension without its dot and a media type',
      example: 'wasm=application/wasm',
      separator: '=',
      key: /^[^./\0]+$/,
      value: /^[^/\s]+\/\S/,
    },
  ),
  /** Charset of text types; null sends none. */
  charset: optionalText(
    { group: 'files', help: 'Charset of text types', default: 'utf-8', reload: true },
    {
      placeholder: 'NAME',
      expected: 'a character set, or off',
      example: 'utf-8',
      pattern: /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/,
    },
  ),
  /** X-Content-Type-Options: nosniff. */
  nosniff: toggle({
    group: 'files',
    help: 'Send X-Content-Type-Options: nosniff',
    default: true,
    reload: true,
  }),
};
