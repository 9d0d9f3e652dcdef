/** Where a NIC that is lent is found, by the name of its host port. */
import { join } from 'node:path';

const RUN = process.env.SOCRYPT_RUN_DIRECTORY ?? '/run/socrypt';

/** Of one NIC: its sockets. */
export const nicDirectory = (name: string): string => join(RUN, `nic-${name}`);
/** Flows and their records (nic/remote/wire.hpp). */
export const flowsSocket = (name: string): string => join(nicDirectory(name), 'flows');
/** What operators ask (daemon.ts). */
export const operatorsSocket = (name: string): string => join(nicDirectory(name), 'operators');
