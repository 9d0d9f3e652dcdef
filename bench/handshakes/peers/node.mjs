// Node's own tls: reads a request, answers with the same bytes, and closes.
// usage: node.mjs RESPONSE PORT CERT KEY full|resume
import { constants } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:tls';

const [, , response, port, cert, key, kind] = process.argv;
const answer = readFileSync(response);
const secureOptions = kind === 'resume' ? 0 : constants.SSL_OP_NO_TICKET;

const server = createServer({ cert: readFileSync(cert), key: readFileSync(key), secureOptions }, (socket) => {
  socket.on('error', () => {});
  socket.once('data', () => socket.end(answer));
});
server.listen({ port: Number(port), host: '127.0.0.1', backlog: 4096 });
