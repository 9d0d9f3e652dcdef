/** Reading Accept (RFC 9110, 12.5.1), as far as a static server needs it. */

/** Quality of `type/subtype` in [0, 1]; `explicit` counts only a range that names the type in full. */
export function quality(accept: string | undefined, type: string, explicit = false): number {
  if (accept === undefined || accept.trim() === '') return explicit ? 0 : 1;
  const group = `${type.slice(0, type.indexOf('/'))}/*`;
  let best = 0;
  let specificity = -1;
  for (const element of accept.split(',')) {
    const [range, ...parameters] = element.split(';').map((part) => part.trim().toLowerCase());
    const precise = range === type ? 2 : range === group ? 1 : range === '*/*' ? 0 : -1;
    if (precise <= specificity || (explicit && precise !== 2)) continue;
    specificity = precise;
    const q = parameters.find((parameter) => parameter.startsWith('q='));
    best = q === undefined ? 1 : /^q=(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(q) ? Number(q.slice(2)) : 0;
  }
  return best;
}

/** JSON rather than HTML: only when asked for more than HTML, so that a plain client gets a page. */
export function prefersJson(accept: string | undefined): boolean {
  const json = quality(accept, 'application/json', true);
  return json > 0 && json > quality(accept, 'text/html', true);
}
