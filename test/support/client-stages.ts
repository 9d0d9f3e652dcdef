/** Handshakes of our client with the scripted server, brought to a certain point, and how they must end there. */
import { expect } from 'vitest';
import type { ClientConfig, Reason } from '../../src/tls/index.ts';
import { type ClientAnswers, ClientDriver } from './client-driver.ts';
import { type Extension, record } from './tls13-client.ts';
import { TestServer } from './tls13-server.ts';

const ALERTS = {
  unexpected_message: 10,
  record_overflow: 22,
  handshake_failure: 40,
  bad_certificate: 42,
  unsupported_certificate: 43,
  illegal_parameter: 47,
  unknown_ca: 48,
  decode_error: 50,
  decrypt_error: 51,
  protocol_version: 70,
  internal_error: 80,
  missing_extension: 109,
  unsupported_extension: 110,
} as const;

export type AlertName = keyof typeof ALERTS;

export interface Stage {
  readonly client: ClientDriver;
  readonly server: TestServer;
}

/** The client has said hello. */
export function started(changes: Partial<ClientConfig> = {}, answers: ClientAnswers = {}): Stage {
  const client = new ClientDriver(changes, answers);
  const server = new TestServer();
  server.receive(client.start());
  return { client, server };
}

export type Protected = 'EncryptedExtensions' | 'Certificate' | 'CertificateVerify' | 'Finished';

/** The client waits for that message (or for a CertificateRequest before a Certificate). */
export function reach(
  stage: Protected,
  changes: Partial<ClientConfig> = {},
  server = new TestServer(),
  answers: ClientAnswers = {},
): Stage {
  const client = new ClientDriver(changes, answers);
  server.receive(client.start());
  server.receive(client.feed(record(22, server.serverHello())));
  const say = (whole: Uint8Array) => server.receive(client.feed(server.seal(22, whole)));
  if (stage !== 'EncryptedExtensions') say(server.encryptedExtensions());
  if (stage === 'CertificateVerify' || stage === 'Finished') say(server.certificate());
  if (stage === 'Finished') say(server.certificateVerify());
  expect(client.failed).toBeUndefined();
  return { client, server };
}

export function expectRefusal(
  { client, server }: Stage,
  input: Uint8Array,
  reason: Reason,
  alert: AlertName,
) {
  server.receive(client.feed(input));
  expect(client.failed).toMatchObject({ reason, alert: ALERTS[alert] });
  expect(server.alerts).toEqual([ALERTS[alert]]);
  expect(client.established).toBeUndefined();
  expect(client.handshake.state).toBe('Closed');
}

export const replace =
  (type: number, body: Uint8Array | undefined) =>
  (list: Extension[]): Extension[] =>
    list.flatMap((each) => (each[0] !== type ? [each] : body === undefined ? [] : [[type, body] as const]));
export const add =
  (type: number, body: Uint8Array = Buffer.alloc(0)) =>
  (list: Extension[]): Extension[] => [...list, [type, body]];
