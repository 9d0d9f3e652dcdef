import { SocryptError } from '../errors.ts';

/**
 * Compiles a glob over served paths ("/assets/app.js"). `*` and `?` stay within one segment, `**` crosses
 * segments, `{a,b}` are alternatives, `\` takes the next character as it is. A glob without a slash matches
 * the last segment ("*.html"); one with a slash matches from the root ("/assets/**", "assets/**").
 */
export function compileGlob(glob: string): (path: string) => boolean {
  if (glob === '') throw invalid(glob, 'it is empty');
  if (glob === '**' || glob === '/**') return () => true;
  const anchored = glob.includes('/');
  let source = anchored ? '^/' : '/';
  let depth = 0;
  for (let at = anchored && glob[0] === '/' ? 1 : 0; at < glob.length; at++) {
    const character = glob[at]!;
    if (character === '*' && glob[at + 1] === '*') {
      while (glob[at + 1] === '*') at++;
      // "a/**/b" also matches "a/b".
      if (glob[at + 1] === '/' && source.endsWith('/')) {
        at++;
        source += '(?:[^]*/)?';
      } else source += '[^]*';
    } else if (character === '*') source += '[^/]*';
    else if (character === '?') source += '[^/]';
    else if (character === '{') {
      depth++;
      source += '(?:';
    } else if (character === '}' && depth > 0) {
      depth--;
      source += ')';
    } else if (character === ',' && depth > 0) source += '|';
    else {
      const literal = character === '\\' && at + 1 < glob.length ? glob[++at]! : character;
      source += literal.replace(/[\\^$.*+?()[\]{}|/]/, '\\$&');
    }
  }
  if (depth > 0) throw invalid(glob, 'a "{" is not closed');
  const expression = new RegExp(`${source}$`);
  return (path) => expression.test(path);
}

function invalid(glob: string, why: string): SocryptError {
  return new SocryptError(
    'ERR_SOCRYPT_HTTP_OPTION',
    `Expected a glob such as "/assets/**" or "*.html", got ${JSON.stringify(glob)}: ${why}.`,
  );
}
