/** What `import { ocf } from 'socrypt/ocf'` gives. */
export { type ErrorCode, isSocryptError, SocryptError } from '../errors.ts';
export { type CryptOp, CryptoDevice, type CryptoDeviceOptions } from './crypto-device.ts';
export type { DriverInfo, OfferInfo } from './driver-info.ts';
export type {
  DriverCost,
  DriverFault,
  DriverOp,
  DriverSession,
  JsDriver,
  Offer,
  OfferName,
} from './js-driver.ts';
export { registerMetrics } from './metrics.ts';
export { Ocf, ocf } from './ocf.ts';
export type {
  AeadName,
  AgreementName,
  CipherName,
  DriverId,
  HashName,
  MacName,
  Placement,
  SessionParams,
  SignatureName,
} from './params.ts';
export type * from './sessions.ts';
