/**
 * Every native class and function of the data plane, declared once, and the loader of the addon.
 * Nothing but this file knows where the binary lies.
 */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { FileIdentity } from './plane/entry.ts';

// ── handshake cryptography (native/addon/crypto_binding.cc) ─────────────────────────────────────────

export type HashName = 'sha256' | 'sha384';
/** TLS NamedGroup code points: secp256r1, secp384r1, x25519. */
export type NativeGroup = 0x0017 | 0x0018 | 0x001d;
/** TLS cipher suite code points. */
export type NativeSuite = 0x1301 | 0x1302 | 0x1303 | 0xc02b | 0xc02c | 0xc02f | 0xc030 | 0xcca8 | 0xcca9;

/** A private key held by libcrypto; its bytes never come back to JavaScript. */
export declare class NativePrivateKey {
  private constructor();
  readonly type: 'ec' | 'rsa' | 'ed25519';
  /** 'P-256', 'P-384' for 'ec'; '' otherwise. */
  readonly curve: string;
  readonly bits: number;
  /** SubjectPublicKeyInfo, DER. */
  publicKey(): Uint8Array;
  /** `scheme`: TLS SignatureScheme code point. Throws ERR_SOCRYPT_KEY_SCHEME when the key does not fit. */
  sign(scheme: number, data: Uint8Array): Uint8Array;
  /** By which another thread takes a share of the key (`sharedPrivateKey`), for as long as this object lives. */
  handle(): number;
  /**
   * The same through the crypto framework of this thread: at once where that is cheaper than another thread, which is never
   * so for RSA and other signatures that would hold the event loop up. Rejects with ERR_SOCRYPT_OCF_FULL when too many wait.
   */
  signAsync(scheme: number, data: Uint8Array): Uint8Array | Promise<Uint8Array>;
}

/** An ephemeral key whose peer's share is still to come; libcrypto holds its private half. */
export declare class NativeEphemeralKey {
  private constructor();
  /** Our share as it goes on the wire; empty once wiped. */
  readonly publicKey: Uint8Array;
  /** The shared secret; null: invalid share. Throws ERR_SOCRYPT_ARGUMENT once wiped. */
  agree(peerPublic: Uint8Array): Uint8Array | null;
  wipe(): void;
}

/**
 * Steps of a handshake whose operands lie in `memory` from its start, one after the other, where the caller puts them and
 * the result takes their place. Each returns a length; -1: refused, as said. Throws ERR_SOCRYPT_CRYPTO for operands that
 * do not fit. Secrets stay in `memory` until the caller wipes them. `hash`: 256 or 384.
 */
export interface NativeWorkbench {
  readonly memory: Uint8Array;
  /** data -> digest. */
  hash(hash: number, length: number): number;
  /** key, data -> MAC. */
  hmac(hash: number, keyLength: number, dataLength: number): number;
  /** secret, label (without "tls13 "), context -> at most 255 bytes. */
  expandLabel(
    hash: number,
    secretLength: number,
    labelLength: number,
    contextLength: number,
    length: number,
  ): number;
  /** salt, transcript hash, shared secret -> as NativeCrypto.handshakeStage. */
  handshakeStage(hash: number, keyLength: number, sharedLength: number): number;
  /** handshake secret, transcript hash -> as NativeCrypto.applicationStage. */
  applicationStage(hash: number, keyLength: number): number;
  /** The peer's share -> our share, shared secret. Returns the length of the share; -1: the peer's is invalid. */
  keyShare(group: NativeGroup, shareLength: number): number;
  /** key, nonce, aad, text, room for a tag: text and tag in place. */
  seal(suite: NativeSuite, aadLength: number, textLength: number): number;
  /** The other way round; -1: the tag did not verify. */
  open(suite: NativeSuite, aadLength: number, textLength: number): number;
  /** a, b: 1 when they are the same, in constant time. */
  equal(length: number): number;
}

export interface NativeCrypto {
  readonly workbench: NativeWorkbench;
  /** PKCS#8 DER. Throws ERR_SOCRYPT_KEY_INVALID. */
  importPrivateKey(pkcs8: Uint8Array): NativePrivateKey;
  /** The key whose `handle` another thread has told; no byte of it is copied. Throws ERR_SOCRYPT_KEY_INVALID. */
  sharedPrivateKey(handle: number): NativePrivateKey;
  /** Makes an ephemeral key and combines it with the peer's share in one call; null: invalid share. */
  keyShare(
    group: NativeGroup,
    peerPublic: Uint8Array,
  ): { publicKey: Uint8Array; sharedSecret: Uint8Array } | null;
  /** The half of keyShare() that a client needs. */
  generateKeyShare(group: NativeGroup): NativeEphemeralKey;
  /**
   * Whether `signature` is that of the key `spki` over `data`; null: a scheme or a kind of key that is not known here (it
   * has EC on P-256 and P-384, Ed25519, RSA of 2048 to 8192 bits), about which nothing is said.
   */
  verify(scheme: number, spki: Uint8Array, data: Uint8Array, signature: Uint8Array): boolean | null;
  hash(hash: HashName, data: Uint8Array): Uint8Array;
  hmac(hash: HashName, key: Uint8Array, data: Uint8Array): Uint8Array;
  hkdfExtract(hash: HashName, salt: Uint8Array, ikm: Uint8Array): Uint8Array;
  /** RFC 8446 7.1 HKDF-Expand-Label; `label` without the "tls13 " prefix. */
  hkdfExpandLabel(
    hash: HashName,
    secret: Uint8Array,
    label: string,
    context: Uint8Array,
    length: number,
  ): Uint8Array;
  /** RFC 5246 5, at most 65536 bytes. */
  prf12(hash: HashName, secret: Uint8Array, label: string, seed: Uint8Array, length: number): Uint8Array;
  /**
   * The handshake stage of RFC 8446 7.1, all in a row: Handshake Secret; client secret, finished key, key, iv; server
   * secret, finished key, key, iv. `salt`: Derive-Secret(Early Secret, "derived", "").
   */
  handshakeStage(
    hash: HashName,
    keyLength: number,
    salt: Uint8Array,
    sharedSecret: Uint8Array,
    transcriptHash: Uint8Array,
  ): Uint8Array;
  /** The application stage: Master Secret; client secret, key, iv; server secret, key, iv; exporter master secret. */
  applicationStage(
    hash: HashName,
    keyLength: number,
    handshakeSecret: Uint8Array,
    transcriptHash: Uint8Array,
  ): Uint8Array;
  /** One-shot AEAD; result is ciphertext || tag. */
  aeadSeal(
    suite: NativeSuite,
    key: Uint8Array,
    nonce: Uint8Array,
    aad: Uint8Array,
    plaintext: Uint8Array,
  ): Uint8Array;
  /** null: the tag did not verify. */
  aeadOpen(
    suite: NativeSuite,
    key: Uint8Array,
    nonce: Uint8Array,
    aad: Uint8Array,
    sealed: Uint8Array,
  ): Uint8Array | null;
  /** Constant time; false on different lengths. */
  equal(a: Uint8Array, b: Uint8Array): boolean;
  /** The agreement of keyShare() with a given private key, big-endian and of fixed length. For test vectors. */
  agree(group: NativeGroup, privateKey: Uint8Array, peerPublic: Uint8Array): Uint8Array | null;
  /** Seals each payload (at most 16384 bytes) as one application_data record; their bytes in a row. For tests. */
  sealRecords(
    suite: NativeSuite,
    key: Uint8Array,
    iv: Uint8Array,
    recordSeq: bigint,
    payloads: readonly Uint8Array[],
  ): Uint8Array;
  /** Opens the first record; null: it is not whole; a number: the alert owed to the peer. For tests. */
  openRecord(
    suite: NativeSuite,
    key: Uint8Array,
    iv: Uint8Array,
    recordSeq: bigint,
    record: Uint8Array,
  ): { type: number; content: Uint8Array; consumed: number } | number | null;
  /** Seals `records` records of `payload` bytes with the soft driver; nanoseconds taken. For `doctor`. */
  measureSeal(suite: NativeSuite, payload: number, records: number): number;
  /** What the soft driver stands on: 'ipsec-mb 1.3.0 (VAES)' or 'libcrypto 3.0.19'. */
  softDriverName(): string;
  /** Version string of the libcrypto that the addon is bound to, as it reports it at run time. */
  libcryptoVersion(): string;
}

// ── files below a root (native/addon/files_binding.cc) ──────────────────────────────────────────────

export interface FileFacts extends FileIdentity {
  readonly type: 'file' | 'directory' | 'other';
  readonly mode: number;
}
export interface OpenedFile extends FileFacts {
  /** Open for reading, close-on-exec; the caller owns it. -1 for anything but a regular file. */
  readonly fd: number;
}
export interface NativeFiles {
  /** Opens a directory for use as a root (O_PATH would not do for listing). Throws a Node-like errno error. */
  openRoot(path: string): number;
  /** Another descriptor of the same open file, close-on-exec: for an owner with a life of its own. */
  duplicate(fd: number): number;
  /** The user at the other end of a Unix socket (SO_PEERCRED). Throws a Node-like errno error. */
  peerUser(fd: number): number;
  close(fd: number): void;
  /**
   * Opens each path below `root` with openat2(RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS) and stats it, all on
   * the libuv pool in one job. A path that leaves the root, does not exist or cannot be opened gives the
   * errno's name ('ENOENT', 'EXDEV', 'EACCES', 'ELOOP', 'EMFILE', …). Regular files are opened; directories
   * and others only described. With `stopAtFirst` the rest is left alone (undefined) after the first regular file.
   * With `refuseLinks` a symbolic link anywhere on the way gives 'ELOOP'.
   */
  openBeneath(
    root: number,
    paths: readonly string[],
    stopAtFirst?: boolean,
    refuseLinks?: boolean,
  ): Promise<(OpenedFile | string | undefined)[]>;
  /** The facts alone, as the engine looks dependencies up again; nothing is opened for reading. */
  statBeneath(root: number, paths: readonly string[]): Promise<(FileFacts | string)[]>;
  /**
   * Names and facts of a directory's entries, at most `limit`, in no order. Links are followed within the root
   * (with `refuseLinks`: left out); what leads nowhere and names that are not UTF-8 are left out.
   */
  list(
    root: number,
    path: string,
    limit: number,
    refuseLinks?: boolean,
  ): Promise<(FileFacts & { name: string })[]>;
  /** Whole content, at most `limit` bytes; takes no ownership. */
  read(fd: number, limit: number): Promise<Uint8Array>;
}

// ── what this machine can do (native/addon/probe_binding.cc) ────────────────────────────────────────

export interface ProbeResult {
  readonly ok: boolean;
  /** One line: what was found, or the errno and what it means. */
  readonly detail: string;
}
export interface NativeProbe {
  ioUring(): ProbeResult;
  afXdp(): ProbeResult;
  kernelTls(): ProbeResult;
  dpdk(): ProbeResult;
  openat2(): ProbeResult;
}

// ── engines (native/addon/engine_binding.cc) ────────────────────────────────────────────────────────

export interface EngineOptions {
  readonly host: string;
  readonly port: number;
  readonly backlog: number;
  /** Name of a TCP congestion control (tcp(7)); null: the system's. */
  readonly congestionControl: string | null;
  /** Bytes; ms; counts. All > 0. */
  readonly maxConnections: number;
  readonly maxHandshakeBytes: number;
  readonly handshakeTimeoutMs: number;
  readonly headerTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  readonly writeTimeoutMs: number;
  readonly maxHeaderBytes: number;
  readonly maxTargetBytes: number;
  readonly maxRequestsPerConnection: number;
  readonly maxBodyBytes: number;
  readonly cacheEntries: number;
  readonly cacheBytes: number;
  /** Files of at most this size are kept in memory with their entry. */
  readonly cacheFileBytes: number;
  /** How old a looked-up fact may be. */
  readonly revalidateMs: number;
  /** The cache key includes the request's Origin (a CORS allow-list). */
  readonly keyByOrigin: boolean;
  /** Handshakes are answered through a NativeHandshakeChannel, by whichever thread has one. */
  readonly separateHandshakes: boolean;
  /** 0: RFC 8446's limit. A test sets it lower. */
  readonly recordLimit: number;
  /** null: no NIC. */
  readonly nic: EngineNic | null;
  /** Seals and opens records; null: the engine's thread does. */
  readonly accelerator: AcceleratorOptions | null;
}

/** The inline NIC that an engine's connections go through where they can. */
export interface EngineNic {
  readonly native: NativeNic | NativeRemoteNic;
  /** It needs retained payload for every segment (resync modes other than order-free); files are copied then. */
  readonly mustRetain: boolean;
  readonly zeroCopy: 'guard' | 'copy';
  readonly onDeviceLoss: 'software' | 'close';
}

export interface AcceleratorOptions {
  /** As native/ocf/drivers/by_name.hpp has it; the constructor throws ERR_SOCRYPT_DRIVER for one that cannot serve. */
  readonly driver: string;
  /** Every n-th record is made again by software and compared; 0: none. */
  readonly checkEvery: number;
  /** Of one connection and direction, at most. */
  readonly recordsInFlight: number;
  /** Software is the last resort; otherwise the predicted time decides. */
  readonly always: boolean;
}

/** One native data-plane thread. Messages both ways are packed as `plane/messages.ts` says. */
export declare class NativeEngine {
  constructor(options: EngineOptions, accessLog: NativeAccessLog | null, wake: () => void);
  /** Binds and listens. Throws a Node-like errno error. Returns the port. */
  listen(): number;
  start(): void;
  /** Copies whole waiting messages into `into`; returns the bytes written, 0 for none. */
  poll(into: Uint8Array): number;
  /** Takes whole messages; returns how many bytes were taken (a prefix of whole messages). */
  submit(messages: Uint8Array, length: number): number;
  /** Stops accepting; ends idle connections; the rest after their response, or when `deadlineMs` is over. */
  drain(deadlineMs: number): void;
  /** Ends the thread and closes everything. Idempotent; joins. */
  stop(): void;
  counters(): Float64Array;
  /** Drivers of its accelerator path; those of id 0 are gone. */
  drivers(): NativeDriverInfo[];
  /** The number of its handshake channel, for this or another thread; 0 without `separateHandshakes`. */
  handshakeChannel(): number;
  static readonly counterNames: readonly string[];
}

/**
 * An engine's handshakes for one thread. When that thread ends, or detaches, the engine ends the connections whose
 * handshakes it had begun, and keeps what comes for the next one that attaches.
 */
export declare class NativeHandshakeChannel {
  /** `number`: NativeEngine.handshakeChannel(). Throws ERR_SOCRYPT_CHANNEL: no such engine, or somebody is attached. */
  constructor(number: number, wake: () => void);
  poll(into: Uint8Array): number;
  submit(messages: Uint8Array, length: number): number;
  /** Idempotent; the other methods do nothing from then on. */
  detach(): void;
}

export declare class NativeAccessLog {
  /** `format`: 'combined' or 'json'; `path`: '-' for stdout. Throws a Node-like errno error. */
  constructor(format: string, path: string);
  reopen(): void;
  close(): void;
  /** [linesWritten, linesDropped, writeErrors] */
  counters(): Float64Array;
  /** Message of the last write error, '' when the last write worked. */
  lastError(): string;
}

// ── the inline NIC (native/addon/nic_binding.cc) ────────────────────────────────────────────────────

export interface NicOptions {
  /** The interface that is taken over; null: none, or the one that the DPDK device is on. */
  readonly wire: string | null;
  /** 'af_xdp', or 'dpdk:' and a device as DPDK calls it. */
  readonly portDriver: string;
  /** Name of the interface that is made. */
  readonly hostPort: string;
  readonly hostDriver: 'tap' | 'veth';
  /** With their prefixes. */
  readonly addresses: readonly string[];
  readonly gateways: readonly string[];
  readonly resync: 'order-free' | 'prefix-replay' | 'next-record';
  /** Records of each flow that are traced; 0: none. */
  readonly traceRecords?: number;
  /** Other processes send through it, too. */
  readonly lent?: boolean;
}
export interface NicFlow {
  readonly id: number;
  /** Address and port. */
  readonly local: string;
  readonly remote: string;
  /** Stream offset, as TCP has said. */
  readonly acknowledged: number;
  /** Mapped, and of those with state beyond the map. */
  readonly records: number;
  readonly openRecords: number;
  readonly retainedBytes: number;
  readonly epochs: number;
  /** The guard has found a change. */
  readonly broken: boolean;
}
/** nic/device/trace.hpp. */
export interface NicRecordTrace {
  readonly epoch: number;
  readonly recordSeq: number;
  readonly streamOffset: number;
  readonly length: number;
  /** Of a clock that only runs forward; 0: never. */
  readonly firstSendNs: number;
  readonly lastSendNs: number;
  readonly segments: number;
  readonly retransmittedBytes: number;
  readonly dropped: number;
  readonly path: 'nic' | 'software';
  readonly tag: 'none' | 'computed' | 'kept';
  readonly guard: 'unwatched' | 'same' | 'changed';
}
export interface NicStatus {
  readonly alive: boolean;
  /** Why it died; '' while it lives. */
  readonly reason: string;
  /** In words. */
  readonly wirePort: string;
  readonly hostPort: string;
  readonly guard: string;
  readonly flows: number;
  readonly retainedBytes: number;
}

/** Host port, device, wire port and the thread between them. */
export declare class NativeNic {
  /** `changed` is called after the device has died, and after another has taken its place. Throws ERR_SOCRYPT_NIC. */
  constructor(options: NicOptions, changed: () => void);
  /** Puts another device in the place of a dead one. Throws ERR_SOCRYPT_NIC. */
  restart(): void;
  /** Drills: the device dies; it loses what segments have taught it of all flows; its clock leaps. */
  kill(reason: string): void;
  evict(): void;
  leapClock(milliseconds: number): void;
  status(): NicStatus;
  /** In the order of `counterFacts`. */
  counters(): Float64Array;
  flows(): NicFlow[];
  /** Oldest first; null: no such flow. */
  trace(flow: number): NicRecordTrace[] | null;
  /** What it made is removed once no engine is attached any more. Idempotent. */
  close(): void;
  /** nic/device/counters.def. */
  static readonly counterFacts: readonly { readonly name: string; readonly help: string }[];
}

// ── crypto for other processes (native/addon/cryptod_binding.cc) ────────────────────────────────────

/** A thread with a framework of its own behind a Unix socket. */
export declare class NativeCryptod {
  /** `users`: ids; empty: one's own. `drivers`: as in `--driver`. Limits: `DEFAULTS` of cryptod/daemon.ts. */
  constructor(
    path: string,
    mode: number,
    users: readonly number[],
    allowSoftware: boolean,
    drivers: readonly string[],
    maxConnections: number,
    maxSessions: number,
    maxPending: number,
    maxArenaBytes: number,
  );
  /** Throws ERR_SOCRYPT_CRYPTOD. */
  start(): void;
  /** Joins the thread. Idempotent. */
  stop(): void;
  counters(): Float64Array;
  drivers(): string[];
  static readonly counterNames: readonly string[];
}

export interface NativeCryptodParts {
  readonly Daemon: typeof NativeCryptod;
  /**
   * Connects, makes shared memory of `arenaBytes` (rounded up to pages) and greets with it. The caller owns `fd`, a blocking
   * stream socket from which the daemon's answer is to be read. Throws a Node-like errno error.
   */
  connect(path: string, arenaBytes: number): { fd: number; memory: ArrayBuffer };
}

/** /dev/crypto (native/addon/crypto_device_binding.cc). Negative numbers are ocf::Status. */
export declare class NativeCryptoDevice {
  /** Throws ERR_SOCRYPT_DRIVER. */
  constructor(drivers: readonly string[], allowSoftware: boolean, maxSessions: number, maxPending: number);
  openSession(
    place: number,
    chain: readonly { id: number; ivLength: number; tagLength: number; key: Uint8Array }[],
  ): number;
  closeSession(session: number): number;
  crypt(
    session: number,
    kind: number,
    iv: Uint8Array,
    source: Uint8Array,
    destination: Uint8Array,
    aad: Uint8Array,
    tag: Uint8Array,
  ): number;
  /** 1: taken, and its buffers with it until fetch() tells; 0: no room. */
  submit(
    session: number,
    kind: number,
    iv: Uint8Array,
    source: Uint8Array,
    destination: Uint8Array,
    aad: Uint8Array,
    tag: Uint8Array,
    cookie: number,
  ): number;
  /** Of at most 64 ops: cookie, status, cookie, status, … */
  fetch(): Float64Array;
  /** Bytes written to `out`. */
  key(
    kind: number,
    algorithm: number,
    scheme: number,
    key: Uint8Array,
    inputs: readonly Uint8Array[],
    out: Uint8Array,
  ): number;
  find(driver: string): number | null;
  close(): void;
}

// ── a NIC of another process (native/addon/nic_remote_binding.cc) ───────────────────────────────────

export declare class NativeRemoteNic {
  /** `path` of the Unix socket; `changed` as with NativeNic. Throws ERR_SOCRYPT_NIC. */
  constructor(path: string, changed: () => void);
  /** Connects again. Throws ERR_SOCRYPT_NIC. */
  restart(): void;
  status(): NicStatus;
  close(): void;
}
export declare class NativeNicServer {
  /** Lends `nic`; `mode` of the socket, `users` besides root and this process's own. Throws ERR_SOCRYPT_NIC. */
  constructor(nic: NativeNic, path: string, mode: number, users: readonly number[]);
  counts(): { clients: number; accepted: number; refused: number; violations: number };
  close(): void;
}

// ── the fault laboratory (native/addon/lab_binding.cc) ──────────────────────────────────────────────

/** Microseconds of virtual time. */
export type Microseconds = number;

export interface NativeRule {
  readonly seam: string;
  readonly fault: string;
  readonly perMillion: number;
  readonly amount?: number;
  readonly from?: Microseconds;
  readonly to?: Microseconds;
}
export interface NativeDeed {
  readonly action: string;
  readonly at?: Microseconds;
  readonly every?: Microseconds;
  readonly amount?: number;
}
/** What is left out is as nic/lab/plan.hpp has it. */
export interface NativePlan {
  readonly seed: number;
  readonly resync?: string;
  readonly retention?: string;
  readonly payload?: boolean;
  readonly suite?: number;
  readonly connections?: number;
  readonly bytes?: number;
  readonly recordBytes?: number;
  readonly segmentBytes?: number;
  readonly tsoPercent?: number;
  readonly guardedPercent?: number;
  readonly fileBytes?: number;
  readonly roundTrip?: Microseconds;
  readonly bitsPerSecond?: number;
  readonly sendBuffer?: number;
  readonly receiveBuffer?: number;
  readonly mapRecords?: number;
  readonly mapPayload?: number;
  readonly totalPayload?: number;
  readonly reportPercent?: number;
  readonly device?: string;
  readonly rules?: readonly NativeRule[];
  readonly deeds?: readonly NativeDeed[];
}
export interface NativeFinding {
  /** The rule that did not hold. */
  readonly invariant: string;
  readonly what: string;
  readonly packet: number;
  readonly time: Microseconds;
  readonly connection: number;
}
/** A record as it was seen on the wire, and what it was made of. */
export interface NativeSample {
  readonly suite: NativeSuite;
  readonly key: Uint8Array;
  readonly iv: Uint8Array;
  readonly recordSeq: bigint;
  readonly type: number;
  readonly content: Uint8Array;
  readonly wire: Uint8Array;
}
export declare class NativeSimulation {
  /** Throws ERR_SOCRYPT_LAB_PLAN. */
  constructor(plan: NativePlan);
  /** Until that packet, that time, a finding, or the end; Infinity for no limit. */
  run(packet: number, until: Microseconds): void;
  /** Ends in front of the first packet behind number `packet`. */
  stopBehind(packet: number): void;
  /** No further connections begin, no deeds are done. */
  windDown(): void;
  act(deed: NativeDeed): void;
  capture(on: boolean): void;
  state(): {
    packets: number;
    time: Microseconds;
    over: boolean;
    stopped: boolean;
    finding: NativeFinding | null;
  };
  /** Names as in nic/lab/statistics.def. */
  statistics(): Record<string, number>;
  /** The device's, names as in nic/device/counters.def. */
  counters(): Record<string, number>;
  samples(): NativeSample[];
  /** The last captured frames, at most 20000. */
  pcap(): Uint8Array;
}
/** A faulty wire between two interfaces, in a thread of its own; what it holds to is told in nic/lab/faulty_wire.hpp. */
export declare class NativeLabWire {
  /** Throws ERR_SOCRYPT_LAB_PLAN, or ERR_SOCRYPT_NIC with what was missing. */
  constructor(
    plan: NativePlan,
    where: {
      /** A path, as in /run/netns. */
      readonly namespace: string;
      /** The device's end, and the peer's. */
      readonly first: string;
      readonly second: string;
      readonly canary: string;
      readonly capture: boolean;
    },
  );
  /** Names of the counts as in nic/lab/wire_counts.def. */
  state(): {
    counts: Record<string, number>;
    finding: { readonly invariant: string; readonly what: string; readonly frame: number } | null;
  };
  /** False: it is not the wire that does this. */
  act(deed: NativeDeed): boolean;
  /** The last captured frames, at most 20000. */
  pcap(): Uint8Array;
  /** Takes it down; what it has seen can be asked for still. Idempotent. */
  close(): void;
}
/** Faults between the host's TCP and a NIC's host port, in a thread of its own (nic/lab/host_seam.hpp). */
export declare class NativeLabHostSeam {
  /** Throws ERR_SOCRYPT_LAB_PLAN, or ERR_SOCRYPT_NIC with what was missing. */
  constructor(
    plan: NativePlan,
    where: {
      /** A path, as in /run/netns. */
      readonly namespace: string;
      /** The host port; another of the same name is taken when there is one. */
      readonly port: string;
      /** A pair of interfaces: what goes out by the one comes in at the other. */
      readonly via: string;
      readonly from: string;
      readonly canary: string;
    },
  );
  /** Names of the counts as in nic/lab/host_counts.def; '' or why nothing is done. */
  state(): { counts: Record<string, number>; problem: string };
  /** Frames go their way again. Idempotent. */
  close(): void;
}
export interface NativeLab {
  readonly Simulation: typeof NativeSimulation;
  readonly seams: readonly string[];
  readonly faults: readonly string[];
  readonly actions: readonly string[];
  readonly devices: readonly string[];
}

// ── the crypto framework of this thread (native/addon/ocf_binding.cc) ───────────────────────────────

export interface NativeOffer {
  readonly alg: number;
  readonly mac: number;
  readonly batchNs: number;
  readonly opNs: number;
  readonly byteNs: number;
  readonly lanes: number;
}
export interface NativeDriverInfo {
  readonly id: number;
  readonly name: string;
  /** ocf::Caps. */
  readonly flags: number;
  readonly maxLength: number;
  readonly queueDepth: number;
  readonly maxSessions: number;
  /** ocf::UnitState. */
  readonly state: number;
  readonly sessions: number;
  readonly inFlight: number;
  readonly queued: number;
  readonly ops: number;
  readonly bytes: number;
  readonly failed: number;
  readonly refused: number;
  readonly rescued: number;
  readonly checks: number;
  readonly wrong: number;
  readonly offers: readonly (NativeOffer & {
    readonly withdrawn: boolean;
    readonly learned: number;
    readonly ops: number;
    readonly bytes: number;
    readonly failed: number;
    readonly sessions: number;
  })[];
}
export interface NativeChainPart {
  readonly id: number;
  /** 0: the algorithm's own. */
  readonly tagLength: number;
  readonly key: Uint8Array;
}
/** An op that a driver written in JavaScript is to do; all bytes are copies. */
export type NativeTakenOp = {
  readonly token: number;
  readonly session: number;
  readonly kind: number;
} & (
  | {
      readonly input: Uint8Array;
      readonly length: number;
      readonly resultLength: number;
      readonly iv: Uint8Array;
      readonly aad: Uint8Array;
      readonly isMac: boolean;
    }
  | {
      readonly scheme: number;
      readonly inputs: readonly Uint8Array[];
      readonly rooms: readonly number[];
    }
);
export interface NativeTaken {
  readonly opened: readonly { readonly session: number; readonly chain: readonly NativeChainPart[] }[];
  readonly closed: readonly number[];
  readonly ops: readonly NativeTakenOp[];
}
export interface NativeKnownAnswers {
  readonly symmetric: readonly {
    readonly alg: number;
    readonly mac: number;
    readonly kind: number;
    readonly key: Uint8Array;
    readonly macKey: Uint8Array;
    readonly iv: Uint8Array;
    readonly aad: Uint8Array;
    readonly plaintext: Uint8Array;
    readonly ciphertext: Uint8Array;
    readonly tag: Uint8Array;
    /** The tag, or a cipher's last block, over longLength bytes of value i * 7 + 3. Empty: there is none. */
    readonly longTag: Uint8Array;
    readonly longLength: number;
  }[];
  readonly keys: readonly {
    readonly alg: number;
    readonly kind: number;
    readonly scheme: number;
    readonly key: Uint8Array;
    readonly inputs: readonly Uint8Array[];
    /** Empty: randomised; to be verified with verifyKey. */
    readonly outputs: readonly Uint8Array[];
    readonly status: number;
    readonly verifyKey: Uint8Array;
  }[];
}
/** Numbers below 0 are ocf::Status. */
export interface NativeOcf {
  /** The driver's number; or why there is none of this name. */
  attach(name: string): number | string;
  /** The table of native/ocf/drivers/by_name.cc. */
  driverKinds(): readonly {
    readonly name: string;
    readonly argument: string;
    readonly optional: boolean;
    readonly notForRecords: string;
  }[];
  /** Whether anybody in this thread has used it. */
  started(): boolean;
  withdraw(driver: number, algorithm: number): number;
  detach(driver: number, deadlineMs: number): number;
  check(driver: number): number;
  /** The bytes, or a status. */
  random(bytes: number): Uint8Array | number;
  /** What nobody is woken for, such as the end of a detach. */
  poll(): void;
  /** Bytes; -1: never. */
  crossover(accelerator: number, software: number, algorithm: number, burst: number): number;
  drivers(): NativeDriverInfo[];
  /**
   * Of all frameworks of this process but those of engines: of threads, devices and daemons; id 0: of those that are gone. Of
   * other threads not younger than the last call, of devices of other threads not younger than 50 ms before their last op.
   */
  reports(): NativeDriverInfo[];
  open(chain: readonly NativeChainPart[], place: number, driver: number, ordered: boolean): number;
  close(session: number): number;
  /** Memory for bursts. */
  allocate(bytes: number): ArrayBuffer;
  /** The burst's number, and how many of its rows were accepted, in order; see ocf/rows.ts. */
  dispatch(memory: ArrayBuffer, rows: number): [number, number];
  /** `told` gets the rows that are complete (burst, row, burst, row, …) and whether a mailbox has ops. */
  onTold(told: (rows: Uint32Array, mailboxes: boolean) => void): void;
  attachMailbox(
    driver: {
      readonly name: string;
      readonly flags: number;
      readonly queueDepth: number;
      readonly maxLength: number;
      readonly maxSessions: number;
    },
    offers: readonly (NativeOffer & { readonly rank: number })[],
  ): number;
  /** undefined: the driver is gone. */
  takeOps(driver: number): NativeTaken | undefined;
  /** 0: taken; 1: nobody waits for it; 2: its length is wrong, and the op goes elsewhere. */
  answerOp(driver: number, token: number, status: number, results: readonly Uint8Array[]): number;
  abandonMailbox(driver: number): void;
  knownAnswers(): NativeKnownAnswers;
  /** A driver of this name, alone: [ops, ns]; or why not. `mac`: null's number for none. */
  measure(
    driver: string,
    algorithm: number,
    mac: number,
    bytes: number,
    burst: number,
    milliseconds: number,
  ): [number, number] | string;
}

export interface NativeAddon {
  readonly ocf: NativeOcf;
  readonly CryptoDevice: typeof NativeCryptoDevice;
  readonly cryptod: NativeCryptodParts;
  readonly crypto: NativeCrypto;
  readonly files: NativeFiles;
  readonly probe: NativeProbe;
  readonly Engine: typeof NativeEngine;
  readonly HandshakeChannel: typeof NativeHandshakeChannel;
  readonly AccessLog: typeof NativeAccessLog;
  readonly Nic: typeof NativeNic;
  readonly RemoteNic: typeof NativeRemoteNic;
  readonly NicServer: typeof NativeNicServer;
  readonly lab: NativeLab;
  readonly LabWire: typeof NativeLabWire;
  readonly LabHostSeam: typeof NativeLabHostSeam;
}

export const ADDON_ERROR = 'ERR_SOCRYPT_ADDON';

function load(): NativeAddon {
  const require = createRequire(import.meta.url);
  const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
  const candidates = [
    process.env.SOCRYPT_ADDON,
    `@socrypt/${process.platform}-${process.arch}`,
    here('../build/native/socrypt.node'),
  ];
  const failures: string[] = [];
  for (const candidate of candidates) {
    if (candidate === undefined) continue;
    try {
      return require(candidate) as NativeAddon;
    } catch (error) {
      failures.push(`  ${candidate}: ${(error as Error).message.split('\n')[0]}`);
    }
  }
  const remedies = [
    '  1. in a clone of the repository: npm run setup',
    '  2. as a dependency: name the build/native/socrypt.node of such a clone in SOCRYPT_ADDON',
    `  3. this is ${process.platform}-${process.arch}, Node ${process.version}; Linux and Node >= 20.17 are supported`,
  ];
  throw Object.assign(
    new Error(
      `The native data plane could not be loaded. Tried:\n${failures.join('\n')}\nWhat to do:\n${remedies.join('\n')}`,
    ),
    { code: ADDON_ERROR },
  );
}

export const native: NativeAddon = load();
