// Hashes, HKDF and what TLS makes of them. HMAC is written over the hash (RFC 2104): EVP_MAC and HMAC() fetch, allocate and
// parse parameters on every call, and a handshake makes some thirty of them.
#include <openssl/err.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cstring>
#include <initializer_list>

#include "ocf/key.hpp"
#include "ocf/key_internal.hpp"
#include "ocf/ocf.hpp"

namespace socrypt::key {
namespace {

constexpr size_t kMaxBlock = 128;
constexpr size_t kMaxInfo = 1024;

constexpr size_t blockLength(Hash hash) noexcept { return hash == Hash::Sha256 ? 64 : 128; }

// One context per hash and thread, so that re-initialising it reuses the provider's state.
struct Contexts {
  EVP_MD_CTX* context[3] = {};
  Contexts() noexcept {
    for (auto& one : context) one = EVP_MD_CTX_new();
  }
  Contexts(const Contexts&) = delete;
  Contexts& operator=(const Contexts&) = delete;
  ~Contexts() {
    for (auto* one : context) EVP_MD_CTX_free(one);
  }
};

// The hash of these in a row.
using Parts = std::initializer_list<View>;

bool run(Hash hash, View first, Parts rest, uint8_t* out) noexcept {
  thread_local const Contexts contexts;
  EVP_MD_CTX* context = contexts.context[static_cast<size_t>(hash)];
  bool good = context != nullptr && EVP_DigestInit_ex2(context, md(hash), nullptr) == 1 &&
              EVP_DigestUpdate(context, first.data(), first.size()) == 1;
  for (const View part : rest) good = good && (part.empty() || EVP_DigestUpdate(context, part.data(), part.size()) == 1);
  if (good && EVP_DigestFinal_ex(context, out, nullptr) == 1) return true;
  ERR_clear_error();
  return false;
}

// out may overlap data.
bool hmacInto(Hash hash, View key, Parts data, uint8_t* out) noexcept {
  const size_t length = hashLength(hash);
  const size_t block = blockLength(hash);
  uint8_t pad[kMaxBlock] = {};
  bool good = true;
  if (key.size() > block) {
    good = run(hash, key, {}, pad);
  } else if (!key.empty()) {
    std::memcpy(pad, key.data(), key.size());
  }
  uint8_t inner[kMaxHash];
  for (size_t i = 0; i < block; ++i) pad[i] ^= 0x36;
  good = good && run(hash, {pad, block}, data, inner);
  for (size_t i = 0; i < block; ++i) pad[i] ^= 0x36 ^ 0x5c;
  good = good && run(hash, {pad, block}, {{inner, length}}, out);
  ocf::wipe(pad, block);
  ocf::wipe(inner, length);
  return good;
}

}  // namespace

const EVP_MD* md(Hash hash) noexcept {
  static EVP_MD* const fetched[3] = {EVP_MD_fetch(nullptr, "SHA2-256", nullptr), EVP_MD_fetch(nullptr, "SHA2-384", nullptr),
                                     EVP_MD_fetch(nullptr, "SHA2-512", nullptr)};
  return fetched[static_cast<size_t>(hash)];
}

Digest::~Digest() { ocf::wipe(bytes.data(), bytes.size()); }

bool digest(Hash hash, View data, Digest& out) noexcept {
  out.length = hashLength(hash);
  return run(hash, data, {}, out.bytes.data());
}

bool hmac(Hash hash, View key, View data, Digest& out) noexcept {
  out.length = hashLength(hash);
  return hmacInto(hash, key, {data}, out.bytes.data());
}

bool hkdfExtract(Hash hash, View salt, View ikm, Digest& out) noexcept { return hmac(hash, salt, ikm, out); }

bool hkdfExpand(Hash hash, View secret, View info, std::span<uint8_t> out) noexcept {
  const size_t length = hashLength(hash);
  if (info.size() > kMaxInfo || out.size() > 255 * length) return false;
  // T(i) = HMAC(secret, T(i - 1) || info || i), with no T(0).
  uint8_t message[kMaxHash + kMaxInfo + 1];
  if (!info.empty()) std::memcpy(message + length, info.data(), info.size());
  uint8_t& counter = message[length + info.size()];
  counter = 0;
  uint8_t t[kMaxHash];
  bool good = true;
  for (size_t at = 0; good && at < out.size(); at += length) {
    const size_t skip = counter == 0 ? length : 0;
    ++counter;
    good = hmacInto(hash, secret, {{message + skip, length - skip + info.size() + 1}}, t);
    std::memcpy(out.data() + at, t, std::min(length, out.size() - at));
    std::memcpy(message, t, length);
  }
  ocf::wipe(t, sizeof t);
  ocf::wipe(message, length);
  if (!good) ocf::wipe(out.data(), out.size());
  return good;
}

bool hkdfExpandLabel(Hash hash, View secret, std::string_view label, View context, std::span<uint8_t> out) noexcept {
  constexpr std::string_view kPrefix = "tls13 ";
  if (label.empty() || label.size() > 255 - kPrefix.size() || context.size() > 255) return false;
  if (out.size() > 255 * hashLength(hash)) return false;
  // struct { uint16 length; opaque label<7..255>; opaque context<0..255>; } HkdfLabel
  uint8_t info[2 + 1 + 255 + 1 + 255];
  size_t n = 0;
  info[n++] = static_cast<uint8_t>(out.size() >> 8);
  info[n++] = static_cast<uint8_t>(out.size());
  info[n++] = static_cast<uint8_t>(kPrefix.size() + label.size());
  n += kPrefix.copy(reinterpret_cast<char*>(info + n), kPrefix.size());
  n += label.copy(reinterpret_cast<char*>(info + n), label.size());
  info[n++] = static_cast<uint8_t>(context.size());
  if (!context.empty()) std::memcpy(info + n, context.data(), context.size());
  n += context.size();
  return hkdfExpand(hash, secret, {info, n}, out);
}

bool prf12(Hash hash, View secret, std::string_view label, View seed, std::span<uint8_t> out) noexcept {
  const size_t length = hashLength(hash);
  // RFC 5246 5: A(0) = label + seed, A(i) = HMAC(A(i-1)); the output is HMAC(A(i) + label + seed) for i = 1, 2, …
  const View labelBytes{reinterpret_cast<const uint8_t*>(label.data()), label.size()};
  uint8_t a[kMaxHash], block[kMaxHash];
  bool good = hmacInto(hash, secret, {labelBytes, seed}, a);
  for (size_t at = 0; good && at < out.size(); at += length) {
    good = hmacInto(hash, secret, {{a, length}, labelBytes, seed}, block);
    if (good) std::memcpy(out.data() + at, block, std::min(length, out.size() - at));
    good = good && hmacInto(hash, secret, {{a, length}}, a);
  }
  ocf::wipe(block, sizeof block);
  ocf::wipe(a, sizeof a);
  if (!good) ocf::wipe(out.data(), out.size());
  return good;
}

}  // namespace socrypt::key
