import { TlsError } from '../alerts.ts';
import type { Exporter, HandshakeConfig, HandshakeInfo } from '../api.ts';
import { copyBytes } from '../bytes.ts';
import type { Aligned } from '../handshake-joiner.ts';
import type { Protection } from '../records/protection.ts';
import type { FinishedVerified } from '../schedule/traffic-secret.ts';
import { Closed, type Connection, type State } from '../state.ts';
import type { TrafficSecret } from '../traffic.ts';

/**
 * The end of a TLS 1.2 handshake: its keys are those of the application data, and go on counting where the Finished,
 * record 0 of its direction, has left off.
 */
export function establish12<Config extends HandshakeConfig>(
  connection: Connection<Config>,
  info: HandshakeInfo,
  exporter: Exporter,
  _verified: FinishedVerified,
  _aligned: Aligned,
): State<Config> {
  connection.emit({
    type: 'established',
    tx: handOver(connection.writer.protection),
    rx: handOver(connection.reader.protection),
    info,
    leftover: connection.reader.takeRest(),
    update: new Uint8Array(0),
    exporter,
  });
  connection.wipe();
  return new Closed();
}

function handOver(protection: Protection | undefined): TrafficSecret {
  if (protection === undefined) throw new TlsError('internal_error');
  const { suite, key, iv } = protection.keys;
  return {
    suite: suite.id,
    key: copyBytes(key),
    iv: copyBytes(iv),
    recordSeq: BigInt(protection.recordSeq),
    epoch: 0,
  };
}
