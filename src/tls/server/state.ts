/** The states' types for this role. */
import type { Connection as AnyConnection, State } from '../state.ts';
import type { ServerConfig } from './api.ts';

export type Connection = AnyConnection<ServerConfig>;
export type ServerState = State<ServerConfig>;
