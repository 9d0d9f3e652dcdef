import { createPrivateKey, createPublicKey } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isSocryptError } from '../../src/errors.ts';
import { readPem } from '../../src/x509/pem.ts';
import { describeKey, readPrivateKey } from '../../src/x509/private-key.ts';
import { random } from '../support/random.ts';
import { codeOf, Workshop } from './openssl.ts';

const shop = new Workshop();
const read = (name: string) => readPrivateKey(shop.read(name), `private key ${name}`);

const KEYS = [
  { name: 'p256', args: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'], text: 'EC P-256' },
  { name: 'p384', args: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384'], text: 'EC P-384' },
  { name: 'rsa2048', args: ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'], text: 'RSA 2048' },
  { name: 'rsa3072', args: ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:3072'], text: 'RSA 3072' },
  { name: 'ed25519', args: ['-algorithm', 'ED25519'], text: 'Ed25519' },
] as const;

beforeAll(() => {
  for (const { name, args } of KEYS) {
    shop.key(name, ...args);
    shop.openssl(
      'pkcs8',
      '-topk8',
      '-nocrypt',
      '-in',
      `${name}.key`,
      '-outform',
      'DER',
      '-out',
      `${name}.p8`,
    );
    shop.openssl('pkey', '-in', `${name}.key`, '-pubout', '-outform', 'DER', '-out', `${name}.spki`);
    if (name !== 'ed25519') {
      shop.openssl('pkey', '-in', `${name}.key`, '-traditional', '-out', `${name}.trad`);
      const type = name.startsWith('rsa') ? 'rsa' : 'ec';
      const traditional = type === 'rsa' ? ['-traditional'] : [];
      shop.openssl(type, '-in', `${name}.key`, ...traditional, '-outform', 'DER', '-out', `${name}.trad.der`);
    }
  }
});
afterAll(() => shop.remove());

describe.each(KEYS)('$name', ({ name, text }) => {
  const encodings = name === 'ed25519' ? ['key', 'p8'] : ['key', 'p8', 'trad', 'trad.der'];
  test.each(encodings)('from %s gives the PKCS#8 and SPKI that openssl writes', (encoding) => {
    const key = read(`${name}.${encoding}`);
    expect(describeKey(key.description)).toBe(text);
    expect(Buffer.from(key.pkcs8).equals(shop.read(`${name}.p8`))).toBe(true);
    expect(Buffer.from(key.spki).equals(shop.read(`${name}.spki`))).toBe(true);
  });

  test('every prefix of the DER is refused with a code', () => {
    for (const encoding of encodings.filter((encoding) => encoding === 'p8' || encoding === 'trad.der')) {
      const der = shop.read(`${name}.${encoding}`);
      for (let length = 0; length < der.length; length++) {
        expect(codeOf(() => readPrivateKey(der.subarray(0, length), 'key'))).toMatch(
          /^ERR_SOCRYPT_(KEY|PEM)_/,
        );
      }
    }
  });

  test('byte flips give a coded error or a key that libcrypto takes too', () => {
    const seed = Date.now() >>> 0;
    const below = random(seed);
    const der = shop.read(`${name}.${encodings.at(-1)}`);
    for (let i = 0; i < 300; i++) {
      const bent = der.slice();
      for (let flips = 1 + below(3); flips > 0; flips--) bent[below(bent.length)] = below(256);
      try {
        const key = readPrivateKey(bent, 'key');
        const own = createPrivateKey({ key: Buffer.from(key.pkcs8), format: 'der', type: 'pkcs8' });
        expect(
          createPublicKey(own).export({ type: 'spki', format: 'der' }).equals(key.spki),
          `seed ${seed}`,
        ).toBe(true);
      } catch (error) {
        expect(isSocryptError(error), `seed ${seed}: ${error}`).toBe(true);
      }
    }
  });
});

describe('encodings in the field', () => {
  const pem = () => Buffer.from(shop.read('p256.key')).toString();
  const readText = (text: string) => readPrivateKey(Buffer.from(text), 'private key');
  const same = (text: string) =>
    expect(Buffer.from(readText(text).pkcs8).equals(shop.read('p256.p8'))).toBe(true);

  test('CRLF, CR, a byte order mark, indentation, text around, no final newline', () => {
    same(pem().replaceAll('\n', '\r\n'));
    same(pem().replaceAll('\n', '\r'));
    same(`\ufeff${pem()}`);
    same(pem().replaceAll(/^/gm, '   \t'));
    same(`Bag Attributes\n    friendlyName: x\nKey Attributes: <No Attributes>\n${pem()}\nthe end\n`);
    same(pem().trimEnd());
    same(
      pem()
        .replaceAll(/[^-]\n/g, (end) => end[0]!)
        .replace('KEY-----', 'KEY-----\n')
        .replace('-----END', '\n-----END'),
    );
  });
  test('EC PARAMETERS before the key, and a certificate beside it', () => {
    shop.openssl('ecparam', '-name', 'prime256v1', '-genkey', '-out', 'params.key');
    expect(Buffer.from(shop.read('params.key')).toString()).toMatch(/EC PARAMETERS/);
    shop.openssl('pkcs8', '-topk8', '-nocrypt', '-in', 'params.key', '-outform', 'DER', '-out', 'params.p8');
    expect(Buffer.from(read('params.key').pkcs8).equals(shop.read('params.p8'))).toBe(true);
    shop.certificate('p256');
    same(Buffer.from(shop.read('p256.pem')).toString() + pem());
  });
  test('EC keys without public key, with a compressed one, with the scalar shortened', () => {
    shop.openssl('ec', '-in', 'p256.key', '-no_public', '-out', 'nopub.key');
    expect(Buffer.from(read('nopub.key').pkcs8).equals(shop.read('p256.p8'))).toBe(true);
    shop.openssl('ec', '-in', 'p256.key', '-conv_form', 'compressed', '-out', 'compressed.key');
    expect(Buffer.from(read('compressed.key').pkcs8).equals(shop.read('p256.p8'))).toBe(true);
    // SEC1 asks for full length; old software drops leading zeros. Scalar 5, one octet:
    const short = Buffer.from('300f020101040105a00706052b81040022', 'hex');
    expect(describeKey(readPrivateKey(short, 'key').description)).toBe('EC P-384');
  });
  test('PKCS#8 version 2 with a public key (RFC 8410 10.3)', () => {
    const text = [
      '-----BEGIN PRIVATE KEY-----',
      'MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC',
      'oB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB',
      'Z9w7lshQhqowtrbLDFw4rXAxZuE=',
      '-----END PRIVATE KEY-----',
    ].join('\n');
    const key = readText(text);
    expect(describeKey(key.description)).toBe('Ed25519');
    // The public key that the RFC prints for it.
    expect(Buffer.from(key.spki).subarray(-32).toString('base64')).toBe(
      'Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=',
    );
  });
});

describe('refused', () => {
  const cases: [string, string, () => void][] = [
    [
      'encrypted PKCS#8',
      'ERR_SOCRYPT_KEY_ENCRYPTED',
      () => shop.openssl('pkcs8', '-topk8', '-in', 'p256.key', '-passout', 'pass:x', '-out', 'bad'),
    ],
    [
      'encrypted PKCS#8, DER',
      'ERR_SOCRYPT_KEY_ENCRYPTED',
      () =>
        shop.openssl(
          'pkcs8',
          '-topk8',
          '-in',
          'p256.key',
          '-passout',
          'pass:x',
          '-outform',
          'DER',
          '-out',
          'bad',
        ),
    ],
    [
      'encrypted SEC1',
      'ERR_SOCRYPT_KEY_ENCRYPTED',
      () => shop.openssl('ec', '-in', 'p256.key', '-aes128', '-passout', 'pass:x', '-out', 'bad'),
    ],
    [
      'encrypted PKCS#1',
      'ERR_SOCRYPT_KEY_ENCRYPTED',
      () =>
        shop.openssl(
          'rsa',
          '-in',
          'rsa2048.key',
          '-traditional',
          '-aes128',
          '-passout',
          'pass:x',
          '-out',
          'bad',
        ),
    ],
    [
      'RSA 1024',
      'ERR_SOCRYPT_KEY_WEAK',
      () => shop.openssl('genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:1024', '-out', 'bad'),
    ],
    [
      'RSA-PSS only',
      'ERR_SOCRYPT_KEY_TYPE',
      () =>
        shop.openssl('genpkey', '-algorithm', 'RSA-PSS', '-pkeyopt', 'rsa_keygen_bits:2048', '-out', 'bad'),
    ],
    ['X25519', 'ERR_SOCRYPT_KEY_TYPE', () => shop.openssl('genpkey', '-algorithm', 'X25519', '-out', 'bad')],
    ['Ed448', 'ERR_SOCRYPT_KEY_TYPE', () => shop.openssl('genpkey', '-algorithm', 'ED448', '-out', 'bad')],
    [
      'P-521',
      'ERR_SOCRYPT_KEY_CURVE',
      () => shop.openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-521', '-out', 'bad'),
    ],
    [
      'secp256k1, SEC1',
      'ERR_SOCRYPT_KEY_CURVE',
      () => shop.openssl('ecparam', '-name', 'secp256k1', '-genkey', '-noout', '-out', 'bad'),
    ],
    [
      'an explicit curve',
      'ERR_SOCRYPT_KEY_CURVE',
      () => shop.openssl('ec', '-in', 'p256.key', '-param_enc', 'explicit', '-out', 'bad'),
    ],
    [
      'a public key',
      'ERR_SOCRYPT_KEY_MISSING',
      () => shop.openssl('pkey', '-in', 'p256.key', '-pubout', '-out', 'bad'),
    ],
    [
      'a certificate',
      'ERR_SOCRYPT_KEY_MISSING',
      () => shop.openssl('req', '-x509', '-new', '-key', 'p256.key', '-subj', '/CN=x', '-out', 'bad'),
    ],
    [
      'a certificate, DER',
      'ERR_SOCRYPT_KEY_MISSING',
      () =>
        shop.openssl(
          'req',
          '-x509',
          '-new',
          '-key',
          'p256.key',
          '-subj',
          '/CN=x',
          '-outform',
          'DER',
          '-out',
          'bad',
        ),
    ],
    [
      'two keys',
      'ERR_SOCRYPT_KEY_AMBIGUOUS',
      () => shop.write('bad', Buffer.concat([shop.read('p256.key'), shop.read('p384.key')])),
    ],
    ['nothing', 'ERR_SOCRYPT_KEY_MISSING', () => shop.write('bad', '')],
    ['text', 'ERR_SOCRYPT_KEY_MISSING', () => shop.write('bad', 'hello\n'.repeat(1000))],
    ['no END', 'ERR_SOCRYPT_PEM_INVALID', () => shop.write('bad', shop.read('p256.key').slice(0, 150))],
    [
      'bad base64',
      'ERR_SOCRYPT_PEM_INVALID',
      () => shop.write('bad', Buffer.from(shop.read('p256.key')).toString().replace('M', '!')),
    ],
    [
      'lost base64',
      'ERR_SOCRYPT_PEM_INVALID',
      () => shop.write('bad', Buffer.from(shop.read('p256.key')).toString().replace('M', '')),
    ],
    [
      'PKCS#12',
      'ERR_SOCRYPT_KEY_MISSING',
      () => {
        shop.certificate('p256');
        shop.openssl(
          'pkcs12',
          '-export',
          '-in',
          'p256.pem',
          '-inkey',
          'p256.key',
          '-passout',
          'pass:x',
          '-out',
          'bad',
        );
      },
    ],
  ];
  test.each(cases)('%s: %s', (_what, code, make) => {
    make();
    expect(codeOf(() => read('bad'))).toBe(code);
  });

  test('an EC key whose public part belongs to another', () => {
    const der = Buffer.from(shop.read('p256.trad.der'));
    const other = shop.key('other', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256');
    shop.openssl('ec', '-in', other, '-outform', 'DER', '-out', 'other.der');
    const mixed = Buffer.concat([
      der.subarray(0, der.length - 64),
      Buffer.from(shop.read('other.der')).subarray(-64),
    ]);
    expect(codeOf(() => readPrivateKey(mixed, 'key'))).toBe('ERR_SOCRYPT_KEY_INVALID');
  });

  test('errors name the source and never hold key material', () => {
    const text = Buffer.from(shop.read('p256.key')).toString();
    const middle = text.split('\n')[1]!.slice(10, 40);
    for (const bent of [text.slice(0, 150), text.replace('M', '!'), text.replace('MIG', 'MIH')]) {
      try {
        readPrivateKey(Buffer.from(bent), 'private key file /etc/key.pem');
        expect.unreachable();
      } catch (error) {
        expect(String(error)).toContain('private key file /etc/key.pem: expected');
        expect(`${(error as Error).stack}${(error as Error).cause}`).not.toContain(middle);
      }
    }
  });
});

describe('PEM', () => {
  test('many blocks are bounded', () => {
    const block = '-----BEGIN X-----\nAAAA\n-----END X-----\n';
    expect(readPem(Buffer.from(block.repeat(64)), 'file')).toHaveLength(64);
    expect(codeOf(() => readPem(Buffer.from(block.repeat(65)), 'file'))).toBe('ERR_SOCRYPT_PEM_INVALID');
  });
  test('every length modulo three, as Buffer decodes it', () => {
    for (let length = 1; length < 70; length++) {
      const data = Buffer.from(Array.from({ length }, (_, i) => (i * 37 + length) & 0xff));
      const [block] = readPem(
        Buffer.from(`-----BEGIN A B-----\n${data.toString('base64')}\n-----END A B-----`),
        'file',
      );
      expect(block!.label).toBe('A B');
      expect(Buffer.from(block!.der).equals(data)).toBe(true);
    }
  });
  test('random bytes and random lines of PEM never give anything but a coded error', () => {
    const seed = Date.now() >>> 0;
    const below = random(seed);
    const lines = [
      '-----BEGIN X-----',
      '-----END X-----',
      '-----END Y-----',
      'AAAA',
      'AA==',
      'A',
      '=',
      'a: b',
      '',
      '-----',
      'Proc-Type: 4,ENCRYPTED',
    ];
    for (let i = 0; i < 2000; i++) {
      const text = Array.from({ length: below(12) }, () => lines[below(lines.length)]).join('\n');
      const bytes =
        below(2) === 0
          ? Buffer.from(text)
          : Buffer.from(Array.from({ length: below(200) }, () => below(256)));
      expect(
        codeOf(() => readPem(bytes, 'file')),
        `seed ${seed}`,
      ).toMatch(/^(none|ERR_SOCRYPT_PEM_INVALID)$/);
    }
  });
});
