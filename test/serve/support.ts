/** What the tests of a whole server need: a folder, certificates, an HTTPS client. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type IncomingHttpHeaders, request as plainRequest } from 'node:http';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { makeDevelopmentCertificate } from '../../src/control/development-certificate.ts';

export class Folder {
  readonly path = mkdtempSync(join(tmpdir(), 'socrypt-serve-'));

  write(name: string, content: string | Uint8Array): string {
    const path = join(this.path, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    return path;
  }
  /** A certificate for localhost and its key. */
  credential(name: string): { cert: string; key: string; pem: string } {
    const made = makeDevelopmentCertificate(name, new Date());
    return {
      cert: this.write(`${name}.pem`, made.cert),
      key: this.write(`${name}.key`, made.key),
      pem: made.cert,
    };
  }
  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** SHA-256 of the server's certificate, as node prints it. */
  readonly fingerprint: string;
}

export interface Ask {
  readonly port: number;
  readonly path?: string;
  readonly ca: string;
  readonly agent?: Agent;
  readonly headers?: Record<string, string>;
}

export function get({ port, path = '/', ca, agent, headers = {} }: Ask): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = {
      host: '127.0.0.1',
      servername: 'localhost',
      port,
      path,
      ca,
      headers,
      agent: agent ?? false,
    };
    const sent = request(options, (response) => {
      const chunks: Buffer[] = [];
      const { fingerprint256 } = (response.socket as TLSSocket).getPeerCertificate();
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode!,
          headers: response.headers,
          body: Buffer.concat(chunks),
          fingerprint: fingerprint256,
        }),
      );
    });
    sent.on('error', reject);
    sent.end();
  });
}

export const keepAlive = (): Agent => new Agent({ keepAlive: true, maxSockets: 1 });

/** Plain HTTP. */
export function getPlain(port: number, path: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const sent = plainRequest({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode!, text }));
    });
    sent.on('error', reject);
    sent.end();
  });
}

/** Polls until `test` holds; what it last threw or returned is the failure. */
export async function until(
  test: () => boolean | Promise<boolean>,
  what: string,
  timeoutMs = 20_000,
): Promise<void> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    if (await test()) return;
    if (Date.now() > end) throw new Error(`waited in vain for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
