/** The pre_shared_key extension (RFC 8446 4.2.11). */
import { TlsError } from '../alerts.ts';
import type { Reader } from './reader.ts';

export interface OfferedPsks {
  /** Not empty, in the order of the client's preference. */
  readonly identities: readonly Uint8Array[];
  /** As many as identities. */
  readonly binders: readonly Uint8Array[];
  /** Bytes of the binders' list with its length, which are the last ones of the ClientHello. */
  readonly bindersLength: number;
}

/** The obfuscated ticket age counts for early data alone, which is never taken. */
export function readOfferedPsks(reader: Reader): OfferedPsks {
  const identityList = reader.nested16(7);
  const identities: Uint8Array[] = [];
  while (identityList.remaining > 0) {
    identities.push(identityList.bytes16(1));
    identityList.u32();
  }
  const bindersLength = reader.remaining;
  const binderList = reader.nested16(2);
  reader.expectEnd();
  const binders: Uint8Array[] = [];
  // One that is too short for any hash is one that will not verify.
  while (binderList.remaining > 0) binders.push(binderList.bytes8(1));
  // RFC 8446 4.2.11: "binders: A series of HMAC values, one for each value in the "identities" list".
  if (binders.length !== identities.length) throw new TlsError('psk_without_binder');
  return { identities, binders, bindersLength };
}
