// The changed-file guard of one record whose payload is a file's pages ("Zero-Copy Sendfile" in the paper):
// what was sealed once is sealed the same again or not at all.
//
// A second, different text under one counter gives away the XOR of both; a second tag under one nonce gives
// away the authentication key (Joux, "Authentication Failures in NIST version of GCM"). So a keyed fingerprint is
// kept of every 256 bytes, and compared whenever any of them are to be sealed again. Where only a part of the 256
// comes again, the rest is read again: a file that changed there has changed as well. Once all of the record was sealed, one
// fingerprint of all of it takes their place: 64 bits.
//
// A fingerprint is a GHASH under a key that never leaves the flow: linear, so that it adds up from ranges.
#pragma once

#include <array>
#include <span>

#include "nic/device/ghash.hpp"
#include "nic/device/intervals.hpp"
#include "record/record_map.hpp"

namespace socrypt::nic {

class Guard {
 public:
  static constexpr uint32_t kChunk = 256;
  static constexpr uint32_t kMaxLength = (1u << 14) + 256;

  enum class Verdict : uint8_t {
    Same,     // or never sealed before; remembered now
    Changed,
    NoRoom,   // too many separate ranges: may come again later
    NotNow,   // what it is to be compared with is not in memory: may come again later
  };

  /// `text` is about to be sealed at position `at`. `read(position, span)` reads the record's text again as
  /// it is now, and gives a record::Reading. Nothing is remembered but with Same.
  template <typename Read>
  [[nodiscard]] Verdict check(const GhashKey& key, uint32_t at, std::span<const uint8_t> text, Read read) noexcept {
    const auto end = static_cast<uint32_t>(at + text.size());
    if (!sealed_.fits(at, end)) return Verdict::NoRoom;
    if (sealed_.touches(at, end))
      if (const Verdict verdict = compare(key, at, text, read); verdict != Verdict::Same) return verdict;
    static_cast<void>(sealed_.holes(at, end, [&](uint32_t a, uint32_t b) {
      while (a < b) {
        const uint32_t to = std::min(b, a / kChunk * kChunk + kChunk);
        prints_[a / kChunk] += share(key, a % kChunk, text.subspan(a - at, to - a));
        a = to;
      }
      return true;
    }));
    static_cast<void>(sealed_.add(at, end));
    return Verdict::Same;
  }

  /// Of a text of `length` bytes, all of which were sealed. The hash of a text is that of its chunks, one behind the other.
  [[nodiscard]] uint64_t whole(const GhashKey& key, uint32_t length) const noexcept {
    FieldElement sum;
    for (uint32_t chunk = 0; chunk * kChunk < length; ++chunk) {
      sum = key.times(sum, kChunk / kBlock);
      sum += prints_[chunk];
    }
    return sum.low;
  }
  /// The same of the text itself; it is not empty.
  [[nodiscard]] static uint64_t whole(const GhashKey& key, std::span<const uint8_t> text) noexcept {
    const size_t blocks = (text.size() + kChunk - 1) / kChunk * (kChunk / kBlock);
    return key.share(text.data(), text.size(), 0, blocks - (text.size() - 1) / kBlock).low;
  }

 private:
  static constexpr size_t kBlock = 16;

  // What of the text was sealed before, with what else was sealed of the same chunks.
  template <typename Read>
  [[nodiscard]] Verdict compare(const GhashKey& key, uint32_t at, std::span<const uint8_t> text, Read read) const noexcept {
    const auto end = static_cast<uint32_t>(at + text.size());
    for (uint32_t from = at; from < end;) {
      const uint32_t chunk = from / kChunk;
      const uint32_t first = chunk * kChunk;
      const uint32_t to = std::min(end, first + kChunk);
      bool again = false;
      FieldElement now;
      static_cast<void>(sealed_.parts(from, to, [&](uint32_t a, uint32_t b) {
        now += share(key, a - first, text.subspan(a - at, b - a));
        return again = true;
      }));
      record::Reading reading = record::Reading::Done;
      const auto reread = [&](uint32_t a, uint32_t b) {
        std::array<uint8_t, kChunk> rest;
        const std::span<uint8_t> bytes(rest.data(), b - a);
        reading = read(a, bytes);
        if (reading != record::Reading::Done) return false;
        now += share(key, a - first, bytes);
        return true;
      };
      if (again) {
        const bool whole = sealed_.parts(first, from, reread) && sealed_.parts(to, first + kChunk, reread);
        if (reading == record::Reading::NotNow) return Verdict::NotNow;
        if (!whole || now != prints_[chunk]) return Verdict::Changed;
      }
      from = to;
    }
    return Verdict::Same;
  }

  // Of bytes that begin at `at` of their chunk.
  static FieldElement share(const GhashKey& key, uint32_t at, std::span<const uint8_t> bytes) noexcept {
    const size_t last = (at + bytes.size() - 1) / kBlock;
    return key.share(bytes.data(), bytes.size(), at % kBlock, kChunk / kBlock - last);
  }

  Intervals sealed_;
  std::array<FieldElement, kMaxLength / kChunk> prints_{};
};

}  // namespace socrypt::nic
