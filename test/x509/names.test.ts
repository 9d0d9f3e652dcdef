import { describe, expect, test } from 'vitest';
import { authority, der, type Entity, ec, ext, gn, hex, name, sequence } from './forge.ts';
import { anchorsOf, judge, LOW, leafKeys, leafOf, low, middle, root, withSan } from './zoo.ts';

describe('names of servers', () => {
  const names = [
    gn.dns('exact.example'),
    gn.dns('*.wild.example'),
    gn.dns('*.tld'),
    gn.dns('part*.example'),
    gn.dns('a.*.example'),
    gn.dns('*'),
    gn.dns('xn--bcher-kva.example'),
    gn.dns('UPPER.example'),
    gn.dns('192.0.2.99'),
    gn.dns('nul.example\0.evil.example'),
    gn.ip(192, 0, 2, 7),
    gn.ip(...hex('20010db8000000000000000000000001')),
    gn.ip(10, 0, 0, 1, 255, 0, 0, 0),
    gn.uri('https://uri.example/'),
    gn.email('x@mail.example'),
  ];
  const leaf = leafOf(root, {
    subject: { name: name('CN=common.example'), keys: leafKeys },
    ...withSan(...names),
  });
  const good = [
    'exact.example',
    'EXACT.Example',
    'exact.example.',
    'a.wild.example',
    'xn--bcher-kva.example',
    'upper.EXAMPLE',
    '192.0.2.7',
    '2001:db8::1',
    '2001:DB8:0:0:0:0:0:1',
  ];
  const bad = [
    'other.example',
    'wild.example',
    'a.b.wild.example',
    '.wild.example',
    '*.wild.example',
    'a.tld',
    'parting.example',
    'a.b.example',
    'localhost',
    'common.example', // RFC 9525 2: no fall-back to the common name
    'bücher.example', // U-labels are the caller's to convert
    '192.0.2.99', // an address in a dNSName is none
    '192.0.2.8',
    '192.0.2.007',
    '10.0.0.1',
    '2001:db8::2',
    '::ffff:192.0.2.7',
    '2001:db8::1%eth0',
    'uri.example',
    'mail.example',
    'nul.example',
    '',
    '.',
    'exact.example..',
    'exact.example\0',
    'a'.repeat(300),
  ];
  test.each(good)('%j matches', (serverName) => expect(judge([leaf], { serverName })).toBe('ok'));
  test.each(bad)('%j does not', (serverName) => expect(judge([leaf], { serverName })).toBe('name_mismatch'));
});

/** Cases in the manner of BetterTLS: constraints of the issuer against the names of the leaf. */
describe('name constraints', () => {
  type Names = readonly Uint8Array[];
  const v6 = (text: string) => gn.ip(...hex(text));
  const dn = (text: string, tag?: number) => gn.directory(name(text, tag));
  const net = (...octets: number[]) => gn.ip(...octets);
  const cases: [title: string, permitted: Names, excluded: Names, names: Names, outcome: string][] = [
    ['dns permitted, itself', [gn.dns('a.example')], [], [gn.dns('a.example')], 'ok'],
    ['dns permitted, below', [gn.dns('a.example')], [], [gn.dns('x.y.a.example')], 'ok'],
    ['dns permitted, other case', [gn.dns('A.Example')], [], [gn.dns('x.a.eXample')], 'ok'],
    ['dns permitted, beside', [gn.dns('a.example')], [], [gn.dns('xa.example')], 'name_constraint'],
    ['dns permitted, above', [gn.dns('a.example')], [], [gn.dns('example')], 'name_constraint'],
    [
      'dns permitted, one of two names',
      [gn.dns('a.example')],
      [],
      [gn.dns('a.example'), gn.dns('b.example')],
      'name_constraint',
    ],
    [
      'dns permitted, either',
      [gn.dns('a.example'), gn.dns('b.example')],
      [],
      [gn.dns('a.example'), gn.dns('b.example')],
      'ok',
    ],
    ['dns permitted, all', [gn.dns('')], [], [gn.dns('a.example')], 'ok'],
    ['dns permitted, leading dot', [gn.dns('.a.example')], [], [gn.dns('x.a.example')], 'ok'],
    [
      'dns permitted, leading dot, itself',
      [gn.dns('.a.example')],
      [],
      [gn.dns('a.example')],
      'name_constraint',
    ],
    ['dns permitted, wildcard', [gn.dns('a.example')], [], [gn.dns('*.a.example')], 'ok'],
    [
      'dns permitted, wildcard under a leading dot',
      [gn.dns('.a.example')],
      [],
      [gn.dns('*.a.example')],
      'ok',
    ],
    ['dns permitted, wildcard above', [gn.dns('a.example')], [], [gn.dns('*.example')], 'name_constraint'],
    ['dns excluded', [], [gn.dns('a.example')], [gn.dns('x.a.example')], 'name_constraint'],
    ['dns excluded, beside', [], [gn.dns('a.example')], [gn.dns('b.example')], 'ok'],
    ['dns excluded, all', [], [gn.dns('')], [gn.dns('b.example')], 'name_constraint'],
    [
      'dns excluded within permitted',
      [gn.dns('example')],
      [gn.dns('a.example')],
      [gn.dns('a.example')],
      'name_constraint',
    ],
    [
      'dns excluded, a wildcard covers it',
      [],
      [gn.dns('a.example')],
      [gn.dns('*.example')],
      'name_constraint',
    ],
    ['dns excluded, a wildcard below', [], [gn.dns('a.example')], [gn.dns('*.a.example')], 'name_constraint'],
    ['dns excluded, a wildcard beside', [], [gn.dns('x.a.example')], [gn.dns('*.example')], 'ok'],
    [
      'dns constrained, a name that is none',
      [gn.dns('example')],
      [],
      [gn.dns('a b.example')],
      'name_constraint',
    ],
    ['dns constrained, addresses only', [gn.dns('a.example')], [], [gn.ip(192, 0, 2, 1)], 'ok'],
    ['ip permitted', [net(192, 0, 2, 0, 255, 255, 255, 0)], [], [gn.ip(192, 0, 2, 1)], 'ok'],
    [
      'ip permitted, another',
      [net(192, 0, 2, 0, 255, 255, 255, 0)],
      [],
      [gn.ip(192, 0, 3, 1)],
      'name_constraint',
    ],
    ['ip permitted, odd prefix', [net(10, 0, 0, 0, 255, 224, 0, 0)], [], [gn.ip(10, 31, 255, 1)], 'ok'],
    [
      'ip permitted, v6 under v4',
      [net(0, 0, 0, 0, 0, 0, 0, 0)],
      [],
      [v6('20010db8000000000000000000000001')],
      'name_constraint',
    ],
    [
      'ip permitted, v6',
      [v6(`20010db8${'00'.repeat(12)}ffffffff${'00'.repeat(12)}`)],
      [],
      [v6('20010db8000000000000000000000001')],
      'ok',
    ],
    ['ip excluded', [], [net(192, 0, 2, 0, 255, 255, 255, 0)], [gn.ip(192, 0, 2, 1)], 'name_constraint'],
    [
      'ip excluded, v6 unaffected',
      [],
      [net(0, 0, 0, 0, 0, 0, 0, 0)],
      [v6('20010db8000000000000000000000001')],
      'ok',
    ],
    [
      'ip with a mask that is none',
      [net(10, 0, 0, 0, 255, 0, 255, 0)],
      [],
      [gn.ip(10, 0, 0, 1)],
      'malformed',
    ],
    ['ip of a wrong length', [net(10, 0, 0, 255, 0, 0)], [], [gn.ip(10, 0, 0, 1)], 'malformed'],
    ['dns that is none', [gn.dns('*.example')], [], [gn.dns('a.example')], 'malformed'],
    ['directory permitted', [dn('O=Test')], [], [], 'ok'],
    ['directory permitted, another type and case', [dn('O=tEST', 0x13)], [], [], 'ok'],
    ['directory permitted, blanks', [dn('O= Test ')], [], [], 'ok'],
    ['directory permitted, another', [dn('O=Other')], [], [], 'name_constraint'],
    ['directory permitted, subject deeper', [dn('O=Test,CN=Le')], [], [], 'name_constraint'],
    ['directory permitted, in subjectAltName', [dn('O=Test')], [], [dn('O=Other')], 'name_constraint'],
    ['directory excluded', [], [dn('O=Test')], [], 'name_constraint'],
    ['directory excluded, another', [], [dn('O=Other')], [], 'ok'],
    ['email constrained, none there', [gn.email('example')], [], [gn.dns('a.example')], 'ok'],
    [
      'email constrained, one there',
      [gn.email('example')],
      [],
      [gn.email('a@example')],
      'unsupported_name_constraint',
    ],
    [
      'uri excluded, one there',
      [],
      [gn.uri('.example')],
      [gn.uri('https://x.example/')],
      'unsupported_name_constraint',
    ],
  ];
  const subject = { name: name('O=Test,CN=Leaf'), keys: leafKeys };
  test.each(cases)('%s', (_title, permitted, excluded, names, outcome) => {
    const issuer = authority(middle, root, ext.constraints(permitted, excluded));
    const leaf = leafOf(middle, { subject, extensions: names.length > 0 ? [ext.san(...names)] : [] });
    expect(judge([leaf, issuer])).toBe(outcome);
    // A root's constraints hold as well, and so do those that are not marked critical.
    const anchors = anchorsOf(authority(root, root, ext.constraints(permitted, excluded, false)));
    expect(
      judge([leafOf(root, { subject, extensions: names.length > 0 ? [ext.san(...names)] : [] })], {
        anchors,
      }),
    ).toBe(outcome);
  });

  test('an emailAddress in the subject counts as rfc822Name', () => {
    const issuer = authority(middle, root, ext.constraints([gn.email('example')]));
    const leaf = leafOf(middle, { subject: { name: name('CN=x,E=a@b.example'), keys: leafKeys } });
    expect(judge([leaf, issuer])).toBe('unsupported_name_constraint');
  });

  test('they bind every certificate below, except self-issued intermediates', () => {
    const constrained = authority(middle, root, ext.constraints([dn('O=Inside')]));
    const inside = leafOf(low, { subject: { name: name('O=Inside,CN=x'), keys: leafKeys } });
    expect(judge([inside, LOW, constrained])).toBe('name_constraint');
    const good: Entity = { name: name('O=Inside,CN=CA'), keys: ec() };
    const below = leafOf(good, { subject: { name: name('O=Inside,CN=x'), keys: leafKeys } });
    expect(judge([below, authority(good, middle), constrained])).toBe('ok');
    const rolled: Entity = { name: middle.name, keys: ec() };
    const underRolled = leafOf(rolled, { subject: { name: name('O=Inside,CN=x'), keys: leafKeys } });
    expect(judge([underRolled, authority(rolled, middle), constrained])).toBe('ok');
  });

  test('empty, or with a minimum', () => {
    const leaf = leafOf(middle);
    expect(judge([leaf, authority(middle, root, ext.raw('2.5.29.30', true, sequence()))])).toBe('malformed');
    const withMinimum = sequence(der(0xa0, sequence(gn.dns('example'), hex('800101'))));
    expect(judge([leaf, authority(middle, root, ext.raw('2.5.29.30', true, withMinimum))])).toBe('malformed');
  });
});
