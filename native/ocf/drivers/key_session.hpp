// What the key drivers keep of a session, and a key operation on libcrypto by whichever thread.
#pragma once

#include <optional>
#include <vector>

#include "ocf/driver.hpp"
#include "ocf/key.hpp"

namespace socrypt::ocf {

/// One key, or none: an ephemeral one, or parameters that come with each op.
///
/// libcrypto's contexts belong to one thread, so every lane has its own, which it makes with its first op.
class KeySession {
 public:
  /// Whether open() may work: Ok, UnknownAlg (not a key operation, or one that libcrypto has no more), BadKey (a key
  /// where none can be, or none where one is needed). Reads no key.
  [[nodiscard]] static Status check(const Alg& alg) noexcept;

  /// Whether these bytes are a PrivateKeyInfo, going by how they begin.
  [[nodiscard]] static bool isPrivate(std::span<const uint8_t> der) noexcept;

  /// `lanes`: threads that will run ops.
  explicit KeySession(unsigned lanes) : lanes_(lanes) {}
  ~KeySession();
  KeySession(const KeySession&) = delete;
  KeySession& operator=(const KeySession&) = delete;

  /// Reads the key. Once, before everything else.
  [[nodiscard]] Status open(const Alg& alg);
  /// Returns the op's final status, which is not written to it. One call per lane at a time.
  [[nodiscard]] Status run(Op& op, unsigned lane) noexcept;

 private:
  [[nodiscard]] Status sign(Op& op, unsigned lane) noexcept;
  [[nodiscard]] Status verify(const Op& op) const noexcept;
  [[nodiscard]] Status derive(Op& op) const noexcept;
  [[nodiscard]] Status modExp(Op& op) const noexcept;

  AlgId alg_ = AlgId::Rsa;
  std::optional<key::PrivateKey> key_;                   // of Sign
  std::vector<std::optional<key::PrivateKey>> lanes_;    // its shares
  std::vector<uint8_t> bytes_;                           // SubjectPublicKeyInfo of VerifySig, or the scalar of Derive
};

}  // namespace socrypt::ocf
