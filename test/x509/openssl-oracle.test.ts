/** Random chains, good and bad, judged by us and by `openssl verify`. Where the two differ, a known reason must explain it. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, test } from 'vitest';
import { parseCertificate } from '../../src/x509/certificate.ts';
import { writePem } from '../../src/x509/pem.ts';
import { parseRevocationList } from '../../src/x509/verify/crl.ts';
import { TrustAnchors } from '../../src/x509/verify/link.ts';
import { type Verdict, verifyChain } from '../../src/x509/verify/verify-chain.ts';
import { Random, testSeed } from '../support/random.ts';
import {
  type CertificateShape,
  certificate,
  EKU,
  type Entity,
  ec,
  ext,
  gn,
  hex,
  keyId,
  later,
  NOW,
  name,
  revocationList,
  YEAR,
} from './forge.ts';

const CASES = Number(process.env.SOCRYPT_TEST_CASES ?? 150);
const run = promisify(execFile);
const directory = mkdtempSync(join(tmpdir(), 'socrypt-oracle-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const KEYS = Array.from({ length: 8 }, () => ec());
/** No common name is a host name: OpenSSL would fall back to it, and hold dNSName constraints against it. */
const entityOf = (text: string, key: number): Entity => ({
  name: name(`O=Test,CN=the ${text}`),
  keys: KEYS[key]!,
});

interface Case {
  readonly chain: readonly Uint8Array[];
  readonly roots: readonly Uint8Array[];
  readonly lists: readonly Uint8Array[] | undefined;
  readonly purpose: 'serverAuth' | 'clientAuth';
  readonly serverName: string | undefined;
  /** What the case has in it that the two judge differently. */
  readonly traits: ReadonlySet<string>;
}

/** With right key identifiers: without them OpenSSL takes the first of two authorities of one name, and a self-issued for a self-signed. */
function issued(shape: CertificateShape & { readonly extensions: readonly Uint8Array[] }): Uint8Array {
  const { subject, issuer = subject, extensions } = shape;
  const identifiers = [ext.subjectKey(keyId(subject.keys)), ext.authorityKey(keyId(issuer.keys))];
  return certificate({ ...shape, extensions: [...identifiers, ...extensions] });
}

class Maker {
  readonly #random: Random;
  readonly #traits = new Set<string>();

  constructor(random: Random) {
    this.#random = random;
  }

  #chance(percent: number): boolean {
    return this.#random.below(100) < percent;
  }
  #pick<T>(items: readonly T[]): T {
    return items[this.#random.below(items.length)]!;
  }

  make(): Case {
    const root = entityOf('root', 0);
    const other = entityOf('other root', 1);
    const ROOT = issued({ subject: root, extensions: this.#authorityExtensions(3), to: this.#end(2) });
    const OTHER = issued({ subject: other, extensions: this.#authorityExtensions(3) });
    const others: Uint8Array[] = [];
    const lists: Uint8Array[] = [this.#list(root, []), this.#list(other, [])];
    const depth = this.#random.below(4);
    let issuer = root;
    for (let i = 0; i < depth; i++) {
      // Now and then an authority's next key, certified by itself.
      const subject =
        i > 0 && this.#chance(10) ? { name: issuer.name, keys: KEYS[2 + i]! } : entityOf(`ca ${i}`, 2 + i);
      const serial = 100 + i;
      const shape = { subject, issuer, serial };
      others.push(issued({ ...shape, extensions: this.#authorityExtensions(depth - i), to: this.#end(4) }));
      if (this.#chance(15)) {
        others.push(
          issued({
            ...shape,
            serial: 200 + i,
            extensions: this.#authorityExtensions(3),
            to: this.#end(50),
          }),
        );
      }
      if (this.#chance(8)) {
        const namesake = { name: subject.name, keys: KEYS[7]! };
        others.push(issued({ subject: namesake, issuer, extensions: this.#authorityExtensions(3) }));
      }
      if (!this.#chance(6)) lists.push(this.#list(subject, [100 + i + 1, 200 + i + 1]));
      issuer = subject;
    }
    if (this.#chance(20)) {
      others.push(issued({ subject: root, issuer: other, extensions: this.#authorityExtensions(3) }));
    }
    if (this.#chance(4) && others.length > 0) others.splice(this.#random.below(others.length), 1);

    const leaf = issued({
      subject: {
        name: name(this.#pick(['O=Test,CN=a leaf', 'O=Elsewhere,CN=a leaf', 'CN=a leaf'])),
        keys: KEYS[6]!,
      },
      issuer,
      serial: 900,
      extensions: this.#leafExtensions(),
      to: this.#end(4),
      bendSignature: this.#chance(2),
      algorithm: this.#chance(2) ? 'ecdsaSha1' : this.#pick(['ecdsa256', 'ecdsa384'] as const),
    });
    const shuffled = others
      .map((one) => ({ one, order: this.#random.below(1000) }))
      .toSorted((a, b) => a.order - b.order)
      .map(({ one }) => one);
    return {
      chain: [leaf, ...shuffled],
      roots: this.#chance(15) ? [OTHER] : this.#chance(15) ? [OTHER, ROOT] : [ROOT],
      lists: this.#chance(30) ? lists : undefined,
      purpose: this.#chance(75) ? 'serverAuth' : 'clientAuth',
      serverName: this.#chance(35)
        ? this.#pick(['a.example', 'x.a.example', 'b.example', 'a.b.example', '192.0.2.1', '2001:db8::1'])
        : undefined,
      traits: this.#traits,
    };
  }

  /** The end of a validity, past in so many of a hundred. */
  #end(percent: number): Date {
    return later(this.#chance(percent) ? -1000 : YEAR);
  }

  #list(issuer: Entity, serials: readonly number[]): Uint8Array {
    const revoked = [1, ...serials, 900].filter((serial) => serial === 1 || this.#chance(6));
    const extensions = [ext.authorityKey(keyId(issuer.keys))];
    return revocationList({
      issuer,
      revoked,
      extensions,
      nextUpdate: later(this.#chance(4) ? -1000 : 86_400_000),
    });
  }

  #usages(): Uint8Array[] {
    if (this.#chance(70)) return [];
    const ids = this.#pick([
      [EKU.server],
      [EKU.client],
      [EKU.server, EKU.client],
      [EKU.server, EKU.email],
      [EKU.server, EKU.client, EKU.email],
      [EKU.any],
    ]);
    if (ids.includes(EKU.any)) this.#traits.add('any');
    return [ext.eku(...ids)];
  }

  #authorityExtensions(pathLength: number): Uint8Array[] {
    const limit = this.#pick([undefined, undefined, pathLength, pathLength, Math.max(0, pathLength - 2)]);
    const basic = this.#chance(97) ? [ext.basic(true, limit)] : this.#pick([[], [ext.basic(false)]]);
    if (basic.length === 0) this.#traits.add('no basicConstraints');
    return [
      ...basic,
      ...this.#pick([
        [],
        [ext.keyUsage(5, 6)],
        [ext.keyUsage(5, 6)],
        [this.#chance(80) ? ext.keyUsage(5, 6) : ext.keyUsage(0, 6)],
      ]),
      ...this.#usages(),
      ...(this.#chance(20) ? [this.#constraints()] : []),
      ...(this.#chance(1) ? [ext.raw('1.2.3.4', true, hex('0500'))] : []),
    ];
  }

  #constraints(): Uint8Array {
    const bases = [
      gn.dns('example'),
      gn.dns('a.example'),
      gn.dns('.b.example'),
      gn.ip(192, 0, 2, 0, 255, 255, 255, 0),
      gn.ip(...hex(`20010db8${'00'.repeat(12)}ffffffff${'00'.repeat(12)}`)),
      gn.directory(name('O=test', 0x13)),
      gn.email('example'),
    ];
    const chosen = Array.from({ length: 1 + this.#random.below(3) }, () => this.#pick(bases));
    const isExcluded = this.#chance(30);
    if (chosen.includes(bases[6]!)) this.#traits.add('email');
    return isExcluded ? ext.constraints([], chosen) : ext.constraints(chosen);
  }

  #leafExtensions(): Uint8Array[] {
    const names = [
      gn.dns('a.example'),
      gn.dns('x.a.example'),
      gn.dns('*.a.example'),
      gn.dns('*.b.example'),
      gn.dns('*.example'),
      gn.ip(192, 0, 2, 1),
      gn.ip(...hex('20010db8000000000000000000000001')),
      gn.email('me@example'),
    ];
    const chosen = Array.from({ length: 1 + this.#random.below(4) }, () => this.#pick(names));
    const usage = this.#pick([undefined, undefined, [0], [0, 2], [0, 2], [2]]);
    if (usage?.[0] === 2) this.#traits.add('no digitalSignature');
    return [
      ...(this.#chance(95) ? [ext.san(...chosen)] : []),
      ...(usage === undefined ? [] : [ext.keyUsage(...usage)]),
      ...this.#usages(),
      ...(this.#chance(1) ? [ext.raw('1.2.3.4', true, hex('0500'))] : []),
    ];
  }
}

async function openssl(one: Case, untrusted = one.chain.slice(1), roots = one.roots): Promise<string> {
  const pem = (file: string, label: string, items: readonly Uint8Array[]): string => {
    writeFileSync(join(directory, file), items.map((item) => writePem(label, item)).join(''));
    return file;
  };
  const { serverName } = one;
  const args = [
    ...['verify', '-no-CApath', '-no-CAstore', '-CAfile', pem('roots.pem', 'CERTIFICATE', roots)],
    // auth_level 2: no SHA-1, 112 bits.
    ...['-auth_level', '2', '-attime', `${NOW.getTime() / 1000}`],
    ...['-purpose', one.purpose === 'serverAuth' ? 'sslserver' : 'sslclient'],
    ...(untrusted.length > 0 ? ['-untrusted', pem('untrusted.pem', 'CERTIFICATE', untrusted)] : []),
    ...(serverName === undefined
      ? []
      : [/[:]|^\d/.test(serverName) ? '-verify_ip' : '-verify_hostname', serverName]),
    ...(one.lists === undefined
      ? []
      : ['-crl_check_all', '-CRLfile', pem('lists.pem', 'X509 CRL', one.lists)]),
    pem('leaf.pem', 'CERTIFICATE', one.chain.slice(0, 1)),
  ];
  try {
    await run('openssl', args, { cwd: directory });
    return 'ok';
  } catch (error) {
    const { stderr = '' } = error as { stderr?: string };
    return /error (\d+ at \d+ depth lookup: .*)/.exec(stderr)?.[1] ?? stderr;
  }
}

function judge(one: Case, others = one.chain.slice(1)): Verdict {
  return verifyChain({
    chain: [one.chain[0]!, ...others],
    anchors: new TrustAnchors(one.roots.map((der) => parseCertificate(der, 'root'))),
    purpose: one.purpose,
    serverName: one.serverName,
    now: NOW,
    revocation: one.lists && { lists: one.lists.map((der) => parseRevocationList(der, 'list')) },
  });
}

/** Why OpenSSL may take what we refuse for this reason. */
function stricter(verdict: Verdict, traits: ReadonlySet<string>): string | undefined {
  if (verdict.ok) return undefined;
  const { reason, detail } = verdict;
  // Key encipherment is for static RSA, which TLS 1.3 has not and we do not speak in 1.2.
  if (reason === 'key_usage' && traits.has('no digitalSignature')) return 'no digitalSignature';
  // For want of basicConstraints OpenSSL takes an authority by its key usage.
  if (reason === 'issuer_not_ca' && traits.has('no basicConstraints')) return 'no basicConstraints';
  // OpenSSL compares addresses of mail; we refuse what we do not compare.
  if (reason === 'unsupported_name_constraint' && traits.has('email')) return 'email';
  // OpenSSL takes the asterisk for a label, so that "*.example" is not in the excluded "a.example" that it covers.
  const isWildcard = reason === 'name_constraint' && /\*\..* excludes/.test(detail);
  return isWildcard ? 'wildcard under an exclusion' : undefined;
}

/** Every choice of some of the items. */
function choices<T>(items: readonly T[]): T[][] {
  return Array.from({ length: 2 ** items.length }, (_, mask) =>
    items.filter((_item, bit) => (mask >> bit) % 2 === 1),
  );
}

/** Why the two may differ here; undefined: they may not. */
async function difference(one: Case, verdict: Verdict, theirs: string): Promise<string | undefined> {
  const { traits } = one;
  if (!verdict.ok) {
    // Of several paths, each refused for a reason of its own, the verdict names one: the path that OpenSSL took may be another.
    return choices(one.chain.slice(1))
      .toReversed()
      .map((others) => stricter(judge(one, others), traits))
      .find((why) => why !== undefined);
  }
  // OpenSSL does not take anyExtendedKeyUsage for the purposes of TLS; RFC 5280 4.2.1.12 and Go do.
  const isAny = (outcome: string): boolean => traits.has('any') && /purpose|CA certificate/.test(outcome);
  if (isAny(theirs)) return 'any';
  // OpenSSL takes the first issuer that looks right and does not come back: with our path alone it must agree.
  const again = await openssl(
    one,
    verdict.path.slice(1, -1).map(({ der }) => der),
    verdict.path.slice(-1).map(({ der }) => der),
  );
  return again === 'ok' || isAny(again) ? 'no way back' : undefined;
}

test('openssl verify agrees, or a known difference explains why not', async () => {
  // The same cases everywhere, unless new ones are asked for: a difference yet unknown is news, not a broken build.
  const seed = process.env.SOCRYPT_TEST_SEED === undefined ? 1 : testSeed();
  const random = new Random(seed);
  const counts = new Map<string, number>();
  const count = (what: string) => counts.set(what, (counts.get(what) ?? 0) + 1);
  const faults: string[] = [];
  for (let i = 0; i < CASES; i++) {
    const one = new Maker(random).make();
    const verdict = judge(one);
    const theirs = await openssl(one);
    const ours = verdict.ok ? 'ok' : verdict.reason;
    count(ours);
    if (verdict.ok === (theirs === 'ok')) continue;
    const why = await difference(one, verdict, theirs);
    if (why === undefined) faults.push(`case ${i}: ours ${ours}, theirs ${theirs} (${[...one.traits]})`);
    else count(`difference: ${why}`);
  }
  console.log(`openssl verify, seed ${seed}: ${[...counts].map(([what, n]) => `${what} ${n}`).join(', ')}`);
  expect(faults, `seed ${seed}`).toEqual([]);
  expect(counts.get('ok')).toBeGreaterThan(CASES / 10);
  expect(counts.size).toBeGreaterThan(6);
}, 300_000);
