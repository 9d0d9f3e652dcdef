#include "nic/device/poly1305.hpp"

#include <algorithm>
#include <cstring>

#include "ocf/ocf.hpp"

namespace socrypt::nic {
namespace {

constexpr size_t kBlock = 16;
constexpr uint64_t kMask44 = (uint64_t{1} << 44) - 1;
constexpr uint64_t kMask42 = (uint64_t{1} << 42) - 1;

__extension__ using Wide = unsigned __int128;

void addBlock(PolyNumber& h, const uint8_t* block, uint64_t top) noexcept {
  uint64_t low, high;
  std::memcpy(&low, block, 8);
  std::memcpy(&high, block + 8, 8);
  h[0] += low & kMask44;
  h[1] += (low >> 44 | high << 20) & kMask44;
  h[2] += high >> 24 | top << 40;  // 2^128 is bit 40 of the limb that begins at bit 88
}

// Limbs up to 2^45 in, up to 2^44 + a little out.
PolyNumber multiply(const PolyNumber& a, const PolyNumber& b) noexcept {
  // 2^132 is 20 modulo 2^130 - 5: what runs over the third limb comes back times 5, in units of 4.
  const uint64_t b1 = b[1] * 20, b2 = b[2] * 20;
  const Wide d0 = Wide{a[0]} * b[0] + Wide{a[1]} * b2 + Wide{a[2]} * b1;
  Wide d1 = Wide{a[0]} * b[1] + Wide{a[1]} * b[0] + Wide{a[2]} * b2;
  Wide d2 = Wide{a[0]} * b[2] + Wide{a[1]} * b[1] + Wide{a[2]} * b[0];
  PolyNumber r;
  r[0] = static_cast<uint64_t>(d0) & kMask44;
  d1 += d0 >> 44;
  r[1] = static_cast<uint64_t>(d1) & kMask44;
  d2 += d1 >> 44;
  r[2] = static_cast<uint64_t>(d2) & kMask42;
  r[0] += static_cast<uint64_t>(d2 >> 42) * 5;
  r[1] += r[0] >> 44;
  r[0] &= kMask44;
  return r;
}

}  // namespace

PolyKey::PolyKey(const uint8_t* key) noexcept {
  uint64_t low, high;
  std::memcpy(&low, key, 8);
  std::memcpy(&high, key + 8, 8);
  // RFC 8439 2.5: r is clamped.
  low &= 0x0ffffffc0fffffff;
  high &= 0x0ffffffc0ffffffc;
  r_ = {low & kMask44, (low >> 44 | high << 20) & kMask44, high >> 24};
  std::memcpy(s_, key + 16, 16);
}

PolyKey::~PolyKey() {
  ocf::wipe(r_.data(), sizeof r_);
  ocf::wipe(s_, sizeof s_);
}

PolyNumber PolyKey::share(const uint8_t* data, size_t length, size_t lead, size_t power) const noexcept {
  PolyNumber h{};
  uint8_t edge[kBlock] = {};
  if (lead != 0) {
    const size_t n = std::min(length, kBlock - lead);
    std::memcpy(edge + lead, data, n);
    addBlock(h, edge, 0);
    h = multiply(h, r_);
    data += n;
    length -= n;
  }
  for (; length >= kBlock; length -= kBlock, data += kBlock) {
    addBlock(h, data, 1);
    h = multiply(h, r_);
  }
  if (length != 0) {
    std::memset(edge, 0, kBlock);
    std::memcpy(edge, data, length);
    addBlock(h, edge, 1);
    h = multiply(h, r_);
  }
  // Positions are public, so the branch on the exponent's bits tells nothing.
  PolyNumber square = r_;
  for (size_t e = power - 1; e != 0; e >>= 1) {
    if ((e & 1) != 0) h = multiply(h, square);
    if (e > 1) square = multiply(square, square);
  }
  ocf::wipe(square.data(), sizeof square);
  return h;
}

void PolyKey::add(PolyNumber& sum, const PolyNumber& share) noexcept {
  uint64_t carry = 0;
  for (int i = 0; i < 2; ++i) {
    sum[i] += share[i] + carry;
    carry = sum[i] >> 44;
    sum[i] &= kMask44;
  }
  sum[2] += share[2] + carry;
  sum[0] += (sum[2] >> 42) * 5;
  sum[2] &= kMask42;
}

void PolyKey::finish(const PolyNumber& sum, uint8_t* tag) const noexcept {
  PolyNumber h = sum;
  for (int round = 0; round < 2; ++round) add(h, {0, 0, 0});
  // h - (2^130 - 5) by adding 5 and looking at bit 130; taken when that did not borrow.
  PolyNumber g{h[0] + 5, h[1], h[2]};
  g[1] += g[0] >> 44;
  g[0] &= kMask44;
  g[2] += g[1] >> 44;
  g[1] &= kMask44;
  const uint64_t over = 0 - (g[2] >> 42);
  g[2] &= kMask42;
  for (int i = 0; i < 3; ++i) h[i] = (h[i] & ~over) | (g[i] & over);
  const uint64_t low = h[0] | h[1] << 44;
  const uint64_t high = h[1] >> 20 | h[2] << 24;
  const Wide first = Wide{low} + s_[0];
  const uint64_t words[2] = {static_cast<uint64_t>(first), high + s_[1] + static_cast<uint64_t>(first >> 64)};
  std::memcpy(tag, words, 16);
}

}  // namespace socrypt::nic
