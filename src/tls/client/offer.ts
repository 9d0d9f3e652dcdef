/** What a ClientHello says, made from the configuration; every answer is held against it. */
import { TlsError } from '../alerts.ts';
import { type Extension, extension, type OutgoingHello, writeClientHello } from '../codec/hello-writer.ts';
import { ExtensionType, OWN_RECORD_SIZE_LIMIT, TLS12, TLS13 } from '../codepoints.ts';
import type { CryptoProvider, EphemeralKey } from '../crypto-provider.ts';
import type { Resumption } from '../session/api.ts';
import type { ClientSession } from '../session/client-session.ts';
import { type Suite, suiteById } from '../suites.ts';
import type { ClientConfig } from './api.ts';
import { bind, type OfferedSession, preSharedKey, sessionToOffer } from './resumption.ts';

export interface Offer extends OutgoingHello {
  readonly config: ClientConfig;
  /** Of the shares, by NamedGroup. */
  readonly keys: ReadonlyMap<number, EphemeralKey>;
  readonly resumption: OfferedSession | undefined;
  /** Why nothing is resumed, should it come so. */
  readonly refusal: Exclude<Resumption, 'resumed'>;
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
    // RFC 8446 4.2.8: "MUST correspond to a group offered in the "supported_groups" extension and MUST appear in the
    // same order"; "The key_exchange values for each KeyShareEntry MUST be generated independently."
    for (const group of config.groups) {
      if (config.keyShareGroups.includes(group)) keys.set(group, provider.generateKeyShare(group));
    }
  }
  const session = sessionToOffer(config);
  return withExtensions(
    {
      config,
      random: provider.randomBytes(RANDOM_LENGTH),
      // RFC 8446 4.1.2: "In compatibility mode (see Appendix D.4), this field MUST be non-empty"; "Otherwise, it MUST
      // be set as a zero-length vector".
      sessionId: sessionIdOf(session, provider, offers13 && config.compatibilityMode),
      suites: config.suites.filter((id) => config.versions.includes(suiteById(id)?.version ?? 0)),
      keys,
      resumption: typeof session === 'object' ? session : undefined,
      // RFC 8446 4.2.11: a server that does not know the ticket goes on in full.
      refusal: typeof session === 'object' ? 'unknown_ticket' : session,
    },
    extensionsFor(config, keys, session),
  );
}

type SessionToOffer = ReturnType<typeof sessionToOffer>;

/**
 * That of a TLS 1.2 session that goes by its id. RFC 5077 3.4: with a ticket one of our own making, which comes back when
 * the ticket is taken. RFC 8446 D.4: or one for middleboxes.
 */
function sessionIdOf(session: SessionToOffer, provider: CryptoProvider, compatible: boolean): Uint8Array {
  const session12 = session12Of(session);
  if (session12 !== undefined && session12.ticket.length === 0) return session12.sessionId;
  return provider.randomBytes(compatible || session12 !== undefined ? SESSION_ID_LENGTH : 0);
}

function session12Of(session: SessionToOffer): ClientSession | undefined {
  return typeof session === 'object' && session.suite.version === TLS12 ? session.session : undefined;
}

export interface Changes {
  /** undefined: the shares stay. */
  readonly group: number | undefined;
  readonly cookie: Uint8Array | undefined;
  readonly suite: Suite;
}

/**
 * RFC 8446 4.1.4: what a HelloRetryRequest may change, and nothing else. RFC 8446 4.1.2: "the client MUST send the
 * same ClientHello without modification, except as follows".
 */
export function makeSecondOffer(
  first: Offer,
  provider: CryptoProvider,
  { group, cookie, suite }: Changes,
): Offer {
  let { keys } = first;
  let extensions: readonly Extension[] = first.extensions;
  // RFC 8446 4.2.8: "Otherwise, when sending the new ClientHello, the client MUST" replace its shares by this one.
  if (group !== undefined) {
    for (const key of keys.values()) key.wipe();
    const share = new Map([[group, provider.generateKeyShare(group)]]);
    keys = share;
    extensions = extensions.map((old) => (old.type === ExtensionType.keyShare ? keyShare(share) : old));
  }
  // Here and in no other hello. RFC 8446 4.2.2: "Clients MUST NOT use cookies in their initial ClientHello in
  // subsequent connections."
  if (cookie !== undefined) {
    const echo = extension(ExtensionType.cookie, (writer) => writer.vector(2, cookie));
    extensions = [...extensions, echo];
  }
  // RFC 8446 4.1.4: "removing any PSKs which are incompatible with the server's indicated cipher suite".
  const { resumption } = first;
  if (resumption?.suite.version !== TLS13 || resumption.suite.hash === suite.hash) {
    return withExtensions({ ...first, keys }, extensions);
  }
  resumption.session.secret.fill(0);
  return withExtensions({ ...first, keys, resumption: undefined, refusal: 'other_suite' }, extensions);
}

/** The ClientHello of an offer. `before`: what is in the transcript already. */
export function helloMessage(offer: Offer, provider: CryptoProvider, before?: Uint8Array): Uint8Array {
  const { resumption, config } = offer;
  if (resumption?.suite.version !== TLS13) return writeClientHello(offer);
  // RFC 8446 4.2: "with the exception of "pre_shared_key" (Section 4.2.11) which MUST be the last extension".
  // RFC 8446 4.2.11: pre_shared_key "MUST be the last extension in the ClientHello".
  const extensions = [...offer.extensions, preSharedKey(resumption, config.now?.() ?? 0)];
  const message = writeClientHello({ ...offer, extensions });
  bind(provider, resumption, message, before);
  return message;
}

/** Zeroises what an offer that is over holds. */
export function wipeOffer(offer: Offer): void {
  for (const key of offer.keys.values()) key.wipe();
  offer.resumption?.session.secret.fill(0);
}

function withExtensions(rest: Omit<Offer, 'extensions' | 'types'>, extensions: readonly Extension[]): Offer {
  const types = new Set(extensions.map(({ type }) => type));
  if (rest.resumption?.suite.version === TLS13) types.add(ExtensionType.preSharedKey);
  return { ...rest, extensions, types };
}

// RFC 8446 9.2: "All implementations MUST send and use these extensions when offering applicable features": what "is
// REQUIRED for all ClientHello, ServerHello, and HelloRetryRequest messages", "is REQUIRED for certificate
// authentication", "is REQUIRED for ClientHello messages using DHE or ECDHE key exchange", "is REQUIRED for DHE or
// ECDHE key exchange", "is REQUIRED for PSK key agreement".
function extensionsFor(
  config: ClientConfig,
  keys: ReadonlyMap<number, EphemeralKey>,
  session: SessionToOffer,
): Extension[] {
  const { serverName, versions } = config;
  const list: Extension[] = [];
  // RFC 8446 9.2: "all implementations MUST support the use of the "server_name" extension".
  if (serverName !== undefined) list.push(serverNameExtension(serverName));
  if (versions.includes(TLS12)) {
    list.push(
      // RFC 7627 5.2: "a client implementing this document MUST send the "extended_master_secret" extension"; RFC
      // 7627 5.3: "When offering an abbreviated handshake, the client MUST send" it.
      extension(ExtensionType.extendedMasterSecret),
      // RFC 5746 3.4: "The client MUST include either an empty "renegotiation_info" extension, or" the SCSV.
      extension(ExtensionType.renegotiationInfo, (writer) => writer.u8(0)),
      // RFC 8422 5.1: "it MUST contain the value 0 (uncompressed)"; RFC 8422 5.1.2: "that supports no other curves
      // MUST send the following octets".
      extension(ExtensionType.ecPointFormats, (writer) => writer.vector(1, Uint8Array.of(UNCOMPRESSED))),
    );
    // RFC 5077 3.2: a ticket, or nothing, which asks for one.
    const ticket = session12Of(session)?.ticket;
    if (config.now !== undefined) {
      list.push(
        extension(ExtensionType.sessionTicket, (writer) => ticket !== undefined && writer.bytes(ticket)),
      );
    }
  }
  list.push(
    extension(ExtensionType.supportedGroups, (writer) => writer.list16(2, config.groups)),
    // RFC 8446 4.2.3: "Clients which desire the server to authenticate itself via a certificate MUST send" it.
    // RFC 5246 7.4.1.4.1: "supports other hash and signature algorithms (and it is willing to use them for verifying
    // messages sent by the server, i.e., server certificates and server key exchange), it MUST send the" extension.
    extension(ExtensionType.signatureAlgorithms, (writer) => writer.list16(2, config.signatureSchemes)),
  );
  if (config.alpn.length > 0) list.push(alpnExtension(config.alpn));
  if (config.requestOcsp) {
    list.push(
      // RFC 6066 8: "field of this extension SHALL contain" a CertificateStatusRequest.
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
      // RFC 8446 4.2.1: "containing all versions of TLS which they are prepared to negotiate".
      extension(ExtensionType.supportedVersions, (writer) => writer.list16(1, versions)),
      // RFC 8446 4.2.9: "In order to use PSKs, clients MUST also send" it; "A client MUST provide a
      // "psk_key_exchange_modes" extension if it offers a "pre_shared_key" extension."
      extension(ExtensionType.pskKeyExchangeModes, (writer) => writer.vector(1, Uint8Array.of(PSK_DHE_KE))),
      keyShare(keys),
    );
    list.push(extension(ExtensionType.recordSizeLimit, (writer) => writer.u16(OWN_RECORD_SIZE_LIMIT)));
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

// RFC 6066 3: "field of this extension SHALL contain" a ServerNameList.
function serverNameExtension(name: string): Extension {
  return extension(ExtensionType.serverName, (writer) => {
    const list = writer.open(2);
    writer.u8(HOST_NAME);
    writer.vector(2, bytesOf(name));
    writer.close(list, 2);
  });
}

// RFC 7301 3.1: "SHALL contain a "ProtocolNameList" value".
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
