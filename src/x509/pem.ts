/**
 * PEM (RFC 7468) as operators have it: several blocks, text around them, CRLF, indentation, RFC 1421 headers. Works on
 * bytes, since a string that held a private key could not be zeroised.
 */
import { SocryptError } from '../errors.ts';
import { readElement, TAG } from './der.ts';

export interface PemBlock {
  readonly label: string;
  readonly der: Uint8Array;
  /** The block has a "Proc-Type: 4,ENCRYPTED" header: `der` is ciphertext (RFC 1421 4.6.1.1). */
  readonly encrypted: boolean;
  /** Line of BEGIN, from 1. */
  readonly line: number;
}

export type Encoded =
  | { readonly format: 'pem'; readonly blocks: readonly PemBlock[] }
  | { readonly format: 'der'; readonly der: Uint8Array }
  | { readonly format: 'none' };

/** More blocks than any chain has; a bound so that a file of BEGIN lines costs little. */
const MAX_BLOCKS = 64;
const MAX_LABEL = 64;

const LF = 0x0a;
const CR = 0x0d;
const PAD = 0x3d;
const BEGIN = asBytes('-----BEGIN ');
const END = asBytes('-----END ');
const DASHES = asBytes('-----');
const ENCRYPTED_HEADER = asBytes('Proc-Type: 4,ENCRYPTED');

const BASE64 = new Int8Array(256).fill(-1);
for (const [value, octet] of asBytes(
  'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/',
).entries()) {
  BASE64[octet] = value;
}

/**
 * What a file holds: one DER element from its first byte to its last, PEM blocks, or neither.
 * `source` names the input in messages, `most` is the number of blocks taken. Throws ERR_SOCRYPT_PEM_INVALID for blocks that do not end or do not decode.
 */
export function decodePemOrDer(bytes: Uint8Array, source: string, most?: number): Encoded {
  const outer = readElement(bytes, 0, bytes.length);
  if (outer !== undefined && outer.tag === TAG.sequence && outer.end === bytes.length) {
    return { format: 'der', der: bytes };
  }
  const blocks = readPem(bytes, source, most);
  return blocks.length > 0 ? { format: 'pem', blocks } : { format: 'none' };
}

interface OpenBlock {
  readonly label: string;
  readonly line: number;
  readonly body: Body;
  encrypted: boolean;
  inHeaders: boolean;
}

/** All blocks, in order; what stands outside of blocks is passed over. Throws ERR_SOCRYPT_PEM_INVALID. */
export function readPem(bytes: Uint8Array, source: string, most: number = MAX_BLOCKS): PemBlock[] {
  const blocks: PemBlock[] = [];
  let open: OpenBlock | undefined;
  const fail = (line: number, what: string): SocryptError => {
    open?.body.wipe();
    for (const block of blocks) block.der.fill(0);
    return new SocryptError(
      'ERR_SOCRYPT_PEM_INVALID',
      `${source}: expected PEM, but line ${line} ${what}. Check that the file was copied whole and unchanged.`,
    );
  };

  let number = 0;
  for (let at = 0; at < bytes.length; ) {
    const { line, next } = lineAt(bytes, at);
    at = next;
    number++;
    if (open === undefined) {
      if (!startsWith(line, BEGIN)) continue;
      const label = labelOf(line, BEGIN.length);
      if (label === undefined) continue;
      if (blocks.length === most) throw fail(number, `begins block ${most + 1}, and ${most} is the limit`);
      open = { label, line: number, body: new Body(bytes.length - at), encrypted: false, inHeaders: true };
    } else if (startsWith(line, END)) {
      const label = labelOf(line, END.length);
      if (label !== open.label)
        throw fail(number, `does not end the ${open.label} begun in line ${open.line}`);
      const der = open.body.finish();
      if (der === undefined) throw fail(number, `ends a ${label} whose base64 is incomplete`);
      blocks.push({ label, der, encrypted: open.encrypted, line: open.line });
      open = undefined;
    } else if (startsWith(line, DASHES)) {
      throw fail(number, `comes before the end of the ${open.label} begun in line ${open.line}`);
    } else if (open.inHeaders && line.includes(0x3a)) {
      open.encrypted ||= startsWith(line, ENCRYPTED_HEADER);
    } else if (line.length > 0) {
      open.inHeaders = false;
      if (!open.body.append(line)) throw fail(number, 'is not base64');
    }
  }
  if (open !== undefined) throw fail(open.line, `begins a ${open.label} that never ends`);
  return blocks;
}

/** RFC 7468 2: 64 characters a line. */
export function writePem(label: string, der: Uint8Array): string {
  const body = Buffer.from(der.buffer, der.byteOffset, der.byteLength)
    .toString('base64')
    .replace(/.{1,64}/g, '$&\n');
  return `-----BEGIN ${label}-----\n${body}-----END ${label}-----\n`;
}

/** Base64 decoded as it comes. */
class Body {
  readonly #bytes: Uint8Array;
  #length = 0;
  #bits = 0;
  #bitCount = 0;
  #padding = 0;

  constructor(base64Length: number) {
    this.#bytes = new Uint8Array(Math.ceil((base64Length * 3) / 4));
  }

  append(line: Uint8Array): boolean {
    for (const octet of line) {
      if (octet === PAD) {
        this.#padding++;
        continue;
      }
      const value = BASE64[octet]!;
      if (value < 0 || this.#padding > 0) return false;
      this.#bits = ((this.#bits << 6) | value) & 0xffff;
      this.#bitCount += 6;
      if (this.#bitCount >= 8) {
        this.#bitCount -= 8;
        this.#bytes[this.#length++] = (this.#bits >> this.#bitCount) & 0xff;
      }
    }
    return true;
  }

  /** The decoded bytes in a buffer of their own; undefined when characters are missing. */
  finish(): Uint8Array | undefined {
    // Left over after whole octets: 0, 4 or 2 bits, for which RFC 4648 4 asks 0, 2 or 1 padding characters.
    const expected = this.#bitCount / 2;
    if (this.#bitCount === 6 || this.#padding !== expected || this.#length === 0) {
      this.wipe();
      return undefined;
    }
    const der = this.#bytes.slice(0, this.#length);
    this.wipe();
    return der;
  }

  wipe(): void {
    this.#bytes.fill(0);
    this.#bits = 0;
  }
}

function asBytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'latin1'));
}

/** One line without its ending (LF, CRLF or CR) and the blanks around it. */
function lineAt(bytes: Uint8Array, start: number): { line: Uint8Array; next: number } {
  let end = start;
  while (end < bytes.length && bytes[end] !== LF && bytes[end] !== CR) end++;
  const next = bytes[end] === CR && bytes[end + 1] === LF ? end + 2 : end + 1;
  let from = start;
  // A byte order mark is a blank too; Windows editors leave it.
  if (start === 0 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) from = 3;
  while (from < end && isBlank(bytes[from]!)) from++;
  while (end > from && isBlank(bytes[end - 1]!)) end--;
  return { line: bytes.subarray(from, end), next };
}

function isBlank(octet: number): boolean {
  return octet === 0x20 || octet === 0x09;
}

function startsWith(line: Uint8Array, prefix: Uint8Array): boolean {
  return line.length >= prefix.length && prefix.every((octet, i) => line[i] === octet);
}

function labelOf(line: Uint8Array, from: number): string | undefined {
  const to = line.length - DASHES.length;
  if (to <= from || to - from > MAX_LABEL || !startsWith(line.subarray(to), DASHES)) return undefined;
  const label = String.fromCharCode(...line.subarray(from, to));
  return /^[\x21-\x2c\x2e-\x7e](?:[ -]?[\x21-\x2c\x2e-\x7e])*$/.test(label) ? label : undefined;
}
