// RSA and DSA keys as the key driver takes them: big integers, one parameter after the other.
#pragma once

#include <memory>
#include <vector>

#include "bench.hpp"

namespace papers {

using Integer = std::vector<uint8_t>;

struct RsaKey {
  Integer n, e, d, p, q, dp, dq, qInverse;
};
RsaKey makeRsa(unsigned bits);

struct DsaKey {
  Integer p, q, g, x, y;
};
/// Empty where libcrypto makes none of this size any more.
DsaKey makeDsa(unsigned bits);

/// A key operation over its own memory.
class KeyRequest {
 public:
  KeyRequest(socrypt::ocf::Session* session, socrypt::ocf::Kind kind, std::vector<Integer> inputs, std::vector<size_t> outputs);
  KeyRequest(const KeyRequest&) = delete;
  KeyRequest& operator=(const KeyRequest&) = delete;
  /// To be dispatched, for the first time or again.
  socrypt::ocf::Op* again() noexcept;
  [[nodiscard]] Integer output(size_t i) const { return {out_[i].p, out_[i].p + out_[i].n}; }

 private:
  std::vector<Integer> inputs_, rooms_;
  std::vector<socrypt::ocf::Seg> in_, out_;
  socrypt::ocf::Op op_{};
};

}  // namespace papers
