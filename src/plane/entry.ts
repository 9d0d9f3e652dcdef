/**
 * What the control plane answers to "what does this request mean?": a resolution that the engine can
 * serve, and, when it is cacheable, serve again without asking as long as its dependencies still hold.
 */

/** What tells one state of one file from another; all from one `statx`. */
export interface FileIdentity {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

/**
 * A fact that a decision was based on. The engine looks it up again (at most once a second per entry);
 * when it no longer holds, the entry is dropped and the control plane is asked anew.
 */
export interface Dependency {
  /** Relative to the served root, no leading slash; '' or '.' is the root itself. */
  readonly path: string;
  /** `null`: nothing was there, and nothing must be there. */
  readonly identity: FileIdentity | null;
}

export type ContentCoding = 'identity' | 'gzip' | 'br' | 'zstd';

/** One representation of a file, open for reading. */
export interface FileVariant {
  readonly coding: ContentCoding;
  /** Ownership passes to the engine with the resolution; whoever drops a resolution closes it. */
  readonly fd: number;
  readonly identity: FileIdentity;
  /** With quotes; '' for none. */
  readonly etag: string;
  /** Seconds since the epoch, or -1 to send no Last-Modified (mtime 0 or 1: reproducible builds). */
  readonly lastModified: number;
  /**
   * Field lines ("Name: value\r\n"…) of a 200 or 206. The engine itself adds the status line, Date,
   * Connection, Content-Length, Content-Range, Accept-Ranges, ETag and Last-Modified.
   */
  readonly headers: string;
  /** Field lines of a 304 (Cache-Control, Vary, …); the engine adds Date, Connection, ETag. */
  readonly headersNotModified: string;
}

/** A file, in one or more codings; the engine negotiates, evaluates conditions and ranges. */
export interface FileResolution {
  readonly kind: 'file';
  /** 200: full conditional and range semantics. Any other status: sent as it is, no conditions. */
  readonly status: number;
  readonly variants: readonly FileVariant[];
  readonly dependencies: readonly Dependency[];
  /** False: answers this request only. */
  readonly cacheable: boolean;
}

/** A response held in memory: error page, redirect, directory listing, preflight answer. */
export interface FixedResolution {
  readonly kind: 'fixed';
  readonly status: number;
  /** Field lines; the engine adds the status line, Date, Connection and Content-Length. */
  readonly headers: string;
  readonly body: Uint8Array;
  /** Appends the request's query to the Location field, which must then be the last of `headers`. */
  readonly appendQuery?: boolean;
  readonly dependencies: readonly Dependency[];
  readonly cacheable: boolean;
}

/** A response in pieces (multipart/byteranges): bytes and slices of one open file, never cached. */
export interface SegmentsResolution {
  readonly kind: 'segments';
  readonly status: number;
  readonly headers: string;
  /** Ownership passes to the engine. */
  readonly fd: number;
  readonly identity: FileIdentity;
  readonly segments: readonly (Uint8Array | { readonly offset: number; readonly length: number })[];
}

export type Resolution = FileResolution | FixedResolution | SegmentsResolution;

/** A request that the engine could not answer by itself. */
export interface RequestHead {
  readonly method: string;
  /** As sent: origin-form, absolute-form or "*". */
  readonly target: string;
  /** Path of the target: no scheme, authority or query; still percent-encoded. */
  readonly path: string;
  /** With its '?', or ''. */
  readonly query: string;
  /** Lower-case names; repeated fields joined by ", ". */
  readonly headers: ReadonlyMap<string, string>;
}

/** Implemented by `http/`, called by `plane/`. Must not throw; a thrown error becomes a 500. */
export interface RequestHandler {
  resolve(request: RequestHead): Resolution | Promise<Resolution>;
  /** The page for a status that the engine answers by itself (400, 408, 414, 416, 431, 500, 503, 505). */
  errorPage(status: number): { headers: string; body: Uint8Array };
}
