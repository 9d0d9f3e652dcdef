/** Certificates, versions, suites and groups, tickets, and the authentication of clients. */
import { choice, count, custom, duration, INVALID, list, optionalText, toggle } from '../option.ts';
import { groupNames, suiteNames } from '../tls-names.ts';
import { anyOf, DAY, FILE } from './kinds.ts';

export const TLS = {
  /** Certificate chain files; the first of several is the one for clients without a matching name. */
  cert: list<string>(
    {
      group: 'tls',
      help: 'Certificate chain, PEM or DER; once per certificate; without any a development certificate is made and kept',
      default: [],
      reload: true,
    },
    FILE,
  ),
  /** Private key files, in the order of `cert`. */
  key: list<string>(
    { group: 'tls', help: 'Private key of the certificate at the same place', default: [], reload: true },
    { ...FILE, example: './server.key' },
  ),
  /** OCSP responses (DER), in the order of `cert`; '-' for a certificate without one. */
  ocsp: list<string>(
    {
      group: 'tls',
      help: 'OCSP response (DER) to staple to the certificate at the same place, `-` for none; fetch it anew before it ends, and reload',
      default: [],
      reload: true,
    },
    { ...FILE, expected: "a path, or '-'", example: './server.ocsp' },
  ),
  /** Lists of signed certificate timestamps (RFC 6962 3.3), in the order of `cert`; '-' for a certificate without. */
  sct: list<string>(
    {
      group: 'tls',
      help: 'Signed certificate timestamps (SignedCertificateTimestampList of RFC 6962) of the certificate at the same place, `-` for none',
      default: [],
      reload: true,
    },
    { ...FILE, expected: "a path, or '-'", example: './server.sct' },
  ),
  /** Serve a certificate that has expired. */
  allowExpired: toggle({
    group: 'tls',
    help: 'Serve a certificate that has expired, with a warning',
    default: false,
    reload: true,
  }),

  /** Lowest protocol version; the highest is 1.3. */
  minVersion: choice(
    {
      group: 'tls',
      help: 'Lowest version of TLS; 1.2 is spoken with ECDHE and AEAD suites alone',
      default: '1.2',
    },
    ['1.2', '1.3'],
  ),
  /** Cipher suites by their IANA names, the preferred one first; empty: all there are. */
  suites: list<string>(
    {
      group: 'tls',
      help: 'Cipher suite; once per suite, the preferred one first; a version without any is not spoken',
      default: [],
      defaultText: 'all',
    },
    {
      placeholder: 'SUITE',
      expected: `one of ${suiteNames.join(', ')}`,
      example: suiteNames[0]!,
      pattern: anyOf(suiteNames),
    },
  ),
  /** Groups of the key exchange, the preferred one first; empty: all there are. */
  groups: list<string>(
    {
      group: 'tls',
      help: 'Group of the key exchange; once per group, the preferred one first',
      default: [],
      defaultText: 'all',
    },
    {
      placeholder: 'GROUP',
      expected: `one of ${groupNames.join(', ')} (secp256r1 is P-256)`,
      example: groupNames[0]!,
      pattern: anyOf([...groupNames, 'P-256', 'P-384']),
    },
  ),

  /** Session tickets after a full handshake; 0: no session is resumed. */
  tickets: count({
    group: 'tls',
    help: 'Session tickets after a full handshake; 0: sessions are not resumed',
    default: 2,
    min: 0,
    max: 8,
  }),
  /** How long a session ticket lives, ms. */
  ticketLifetime: duration({
    group: 'tls',
    help: 'How long a session ticket lives, and how long a ticket key of our own seals',
    default: DAY,
    min: 1000,
    max: 7 * DAY,
  }),
  /** File of ticket keys, for servers that resume each other's sessions; null: keys of our own, that rotate. */
  ticketKeys: optionalText(
    {
      group: 'tls',
      help: 'Ticket keys for several servers, read again when the file changes; without it keys of our own, which rotate',
      default: null,
    },
    { ...FILE, example: './ticket.keys' },
  ),
  /** A ticket resumes one session, and no second one. */
  singleUseTickets: toggle({
    group: 'tls',
    help: 'Take each session ticket once only, in this process',
    default: false,
  }),
  /** Authorities whose certificates clients show; none: clients are not asked. */
  clientCa: list<string>(
    {
      group: 'tls',
      help: 'Certificates of authorities, PEM or DER: clients are asked for a certificate by one of them',
      default: [],
      reload: true,
    },
    { ...FILE, example: './clients-ca.pem' },
  ),
  /** Whether a client without a certificate is let in; null: not where there is `clientCa`. */
  clientAuth: custom<'require' | 'request' | null>(
    {
      group: 'tls',
      help: 'With `clientCa`: require a certificate, or request one and let clients without any in',
      default: null,
      defaultText: 'require',
      reload: true,
    },
    {
      expected: 'one of require, request',
      placeholder: 'require|request',
      example: 'require',
      read: (input) => (input === null || input === 'require' || input === 'request' ? input : INVALID),
      show: () => 'require',
    },
  ),
  /** Revocation lists for clients' certificates. */
  clientCrl: list<string>(
    {
      group: 'tls',
      help: 'Revocation lists, PEM or DER: with any, each client certificate must be covered by a current one',
      default: [],
      reload: true,
    },
    { ...FILE, example: './clients.crl' },
  ),
};
