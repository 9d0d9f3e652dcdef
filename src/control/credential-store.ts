/**
 * Credentials as handshakes use them: a chain with a key that signs, and which of them a client gets. How they are read
 * and checked is credentials.ts's; a control worker needs no more than this.
 */
import { type ErrorCode, SocryptError } from '../errors.ts';
import type { KeyDescription } from '../x509/private-key.ts';
import { NameTable } from './name-table.ts';

/** A private key that signs and never shows itself; `native.crypto.importPrivateKey` makes them. */
export interface Signer {
  /** `scheme`: TLS SignatureScheme code point. */
  sign(scheme: number, data: Uint8Array): Uint8Array;
  /** The same without holding up this thread for long; absent: `sign` is quick enough, or there is no other way. */
  signAsync?(scheme: number, data: Uint8Array): Uint8Array | Promise<Uint8Array>;
  /** By which another thread takes a share of the key (native.ts); absent: the key stays in this thread. */
  handle?(): number;
}

export interface CredentialWarning {
  readonly code: ErrorCode;
  readonly message: string;
}

/** SignatureScheme code points, RFC 8446 4.2.3. */
const ECDSA_SECP256R1_SHA256 = 0x0403;
export const ECDSA_SECP384R1_SHA384 = 0x0503;
const ED25519 = 0x0807;
const RSA_PSS_RSAE_SHA256 = 0x0804;
const RSA_PSS_RSAE_SHA384 = 0x0805;
const RSA_PSS_RSAE_SHA512 = 0x0806;

/** The schemes of TLS 1.3 that a key can sign with, the preferred one first. */
export function schemesOf(key: KeyDescription): readonly number[] {
  if (key.type === 'rsa') return [RSA_PSS_RSAE_SHA256, RSA_PSS_RSAE_SHA384, RSA_PSS_RSAE_SHA512];
  if (key.type === 'ed25519') return [ED25519];
  return [key.curve === 'P-256' ? ECDSA_SECP256R1_SHA256 : ECDSA_SECP384R1_SHA384];
}

const RSA_PKCS1_SHA256 = 0x0401;
const RSA_PKCS1_SHA384 = 0x0501;
const RSA_PKCS1_SHA512 = 0x0601;

/** Those of TLS 1.2, which has PKCS#1 v1.5 besides, and where ECDSA hashes with either curve (RFC 5246 7.4.1.4.1). */
export function schemes12Of(key: KeyDescription): readonly number[] {
  const own = schemesOf(key);
  if (key.type === 'rsa') return [...own, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512];
  if (key.type === 'ed25519') return own;
  return [...new Set([...own, ECDSA_SECP256R1_SHA256, ECDSA_SECP384R1_SHA384])];
}

/** What a credential is made of, as another thread can be sent it. */
export interface CredentialParts {
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[];
  readonly key: KeyDescription;
  readonly subject: string;
  readonly names: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** Of each certificate that another one signed, leaf first: SignatureSchemes of which one says how. */
  readonly chainSchemes: readonly (readonly number[])[];
  /** Distinguished names of the chain's issuers, DER. */
  readonly issuers: readonly Uint8Array[];
  /** DER OCSPResponse for the leaf; undefined: none is stapled. */
  readonly ocspResponse?: Uint8Array | undefined;
  /** From then on it is not stapled. */
  readonly ocspUntil?: Date | undefined;
  /** SignedCertificateTimestampList of the leaf (RFC 6962 3.3). */
  readonly sctList?: Uint8Array | undefined;
}
export interface SharedCredential extends CredentialParts {
  /** Of the key; good for as long as the credential that it came from. */
  readonly keyHandle: number;
}

/** One chain and its key. Immutable; the key itself cannot be reached. */
export class Credential implements CredentialParts {
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[];
  readonly schemes: readonly number[];
  readonly schemes12: readonly number[];
  readonly key: KeyDescription;
  /** Subject of the leaf, for people. */
  readonly subject: string;
  /** subjectAltName host names of the leaf, lower case, wildcards included. */
  readonly names: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly chainSchemes: readonly (readonly number[])[];
  readonly issuers: readonly Uint8Array[];
  readonly ocspUntil: Date | undefined;
  readonly sctList: Uint8Array | undefined;
  readonly warnings: readonly CredentialWarning[];
  readonly #ocspResponse: Uint8Array | undefined;
  readonly #signer: Signer;

  constructor(parts: CredentialParts, signer: Signer, warnings: readonly CredentialWarning[] = []) {
    this.chain = Object.freeze([...parts.chain]);
    this.schemes = Object.freeze([...schemesOf(parts.key)]);
    this.schemes12 = Object.freeze([...schemes12Of(parts.key)]);
    this.key = Object.freeze({ ...parts.key });
    this.subject = parts.subject;
    this.names = Object.freeze([...parts.names]);
    this.ipAddresses = Object.freeze([...parts.ipAddresses]);
    this.notBefore = parts.notBefore;
    this.notAfter = parts.notAfter;
    this.chainSchemes = Object.freeze([...parts.chainSchemes]);
    this.issuers = Object.freeze([...parts.issuers]);
    this.ocspUntil = parts.ocspUntil;
    this.sctList = parts.sctList;
    this.warnings = Object.freeze([...warnings]);
    this.#ocspResponse = parts.ocspResponse;
    this.#signer = signer;
    Object.freeze(this);
  }

  /** For the leaf, DER; undefined: there is none, or none that is still good. */
  get ocspResponse(): Uint8Array | undefined {
    const ended = this.ocspUntil !== undefined && this.ocspUntil.getTime() <= Date.now();
    return ended ? undefined : this.#ocspResponse;
  }

  /** Signs `data` as `scheme` (one of `schemes` or `schemes12`) says. Throws ERR_SOCRYPT_KEY_SCHEME for another one. */
  sign(scheme: number, data: Uint8Array): Uint8Array {
    return this.#signer.sign(scheme, data);
  }

  /** The same; a signature that takes long (RSA: some 300 us against 20) is made in another thread where that can be. */
  signElsewhere(scheme: number, data: Uint8Array): Uint8Array | Promise<Uint8Array> {
    const signer = this.#signer;
    return signer.signAsync === undefined ? signer.sign(scheme, data) : signer.signAsync(scheme, data);
  }

  /** For another thread of this process; undefined: the key cannot leave this one. */
  share(): SharedCredential | undefined {
    const keyHandle = this.#signer.handle?.();
    if (keyHandle === undefined) return undefined;
    const { chain, key, subject, names, ipAddresses, notBefore, notAfter } = this;
    const { chainSchemes, issuers, ocspUntil, sctList } = this;
    const own = { chain, key, subject, names, ipAddresses, notBefore, notAfter, chainSchemes, issuers };
    return { ...own, ocspResponse: this.#ocspResponse, ocspUntil, sctList, keyHandle };
  }
}

/** ECDSA and Ed25519 before RSA: a signature costs a tenth, the chain is shorter. */
function preferenceOf(credential: Credential): number {
  if (credential.key.type === 'rsa') return 2;
  return credential.key.type === 'ec' ? 0 : 1;
}

export interface CredentialQuery {
  /** SNI host_name as it came, in any case; undefined or '' without SNI. */
  readonly serverName: string | undefined;
  /** The client's signature_algorithms. */
  readonly signatureSchemes: ArrayLike<number>;
  /** 0x0303: TLS 1.2, whose signature schemes differ; undefined and all else: TLS 1.3. */
  readonly version?: number;
  /** TLS 1.2: the client's curves, one of which an ECDSA key must be on (RFC 8422 5.1.1); undefined: any. */
  readonly groups?: ArrayLike<number> | undefined;
  /** SignatureSchemes that the client verifies certificates with; undefined: `signatureSchemes`. */
  readonly certificateSchemes?: ArrayLike<number> | undefined;
  /** Distinguished names, DER, of the authorities that the client knows; undefined: it does not say. */
  readonly certificateAuthorities?: readonly Uint8Array[] | undefined;
}

/** Credentials by name. Immutable: a reload makes a new store. */
export class CredentialStore {
  readonly credentials: readonly Credential[];
  readonly #exact: NameTable<Credential>;
  /** By what follows the asterisk's label: "*.example.com" under "example.com". */
  readonly #wildcard: NameTable<Credential>;
  readonly #fallback: readonly Credential[];

  /** The first one is the default. Throws ERR_SOCRYPT_CREDENTIAL_MISSING for none. */
  constructor(credentials: readonly Credential[]) {
    const [first] = credentials;
    if (first === undefined) {
      throw new SocryptError(
        'ERR_SOCRYPT_CREDENTIAL_MISSING',
        'Expected at least one certificate with its key, but none is configured. Give --cert and --key.',
      );
    }
    this.credentials = Object.freeze([...credentials]);
    const byPreference = credentials.toSorted((a, b) => preferenceOf(a) - preferenceOf(b));
    const exact: [string, Credential][] = [];
    const wildcard: [string, Credential][] = [];
    for (const credential of byPreference) {
      for (const name of new Set(credential.names)) {
        if (name.startsWith('*.')) wildcard.push([name.slice(2), credential]);
        else exact.push([name, credential]);
      }
    }
    this.#exact = new NameTable(exact);
    this.#wildcard = new NameTable(wildcard);
    // The default's other half (RSA beside ECDSA) stands in for it where the client cannot take the default.
    const names = new Set(first.names);
    this.#fallback = byPreference.filter(
      (other) => other === first || other.names.some((name) => names.has(name)),
    );
    Object.freeze(this);
  }

  /**
   * The credential for a client: by exact name, else by wildcard, else the default. Of several those whose keys the client
   * can verify; of these the one whose chain it can verify, too, and that leads to an authority it knows; of equals ECDSA
   * before Ed25519 before RSA, then the one that was given first. undefined: the client can verify none.
   * Allocates nothing.
   */
  select(query: CredentialQuery): Credential | undefined {
    const { serverName } = query;
    if (serverName !== undefined && serverName !== '') {
      const exact = bestOf(this.#exact.find(serverName, 0), query);
      if (exact !== undefined) return exact;
      // RFC 9525 6.3: the asterisk stands for exactly one whole label, which is not empty.
      const dot = serverName.indexOf('.');
      if (dot > 0) {
        const wildcard = bestOf(this.#wildcard.find(serverName, dot + 1), query);
        if (wildcard !== undefined) return wildcard;
      }
    }
    return bestOf(this.#fallback, query);
  }
}

const TLS12 = 0x0303;
const GROUP_OF_CURVE = { 'P-256': 0x0017, 'P-384': 0x0018 } as const;

function bestOf(
  credentials: readonly Credential[] | undefined,
  query: CredentialQuery,
): Credential | undefined {
  if (credentials === undefined) return undefined;
  let best: Credential | undefined;
  let bestFit = -1;
  for (let i = 0; i < credentials.length; i++) {
    const credential = credentials[i]!;
    if (!isUsable(credential, query)) continue;
    // Nothing to compare it with.
    if (credentials.length === 1) return credential;
    const fit = fitOf(credential, query);
    if (fit > bestFit) {
      best = credential;
      bestFit = fit;
    }
  }
  return best;
}

/** What the client must be able to do. RFC 8446 4.4.2.2: without a scheme in common "the server MUST abort". */
function isUsable({ key, schemes, schemes12 }: Credential, query: CredentialQuery): boolean {
  const { signatureSchemes, version, groups } = query;
  // RFC 8422 5.1.1: the extension is about the curve of the certificate's key, too. TLS 1.3 has it in the scheme.
  if (version === TLS12 && key.type === 'ec' && groups !== undefined) {
    if (!includes(groups, GROUP_OF_CURVE[key.curve])) return false;
  }
  return includesAny(signatureSchemes, version === TLS12 ? schemes12 : schemes);
}

const CHAIN_FITS = 2;
const AUTHORITY_FITS = 1;

/** What it should be able to do: it gets a chain all the same when there is no better one (RFC 8446 4.4.2.2). */
function fitOf({ chainSchemes, issuers }: Credential, query: CredentialQuery): number {
  const { certificateSchemes, signatureSchemes, certificateAuthorities } = query;
  let fit = CHAIN_FITS;
  for (let i = 0; i < chainSchemes.length; i++) {
    if (!includesAny(certificateSchemes ?? signatureSchemes, chainSchemes[i]!)) fit = 0;
  }
  // RFC 8446 4.2.4: the authorities are there "to guide certificate selection".
  if (certificateAuthorities === undefined) return fit;
  for (let i = 0; i < certificateAuthorities.length; i++) {
    const authority = certificateAuthorities[i]!;
    for (let j = 0; j < issuers.length; j++) {
      const issuer = issuers[j]!;
      if (issuer.length === authority.length && Buffer.compare(issuer, authority) === 0)
        return fit + AUTHORITY_FITS;
    }
  }
  return fit;
}

function includes(list: ArrayLike<number>, value: number): boolean {
  for (let i = 0; i < list.length; i++) if (list[i] === value) return true;
  return false;
}

function includesAny(list: ArrayLike<number>, values: readonly number[]): boolean {
  for (let i = 0; i < values.length; i++) if (includes(list, values[i]!)) return true;
  return false;
}
