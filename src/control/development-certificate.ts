/**
 * The certificate of a server that was given none: made once, kept, renewed near its end.
 *
 * Each one lies in a directory of its own, `development-N`, made under another name and renamed into place. The rename
 * fails when N exists, so of two starts at once the first wins and the other takes what the first made; a reader
 * never sees a certificate with another one's key. The highest N counts.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { homedir, hostname as systemHostname } from 'node:os';
import { dirname, join } from 'node:path';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  AuthorityKeyIdentifier,
  BasicConstraints,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  GeneralName,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_ce_subjectKeyIdentifier,
  id_kp_serverAuth,
  KeyIdentifier,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Certificate as X509Structure,
} from '@peculiar/asn1-x509';
import { isHostName } from '../x509/certificate.ts';
import { writePem } from '../x509/pem.ts';
import { readBounded } from './files.ts';

export type DevelopmentCertificate =
  | {
      readonly certFile: string;
      readonly keyFile: string;
      /** Made by this call. */
      readonly created: boolean;
      /** One sentence for the operator. */
      readonly reason: string;
    }
  | {
      /** PEM, held in memory only: the directory could not be written. */
      readonly cert: string;
      readonly key: string;
      readonly created: true;
      readonly reason: string;
    };

export interface DevelopmentCertificateOptions {
  /** Default: `$XDG_DATA_HOME/socrypt`, else `~/.local/share/socrypt`. */
  readonly directory?: string;
  /** Default: this machine's. Left out of the names when it is no host name. */
  readonly hostname?: string;
  /** Default: now. */
  readonly now?: Date;
}

const DAY_MS = 24 * 60 * 60 * 1000;
/** CA/Browser Forum Baseline Requirements 6.3.2 as of 2020: 398 days are refused by some clients; a day in reserve. */
const LIFETIME_MS = 397 * DAY_MS;
const RENEW_BEFORE_MS = 14 * DAY_MS;
/** For peers whose clocks are behind. */
const BACKDATE_MS = 60 * 60 * 1000;
const STALE_MS = 60 * 60 * 1000;
const CERT_FILE = 'cert.pem';
const KEY_FILE = 'key.pem';
const OID_ECDSA_SHA256 = '1.2.840.10045.4.3.2';
const OID_COMMON_NAME = '2.5.4.3';

/** XDG Base Directory Specification: a relative $XDG_DATA_HOME is to be ignored. */
export function defaultDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  const { XDG_DATA_HOME: data } = environment;
  return data?.startsWith('/') ? join(data, 'socrypt') : join(homedir(), '.local', 'share', 'socrypt');
}

/** Finds or makes the development certificate. Never fails for want of a writable directory: then it is made in memory. */
export function ensureDevelopmentCertificate(
  options: DevelopmentCertificateOptions = {},
): DevelopmentCertificate {
  const directory = options.directory ?? defaultDirectory();
  const hostname = options.hostname ?? systemHostname();
  const now = options.now ?? new Date();
  try {
    return keptIn(directory, hostname, now);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    return {
      ...makeDevelopmentCertificate(hostname, now),
      created: true,
      reason: `it could not be kept in ${directory} (${code}), so it lasts until this process ends`,
    };
  }
}

function keptIn(directory: string, hostname: string, now: Date): DevelopmentCertificate {
  makeDirectory(directory);
  // Each lost race is another start's success, so a few turns suffice.
  for (let turn = 0; ; turn++) {
    const highest = highestIn(directory);
    const fault = highest === 0 ? 'there was none yet' : faultOf(placeOf(directory, highest), now);
    if (fault === undefined) {
      return {
        ...filesIn(placeOf(directory, highest)),
        created: false,
        reason: 'it was made by an earlier start',
      };
    }
    const place = placeOf(directory, highest + 1);
    if (install(directory, place, makeDevelopmentCertificate(hostname, now))) {
      tidy(directory, highest);
      return { ...filesIn(place), created: true, reason: fault };
    }
    if (turn === 3) throw Object.assign(new Error('other starts keep replacing it'), { code: 'EBUSY' });
  }
}

/**
 * mkdir -p. Not `recursive: true`: where mkdir says ENOENT below a parent that exists (/proc does), Node 20 tries for ever.
 */
function makeDirectory(path: string, parentExists = false): void {
  try {
    mkdirSync(path, 0o700);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return;
    if (code !== 'ENOENT' || parentExists || dirname(path) === path) throw error;
    makeDirectory(dirname(path));
    makeDirectory(path, true);
  }
}

function placeOf(directory: string, generation: number): string {
  return join(directory, `development-${generation}`);
}

function filesIn(place: string): { certFile: string; keyFile: string } {
  return { certFile: join(place, CERT_FILE), keyFile: join(place, KEY_FILE) };
}

/** 0 for none. */
function highestIn(directory: string): number {
  const generations = readdirSync(directory).map((name) =>
    Number(/^development-(\d{1,9})$/.exec(name)?.[1] ?? 0),
  );
  return Math.max(0, ...generations);
}

/** Why what lies there will not do; undefined when it will. */
function faultOf(place: string, now: Date): string | undefined {
  try {
    const { certFile, keyFile } = filesIn(place);
    if ((statSync(keyFile).mode & 0o077) !== 0) return 'the kept key could be read by other users';
    const certificate = new X509Certificate(readBounded(certFile, certFile));
    const key = readBounded(keyFile, keyFile);
    const matches = certificate.checkPrivateKey(createPrivateKey(Buffer.from(key.buffer)));
    key.fill(0);
    if (!matches) return 'the kept key did not fit its certificate';
    if (Date.parse(certificate.validFrom) > now.getTime()) return 'the kept one was not valid yet';
    const left = Date.parse(certificate.validTo) - now.getTime();
    return left < RENEW_BEFORE_MS ? 'the kept one was about to expire' : undefined;
  } catch {
    return 'the kept one could not be read';
  }
}

/** False when another start put one there first. */
function install(
  directory: string,
  place: string,
  made: { readonly cert: string; readonly key: string },
): boolean {
  const temporary = mkdtempSync(join(directory, '.new-'));
  try {
    const { certFile, keyFile } = filesIn(temporary);
    writeFileSync(certFile, made.cert, { mode: 0o644, flag: 'wx', flush: true });
    writeFileSync(keyFile, made.key, { mode: 0o600, flag: 'wx', flush: true });
    renameSync(temporary, place);
    syncDirectory(directory);
    return true;
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    const { code } = error as NodeJS.ErrnoException;
    // rename(2): onto a directory that is not empty.
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return false;
    throw error;
  }
}

function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Removes what was replaced and what a start that died in the middle left behind. */
function tidy(directory: string, upTo: number): void {
  for (const name of readdirSync(directory)) {
    const path = join(directory, name);
    try {
      const replaced = Number(/^development-(\d{1,9})$/.exec(name)?.[1] ?? Number.POSITIVE_INFINITY) <= upTo;
      const stale = name.startsWith('.new-') && Date.now() - statSync(path).mtimeMs > STALE_MS;
      if (replaced || stale) rmSync(path, { recursive: true, force: true });
    } catch {
      // Another start tidies too, or the directory is not ours to tidy; nothing depends on it.
    }
  }
}

/** Self-signed, ECDSA P-256, for this machine's names and loopback; PEM. */
export function makeDevelopmentCertificate(hostname: string, now: Date): { cert: string; key: string } {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = AsnConvert.parse(
    createPublicKey(privateKey).export({ type: 'spki', format: 'der' }),
    SubjectPublicKeyInfo,
  );
  const algorithm = new AlgorithmIdentifier({ algorithm: OID_ECDSA_SHA256 });
  const notBefore = new Date(Math.floor((now.getTime() - BACKDATE_MS) / 1000) * 1000);
  // RFC 5280 4.1.2.5: both ends are included, hence the second.
  const notAfter = new Date(notBefore.getTime() + LIFETIME_MS - 1000);
  const name = nameOf(hostname);
  const tbsCertificate = new TBSCertificate({
    version: 2,
    serialNumber: serialNumber(),
    signature: algorithm,
    issuer: name,
    validity: new Validity({ notBefore, notAfter }),
    subject: name,
    subjectPublicKeyInfo: spki,
    extensions: extensionsFor(hostname, spki),
  });
  const signature = sign('sha256', Buffer.from(AsnConvert.serialize(tbsCertificate)), privateKey);
  const certificate = new X509Structure({
    tbsCertificate,
    signatureAlgorithm: algorithm,
    signatureValue: Uint8Array.from(signature).buffer,
  });
  return {
    cert: writePem('CERTIFICATE', new Uint8Array(AsnConvert.serialize(certificate))),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  };
}

/** RFC 5280 4.1.2.2: positive, unpredictable, at most 20 octets. */
function serialNumber(): ArrayBuffer {
  const serial = Uint8Array.from(randomBytes(16));
  serial[0] = (serial[0]! & 0x7f) | 0x40;
  return serial.buffer;
}

function nameOf(hostname: string): Name {
  // RFC 5280 A.1: ub-common-name is 64.
  const text = `socrypt development (${hostname})`.slice(0, 64);
  const value = new AttributeValue({ utf8String: text });
  return new Name([
    new RelativeDistinguishedName([new AttributeTypeAndValue({ type: OID_COMMON_NAME, value })]),
  ]);
}

function extensionsFor(hostname: string, spki: SubjectPublicKeyInfo): Extensions {
  // RFC 5280 4.2.1.2 method 1.
  const keyIdentifier = createHash('sha1').update(new Uint8Array(spki.subjectPublicKey)).digest();
  const dnsNames = new Set(['localhost', '*.localhost']);
  const own = hostname.toLowerCase();
  if (isHostName(own) && !/^[\d.]+$/.test(own)) dnsNames.add(own);
  return new Extensions([
    extension(id_ce_basicConstraints, new BasicConstraints({ cA: false }), true),
    extension(id_ce_keyUsage, new KeyUsage(KeyUsageFlags.digitalSignature), true),
    extension(id_ce_extKeyUsage, new ExtendedKeyUsage([id_kp_serverAuth])),
    extension(
      id_ce_subjectAltName,
      new SubjectAlternativeName([
        ...[...dnsNames].map((dNSName) => new GeneralName({ dNSName })),
        ...['127.0.0.1', '::1'].map((iPAddress) => new GeneralName({ iPAddress })),
      ]),
    ),
    extension(id_ce_subjectKeyIdentifier, new SubjectKeyIdentifier(keyIdentifier)),
    extension(
      id_ce_authorityKeyIdentifier,
      new AuthorityKeyIdentifier({ keyIdentifier: new KeyIdentifier(keyIdentifier) }),
    ),
  ]);
}

function extension(extnID: string, value: object, critical = false): Extension {
  return new Extension({ extnID, critical, extnValue: new OctetString(AsnConvert.serialize(value)) });
}
