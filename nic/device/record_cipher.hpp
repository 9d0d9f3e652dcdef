// One epoch's keys: encrypts any range of a record by itself, and adds up the record's tag from ranges in
// any order.
//
// Positions are those of the record's text: what is encrypted, without header, explicit nonce and tag; in
// TLS 1.3 the content type byte is its last (RFC 8446 5.2).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "nic/device/aes_gcm.hpp"
#include "nic/device/chacha20.hpp"
#include "nic/device/ghash.hpp"
#include "nic/device/poly1305.hpp"
#include "record/record.hpp"

using EVP_CIPHER_CTX = struct evp_cipher_ctx_st;

namespace socrypt::nic {

/// Longest text of a record: RFC 8446 5.2, 2^14 + 256 without the tag.
inline constexpr uint32_t kMaxText = (1u << 14) + 256 - 16;
/// Longest part of a record before its text: header and explicit nonce.
inline constexpr size_t kMaxBefore = 13;

/// What a tag depends on besides key and text.
struct RecordShape {
  uint64_t recordSeq;
  uint32_t textLength;
  record::ContentType type;  // the real one; TLS 1.3 shows application_data outside
};

/// Shares of a record's tag added up so far.
struct RecordSum {
  std::array<uint64_t, 3> word{};
};

/// Of this processor. AesKernel::None leaves AES in counter mode to libcrypto.
struct CipherKernels {
  AesKernel aes = bestAesKernel();
  ChaChaKernel chacha = bestChaChaKernel();
  PolyKernel poly = bestPolyKernel();
};

class RecordCipher {
 public:
  /// None: a suite that is not ours, or libcrypto failed.
  [[nodiscard]] static std::unique_ptr<RecordCipher> make(const record::TrafficKeys& keys, CipherKernels kernels = {});
  ~RecordCipher();
  RecordCipher(const RecordCipher&) = delete;
  RecordCipher& operator=(const RecordCipher&) = delete;

  [[nodiscard]] const record::SuiteFacts& facts() const noexcept { return facts_; }

  /// Writes what stands before the text: 5 bytes of header, in TLS 1.2 with AES-GCM the explicit nonce,
  /// which is recordSeq here (RFC 5288 3). Returns facts().framing.before.
  size_t writeBefore(const RecordShape& shape, uint8_t* to) const noexcept;

  /// Encrypts (or decrypts: it is an XOR) `text`, which stands at position `at`. False: libcrypto failed,
  /// and `text` may not be sent.
  [[nodiscard]] bool crypt(const RecordShape& shape, uint32_t at, std::span<uint8_t> text) noexcept;

  /// Adds the ciphertext of positions `at` and on. Each position must be added exactly once.
  [[nodiscard]] bool add(RecordSum& sum, const RecordShape& shape, uint32_t at, std::span<const uint8_t> text) noexcept;

  /// crypt(), and add() of the result: in one pass where the processor has the instructions. False: neither
  /// `text` nor `sum` is of use any more.
  [[nodiscard]] bool seal(RecordSum& sum, const RecordShape& shape, uint32_t at, std::span<uint8_t> text) noexcept;

  /// The tag, once every position was added.
  [[nodiscard]] bool tag(RecordSum sum, const RecordShape& shape, std::span<uint8_t, record::kTagLength> to) noexcept;

 private:
  struct FreeContext {
    void operator()(EVP_CIPHER_CTX* context) const noexcept;
  };
  RecordCipher() = default;
  void nonce(uint64_t recordSeq, uint8_t* to) const noexcept;
  static void addShare(RecordSum& sum, const FieldElement& share) noexcept;
  void counterBlock(uint64_t recordSeq, uint32_t block, uint8_t* to) const noexcept;
  [[nodiscard]] bool counterMode(const uint8_t* counter, size_t skip, std::span<uint8_t> data) noexcept;
  [[nodiscard]] bool keystream(uint64_t recordSeq, uint32_t block, size_t skip, std::span<uint8_t> data) noexcept;
  [[nodiscard]] bool hasPolyKey(uint64_t recordSeq) const noexcept;
  /// And encrypts `text`, which stands at the record's beginning.
  void makePolyKey(uint64_t recordSeq, std::span<uint8_t> text) noexcept;
  [[nodiscard]] PolyKey& polyKey(uint64_t recordSeq) noexcept;

  record::SuiteFacts facts_;
  bool gcm_ = true;
  std::array<uint8_t, 12> iv_{};
  // One of the three: AES in counter mode without a kernel for it is libcrypto's.
  std::unique_ptr<EVP_CIPHER_CTX, FreeContext> context_;
  std::optional<AesKey> aes_;
  std::optional<ChaChaKey> chacha_;
  std::optional<GhashKey> ghash_;
  // Poly1305's key belongs to one record; the last one is at hand.
  std::optional<PolyKey> poly_;
  PolyKernel polyKernel_ = PolyKernel::Portable;
  uint64_t polySeq_ = 0;
};

}  // namespace socrypt::nic
