/** What a test may want: the connection, or its configuration, is refused. Anything else that is thrown is a fault. */
export class Refused extends Error {}
