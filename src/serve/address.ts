/** Host names to addresses, addresses to URLs. */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { listenError } from '../observe/listener.ts';

/** What `host` says as a numeric address; `what` and `port` are for the message. Throws ERR_SOCRYPT_ADDRESS. */
export async function numericAddress(host: string, what: string, port: number): Promise<string> {
  if (isIP(host) !== 0) return host;
  try {
    // IPv4 first: 'localhost' on 127.0.0.1 is reached by every client, on ::1 not.
    const found = await lookup(host, { all: true });
    return (found.find(({ family }) => family === 4) ?? found[0]!).address;
  } catch (error) {
    throw listenError(error, what, host, port);
  }
}

const isLoopback = (host: string) => /^127\.|^::1$/.test(host);
const isEverywhere = (host: string) => host === '0.0.0.0' || host === '::';

/** For people: `localhost` stands for loopback and for every address of this machine. */
export function urlOf(host: string, port: number): string {
  const name = isLoopback(host) || isEverywhere(host) ? 'localhost' : isIP(host) === 6 ? `[${host}]` : host;
  return `https://${name}${port === 443 ? '' : `:${port}`}/`;
}
