/** Certificates and revocation lists of any shape, right and wrong, written by hand: the code under test has no part in it. */
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

export function der(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  const size = body.length;
  const length =
    size < 0x80
      ? [size]
      : size < 0x100
        ? [0x81, size]
        : size < 0x10000
          ? [0x82, size >> 8, size & 255]
          : [0x83, size >> 16, (size >> 8) & 255, size & 255];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}
export const sequence = (...content: readonly Uint8Array[]): Buffer => der(0x30, ...content);
export const octets = (content: Uint8Array): Buffer => der(0x04, content);
export const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ''), 'hex');

export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second, ...rest].flatMap((arc) => {
    const groups = [arc & 0x7f];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) {
      groups.unshift((left & 0x7f) | 0x80);
    }
    return groups;
  });
  return der(0x06, Buffer.from(bytes));
}

export function integer(value: number): Buffer {
  const text = value.toString(16);
  const content = Buffer.from(text.length % 2 === 0 ? text : `0${text}`, 'hex');
  return der(0x02, content[0]! >= 0x80 ? Buffer.concat([Buffer.of(0), content]) : content);
}

function time(date: Date): Buffer {
  const text = `${date.toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`;
  const year = date.getUTCFullYear();
  return year < 2050 ? der(0x17, Buffer.from(text.slice(2))) : der(0x18, Buffer.from(text));
}

const ATTRIBUTES: Record<string, string> = {
  CN: '2.5.4.3',
  O: '2.5.4.10',
  OU: '2.5.4.11',
  C: '2.5.4.6',
  E: '1.2.840.113549.1.9.1',
};

/** 'C=SE,O=Example' in UTF8String, or in another string type. '' is the empty name. */
export function name(text: string, stringTag = 0x0c): Buffer {
  const rdns = text === '' ? [] : text.split(',');
  return sequence(
    ...rdns.map((rdn) => {
      const [type = '', ...value] = rdn.split('=');
      const tag = type === 'E' ? 0x16 : stringTag;
      return der(0x31, sequence(oid(ATTRIBUTES[type]!), der(tag, Buffer.from(value.join('=')))));
    }),
  );
}

export interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}
export const ec = (curve = 'P-256'): KeyPair => generateKeyPairSync('ec', { namedCurve: curve });

/** AlgorithmIdentifiers as the issuers' software writes them. */
export const ALGORITHMS = {
  ecdsa256: { id: hex('300a06082a8648ce3d040302'), hash: 'sha256' },
  ecdsa384: { id: hex('300a06082a8648ce3d040303'), hash: 'sha384' },
  ecdsa512: { id: hex('300a06082a8648ce3d040304'), hash: 'sha512' },
  ecdsaSha1: { id: hex('300906072a8648ce3d0401'), hash: 'sha1' },
  rsa256: { id: hex('300d06092a864886f70d01010b0500'), hash: 'sha256' },
  rsa384: { id: hex('300d06092a864886f70d01010c0500'), hash: 'sha384' },
  rsa512: { id: hex('300d06092a864886f70d01010d0500'), hash: 'sha512' },
  rsaSha1: { id: hex('300d06092a864886f70d0101050500'), hash: 'sha1' },
  pss256: {
    id: hex(
      '304106092a864886f70d01010a3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120',
    ),
    hash: 'sha256',
    pss: 32,
  },
  ed25519: { id: hex('300506032b6570'), hash: null },
} as const;
export type AlgorithmName = keyof typeof ALGORITHMS;

function signature(algorithm: AlgorithmName, key: KeyObject, tbs: Uint8Array): Buffer {
  const facts = ALGORITHMS[algorithm];
  return 'pss' in facts
    ? sign(facts.hash, tbs, { key, padding: 6, saltLength: facts.pss })
    : sign(facts.hash, tbs, key);
}

export const ext = {
  raw: (id: string, critical: boolean, value: Uint8Array): Buffer =>
    sequence(oid(id), ...(critical ? [hex('0101ff')] : []), octets(value)),
  basic: (ca: boolean, pathLength?: number): Buffer =>
    ext.raw(
      '2.5.29.19',
      true,
      sequence(...(ca ? [hex('0101ff')] : []), ...(pathLength === undefined ? [] : [integer(pathLength)])),
    ),
  /** Bits by number: 0 digitalSignature, 2 keyEncipherment, 5 keyCertSign, 6 cRLSign. */
  keyUsage: (...bits: number[]): Buffer => {
    const octet = bits.reduce((value, bit) => value | (0x80 >> bit), 0);
    const unused = 7 - Math.max(0, ...bits);
    return ext.raw('2.5.29.15', true, der(0x03, Buffer.of(unused, octet)));
  },
  eku: (...ids: string[]): Buffer => ext.raw('2.5.29.37', false, sequence(...ids.map(oid))),
  san: (...names: Uint8Array[]): Buffer => ext.raw('2.5.29.17', false, sequence(...names)),
  constraints: (
    permitted: readonly Uint8Array[],
    excluded: readonly Uint8Array[] = [],
    critical = true,
  ): Buffer =>
    ext.raw(
      '2.5.29.30',
      critical,
      sequence(
        ...(permitted.length > 0 ? [der(0xa0, ...permitted.map((base) => sequence(base)))] : []),
        ...(excluded.length > 0 ? [der(0xa1, ...excluded.map((base) => sequence(base)))] : []),
      ),
    ),
  subjectKey: (id: Uint8Array): Buffer => ext.raw('2.5.29.14', false, octets(id)),
  authorityKey: (id: Uint8Array): Buffer => ext.raw('2.5.29.35', false, sequence(der(0x80, id))),
};
export const EKU = {
  server: '1.3.6.1.5.5.7.3.1',
  client: '1.3.6.1.5.5.7.3.2',
  email: '1.3.6.1.5.5.7.3.4',
  any: '2.5.29.37.0',
};

/** GeneralNames. */
export const gn = {
  dns: (text: string): Buffer => der(0x82, Buffer.from(text, 'latin1')),
  email: (text: string): Buffer => der(0x81, Buffer.from(text)),
  uri: (text: string): Buffer => der(0x86, Buffer.from(text)),
  ip: (...bytes: number[]): Buffer => der(0x87, Buffer.from(bytes)),
  directory: (dn: Uint8Array): Buffer => der(0xa4, dn),
};

export interface Entity {
  readonly name: Uint8Array;
  readonly keys: KeyPair;
}

export interface CertificateShape {
  readonly subject: Entity;
  /** Default: the subject itself. */
  readonly issuer?: Entity;
  readonly extensions?: readonly Uint8Array[];
  readonly serial?: number;
  readonly from?: Date;
  readonly to?: Date;
  /** 0 for version 1; then there are to be no extensions. */
  readonly version?: number;
  readonly algorithm?: AlgorithmName;
  /** Beside the signature, when it is not the same. */
  readonly outerAlgorithm?: AlgorithmName;
  readonly bendSignature?: boolean;
}

export const NOW = new Date('2026-06-01T12:00:00Z');
export const YEAR = 365 * 86_400_000;
export const later = (milliseconds: number): Date => new Date(NOW.getTime() + milliseconds);

export function entity(text: string, keys: KeyPair = ec()): Entity {
  return { name: name(text), keys };
}

let serials = 1000;
export function certificate(shape: CertificateShape): Uint8Array {
  const { subject, issuer = subject, extensions = [], version = 2, algorithm = 'ecdsa256' } = shape;
  const tbs = sequence(
    ...(version === 0 ? [] : [der(0xa0, integer(version))]),
    integer(shape.serial ?? serials++),
    ALGORITHMS[algorithm].id,
    issuer.name,
    sequence(time(shape.from ?? later(-YEAR)), time(shape.to ?? later(YEAR))),
    subject.name,
    subject.keys.publicKey.export({ type: 'spki', format: 'der' }),
    ...(extensions.length > 0 ? [der(0xa3, sequence(...extensions))] : []),
  );
  const made = signature(algorithm, issuer.keys.privateKey, tbs);
  if (shape.bendSignature) made[made.length - 1]! ^= 1;
  return new Uint8Array(
    sequence(tbs, ALGORITHMS[shape.outerAlgorithm ?? algorithm].id, der(0x03, Buffer.of(0), made)),
  );
}

export interface ListShape {
  readonly issuer: Entity;
  readonly revoked?: readonly number[];
  readonly thisUpdate?: Date;
  readonly nextUpdate?: Date | null;
  readonly extensions?: readonly Uint8Array[];
  readonly entryExtensions?: readonly Uint8Array[];
  readonly signer?: KeyPair;
}

export function revocationList(shape: ListShape): Uint8Array {
  const {
    issuer,
    revoked = [],
    extensions = [],
    entryExtensions = [],
    nextUpdate = later(86_400_000),
  } = shape;
  const entries = revoked.map((serial) =>
    sequence(
      integer(serial),
      time(later(-1000)),
      ...(entryExtensions.length > 0 ? [sequence(...entryExtensions)] : []),
    ),
  );
  const tbs = sequence(
    integer(1),
    ALGORITHMS.ecdsa256.id,
    issuer.name,
    time(shape.thisUpdate ?? later(-86_400_000)),
    ...(nextUpdate === null ? [] : [time(nextUpdate)]),
    ...(entries.length > 0 ? [sequence(...entries)] : []),
    ...(extensions.length > 0 ? [der(0xa0, sequence(...extensions))] : []),
  );
  const made = signature('ecdsa256', (shape.signer ?? issuer.keys).privateKey, tbs);
  return new Uint8Array(sequence(tbs, ALGORITHMS.ecdsa256.id, der(0x03, Buffer.of(0), made)));
}

export function keyId(keys: KeyPair): Buffer {
  return createHash('sha256')
    .update(keys.publicKey.export({ type: 'spki', format: 'der' }))
    .digest()
    .subarray(0, 20);
}

export const CA_EXTENSIONS = [ext.basic(true), ext.keyUsage(5, 6)];

/** An authority's certificate with the usual extensions and `more`. */
export function authority(subject: Entity, issuer: Entity, ...more: Uint8Array[]): Uint8Array {
  return certificate({ subject, issuer, extensions: [...CA_EXTENSIONS, ...more] });
}
