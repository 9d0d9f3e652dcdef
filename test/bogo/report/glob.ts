/** Go's path.Match for what patterns of test names use: `*` and literals. */
export function globToRegExp(glob: string): RegExp {
  if (/[?[\\]/.test(glob)) throw new Error(`pattern ${glob}: only * is understood`);
  const literals = glob.split('*').map((part) => part.replace(/[.+^${}()|]/g, '\\$&'));
  return new RegExp(`^${literals.join('[^/]*')}$`);
}
