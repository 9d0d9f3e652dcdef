// Operations of the crypto framework: what is done to which bytes, and how it ended.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace socrypt::ocf {

enum class Status : int16_t {
  Ok = 0,
  Pending = 1,                     // accepted, not complete; poll() will report it
  Again = -EAGAIN,                 // the session moved and has a new id; the data was not touched
  NoDriver = -EOPNOTSUPP,          // nothing here can do this
  Invalid = -EINVAL,               // malformed parameters
  UnknownAlg = -ENOSYS,            // an algorithm, or a chain of them, that does not exist
  BadKey = -EKEYREJECTED,          // a key of the wrong length or form
  BadTagLength = -EMSGSIZE,        // a tag length that the algorithm does not have
  BadIvLength = -EILSEQ,           // the same of an iv
  BadLength = -EDOM,               // not a multiple of the cipher's block
  Range = -ERANGE,                 // a region leaves its buffer
  Overlap = -EFAULT,               // input and output overlap other than exactly
  Closed = -EBADF,                 // no such session (any more)
  Foreign = -EPERM,                // a session of another framework
  BadTag = -EBADMSG,               // the tag or signature is not that of the data
  TooBig = -E2BIG,                 // longer than every driver's limit
  Full = -EBUSY,                   // no room
  NoMemory = -ENOMEM,
  Gone = -ENODEV,                  // the driver went away after it may have touched the data
  Canceled = -ECANCELED,           // given back by a driver, not started, not touched
};
/// "BadTag" and so on.
[[nodiscard]] std::string_view statusName(Status status) noexcept;

enum class AlgId : uint16_t {
  Aes128Gcm = 1,
  Aes256Gcm = 2,
  ChaCha20Poly1305 = 3,
  Aes128Cbc = 16,
  Aes256Cbc = 17,
  Aes128Ctr = 18,
  Aes256Ctr = 19,
  TripleDesCbc = 20,  // for the experiments of the papers; offer it to nobody
  HmacSha1 = 32,
  HmacSha256 = 33,
  HmacSha384 = 34,
  HmacSha512 = 35,
  // Hashes: MACs without a key.
  Sha1 = 36,
  Sha256 = 37,
  Sha384 = 38,
  Sha512 = 39,
  Null = 48,  // data comes back unprocessed: what the framework itself costs
  // Key operations. A session's key: PKCS#8 for Sign, SubjectPublicKeyInfo for VerifySig; the raw scalar
  // (X25519: 32 bytes) for Derive, or none for an ephemeral one; none for the modular exponentiations.
  Rsa = 64,
  EcdsaP256 = 65,
  EcdsaP384 = 66,
  Ed25519 = 67,
  Dsa = 68,
  X25519 = 80,
  EcdhP256 = 81,
  EcdhP384 = 82,
  Dh = 83,
  ModExp = 96,
  ModExpCrt = 97,
};

enum class Family : uint8_t { Unknown, Aead, Cipher, Mac, Null, Key };

/// What is fixed by an algorithm's name.
struct AlgFacts {
  std::string_view name;  // OpenSSL's, where it has one; lower case
  Family family = Family::Unknown;
  uint8_t keyBytes = 0;  // 0: any length; of a hash, none
  uint8_t ivBytes = 0;
  uint8_t tagBytes = 0;  // the full tag; a MAC's may be cut
  uint8_t blockBytes = 1;
  bool keyless = false;  // a hash
};
[[nodiscard]] const AlgFacts& factsOf(AlgId id) noexcept;
/// AlgId of a name that factsOf() gives; false when there is none.
[[nodiscard]] bool algByName(std::string_view name, AlgId& id) noexcept;
/// Every algorithm, in the order of AlgId.
[[nodiscard]] std::span<const AlgId> allAlgs() noexcept;

/// Key bytes that an algorithm takes; 0 for one that is not known or takes any length.
[[nodiscard]] inline size_t keyLength(AlgId id) noexcept { return factsOf(id).keyBytes; }

/// One algorithm of a session.
struct Alg {
  AlgId id = AlgId::Aes128Gcm;
  uint8_t ivLen = 12;    // bytes; see ivLengthOf()
  uint8_t tagLen = 16;   // bytes
  uint16_t rounds = 0;   // for ciphers with a variable number of them; there is none here yet
  std::span<const uint8_t> key;
};
/// An Alg with the lengths that its algorithm usually has.
[[nodiscard]] Alg algOf(AlgId id, std::span<const uint8_t> key = {}) noexcept;

/// Bytes of somebody else's memory.
struct Seg {
  uint8_t* p;
  uint32_t n;
};

enum class Kind : uint8_t {
  Seal,       // AEAD, or a chain of cipher and MAC (encrypt, then authenticate aad and ciphertext)
  Open,       // the reverse; BadTag leaves zeros. Of a MAC session: compares the tag
  Cipher,     // a cipher alone
  Decipher,
  Mac,        // a MAC alone, over aad and payload; written to tagAt
  Null,       // copies when out of place
  Sign,       // in: {message}; out: {signature}
  VerifySig,  // in: {message, signature}; Ok or BadTag
  Derive,     // in: {peer's public value}; out: {secret[, our public value]}
  ModExp,     // in: {base, exponent, modulus}; out: {result, as long as the modulus}; big-endian
  ModExpCrt,  // in: {base, p, q, dp, dq, qInverse}; out: {result, as long as p and q together}
};
[[nodiscard]] constexpr bool isKeyKind(Kind kind) noexcept { return kind >= Kind::Sign; }

class Session;
class Driver;
struct Unit;
struct Binding;

/// One operation. Owned by the caller, who keeps it and its buffers alive until it is complete.
///
/// Regions are those of crypto_request(9), as offsets into the concatenated segments: `len` bytes of
/// payload start at `skip` in `in`; the result goes to `outSkip` in `out`. `out == in` and
/// `outSkip == skip` is in place; other overlap is refused. The tag stands at `tagAt`: written to `out`
/// by Seal and Mac, read from `in` by Open. For key operations `in` and `out` are the parameters, and
/// the length of a result goes to its segment's `n`.
struct Op {
  enum : uint8_t {
    IvInInput = 1,   // the iv stands at ivAt in `in`
    IvToOutput = 2,  // the iv is to be written to ivAt in `out`
    Guard = 4,       // keep a copy of what an in-place op overwrites, so that it survives its driver
  };
  Session* ses;
  Kind kind;
  uint8_t flags;
  Status status;
  uint16_t nIn, nOut;
  uint8_t iv[16];
  Seg* in;
  Seg* out;
  Seg aad;
  uint32_t skip, len, outSkip, tagAt;
  uint32_t ivAt;
  uint16_t scheme;    // Sign and VerifySig: a TLS SignatureScheme
  void* opaque;       // the caller's; passed back untouched
  void (*done)(Op*);  // called by Framework::poll() when the op is complete; nullptr: see dispatch()

  /// The framework's, from dispatch() to completion; not to be set by the caller. A driver finds its
  /// session's bytes in `priv`, and may say in `serviceNs` how long the op kept it busy.
  struct {
    std::byte* priv;
    Unit* at;
    Binding* binding;
    Op *next, *previous, *nextInOrder;
    Op* parent;         // of a stage of a chain
    uint8_t* guard;     // what an in-place op had before
    uint64_t startedNs;
    float costNs, serviceNs;
    uint32_t call;
    Status result;
    uint8_t state, role, tries;
    bool spot;  // to be done again and compared
  } fw;

  [[nodiscard]] bool inPlace() const noexcept { return out == in || out->p == in->p; }
};

/// Overwrites memory in a way that the compiler keeps.
void wipe(void* p, size_t n) noexcept;
/// Constant-time comparison.
[[nodiscard]] bool equalConstantTime(const void* a, const void* b, size_t n) noexcept;

}  // namespace socrypt::ocf
