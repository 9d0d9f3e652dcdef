/** What a ClientHello says, made from the configuration; every answer is held against it. */
import { TlsError } from '../alerts.ts';
import { type Extension, extension, type OutgoingHello, writeClientHello } from '../codec/hello-writer.ts';
import { ExtensionType, TLS12, TLS13 } from '../codepoints.ts';
import type { CryptoProvider, EphemeralKey } from '../crypto-provider.ts';
import type { ClientConfig } from './api.ts';

export interface Offer extends OutgoingHello {
  readonly config: ClientConfig;
  /** Of the shares, by NamedGroup. */
  readonly keys: ReadonlyMap<number, EphemeralKey>;
  /** ExtensionTypes that an answer may refer to. */
  readonly types: ReadonlySet<number>;
}

const SESSION_ID_LENGTH = 32;
const RANDOM_LENGTH = 32;
const HOST_NAME = 0;
const OCSP = 1;
const UNCOMPRESSED = 0;
/** RFC 8446 4.2.9: the only mode offered is psk_dhe_ke. */
const PSK_DHE_KE = 1;

export function makeOffer(config: ClientConfig, provider: CryptoProvider): Offer {
  const offers13 = config.versions.includes(TLS13);
  const keys = new Map<number, EphemeralKey>();
  if (offers13) {
    // RFC 8446 4.2.8: in the order of supported_groups, and none that is not listed there.
    for (const group of config.groups) {
      if (config.keyShareGroups.includes(group)) keys.set(group, provider.generateKeyShare(group));
    }
  }
  return withExtensions(
    {
      config,
      random: provider.randomBytes(RANDOM_LENGTH),
      sessionId: provider.randomBytes(offers13 && config.compatibilityMode ? SESSION_ID_LENGTH : 0),
      suites: config.suites.filter((suite) => config.versions.includes(isSuiteOf13(suite) ? TLS13 : TLS12)),
      keys,
    },
    extensionsFor(config, keys),
  );
}

/** RFC 8446 4.1.4: what a HelloRetryRequest may change, and nothing else. `group` undefined: the shares stay. */
export function makeSecondOffer(
  first: Offer,
  provider: CryptoProvider,
  group: number | undefined,
  cookie: Uint8Array | undefined,
): Offer {
  let { keys } = first;
  let extensions: readonly Extension[] = first.extensions;
  if (group !== undefined) {
    wipeKeys(first);
    const share = new Map([[group, provider.generateKeyShare(group)]]);
    keys = share;
    extensions = extensions.map((old) => (old.type === ExtensionType.keyShare ? keyShare(share) : old));
  }
  if (cookie !== undefined) {
    const echo = extension(ExtensionType.cookie, (writer) => writer.vector(2, cookie));
    extensions = [...extensions, echo];
  }
  return withExtensions({ ...first, keys }, extensions);
}

export function helloMessage(offer: Offer): Uint8Array {
  return writeClientHello(offer);
}

export function wipeKeys(offer: Offer): void {
  for (const key of offer.keys.values()) key.wipe();
}

/** RFC 8446 B.4: the suites of TLS 1.3 have a first byte of their own. */
export function isSuiteOf13(suite: number): boolean {
  return suite >> 8 === 0x13;
}

function withExtensions(rest: Omit<Offer, 'extensions' | 'types'>, extensions: readonly Extension[]): Offer {
  return { ...rest, extensions, types: new Set(extensions.map(({ type }) => type)) };
}

function extensionsFor(config: ClientConfig, keys: ReadonlyMap<number, EphemeralKey>): Extension[] {
  const { serverName, versions } = config;
  const list: Extension[] = [];
  if (serverName !== undefined) list.push(serverNameExtension(serverName));
  if (versions.includes(TLS12)) {
    list.push(
      extension(ExtensionType.extendedMasterSecret),
      extension(ExtensionType.renegotiationInfo, (writer) => writer.u8(0)),
      extension(ExtensionType.ecPointFormats, (writer) => writer.vector(1, Uint8Array.of(UNCOMPRESSED))),
      extension(ExtensionType.sessionTicket),
    );
  }
  list.push(
    extension(ExtensionType.supportedGroups, (writer) => writer.list16(2, config.groups)),
    extension(ExtensionType.signatureAlgorithms, (writer) => writer.list16(2, config.signatureSchemes)),
  );
  if (config.alpn.length > 0) list.push(alpnExtension(config.alpn));
  if (config.requestOcsp) {
    list.push(
      extension(ExtensionType.statusRequest, (writer) => {
        writer.u8(OCSP);
        writer.u16(0); // responder_id_list: any
        writer.u16(0); // request_extensions: none
      }),
    );
  }
  if (config.requestScts) list.push(extension(ExtensionType.signedCertificateTimestamp));
  if (versions.includes(TLS13)) {
    list.push(
      extension(ExtensionType.supportedVersions, (writer) => writer.list16(1, versions)),
      extension(ExtensionType.pskKeyExchangeModes, (writer) => writer.vector(1, Uint8Array.of(PSK_DHE_KE))),
      keyShare(keys),
    );
    if (config.certificateAuthorities.length > 0) list.push(authoritiesExtension(config));
  }
  return list;
}

function keyShare(keys: ReadonlyMap<number, EphemeralKey>): Extension {
  return extension(ExtensionType.keyShare, (writer) => {
    const shares = writer.open(2);
    for (const [group, { publicKey }] of keys) {
      writer.u16(group);
      writer.vector(2, publicKey);
    }
    writer.close(shares, 2);
  });
}

function serverNameExtension(name: string): Extension {
  return extension(ExtensionType.serverName, (writer) => {
    const list = writer.open(2);
    writer.u8(HOST_NAME);
    writer.vector(2, bytesOf(name));
    writer.close(list, 2);
  });
}

function alpnExtension(names: readonly string[]): Extension {
  return extension(ExtensionType.alpn, (writer) => {
    const list = writer.open(2);
    for (const name of names) writer.vector(1, bytesOf(name));
    writer.close(list, 2);
  });
}

function authoritiesExtension(config: ClientConfig): Extension {
  return extension(ExtensionType.certificateAuthorities, (writer) => {
    const list = writer.open(2);
    for (const name of config.certificateAuthorities) writer.vector(2, name);
    writer.close(list, 2);
  });
}

/** One character is one byte; a name that is not so is the configuration's fault. */
function bytesOf(name: string): Uint8Array {
  return Uint8Array.from(name, (character) => {
    const code = character.charCodeAt(0);
    if (code > 0xff) throw new TlsError('internal_error');
    return code;
  });
}
