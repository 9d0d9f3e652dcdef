/** The states' types for this role. */
import type { Connection as AnyConnection, State } from '../state.ts';
import type { ClientConfig } from './api.ts';

export type Connection = AnyConnection<ClientConfig>;
export type ClientState = State<ClientConfig>;
