#include "nic/device/poly1305.hpp"

#include <algorithm>

#include "nic/device/poly1305_kernels.hpp"
#include "ocf/ocf.hpp"

namespace socrypt::nic {
namespace {

constexpr size_t kBlock = kPolyBlock;
// Shorter ranges are not worth the powers that vectors need.
constexpr size_t kLong = 8 * kBlock;

void addBlock(PolyNumber& h, const uint8_t* block, uint64_t top) noexcept {
  uint64_t low, high;
  std::memcpy(&low, block, 8);
  std::memcpy(&high, block + 8, 8);
  h[0] += low & kMask44;
  h[1] += (low >> 44 | high << 20) & kMask44;
  h[2] += high >> 24 | top << 40;  // 2^128 is bit 40 of the limb that begins at bit 88
}

PolyNumber portablePolyRange(const PolyNumber& r, const PolyRange& range) noexcept {
  const uint8_t* data = range.data;
  size_t length = range.length;
  PolyNumber h{};
  uint8_t edge[kBlock] = {};
  if (range.lead != 0) {
    const size_t n = std::min(length, kBlock - range.lead);
    std::memcpy(edge + range.lead, data, n);
    addBlock(h, edge, 0);
    h = multiply(h, r);
    data += n;
    length -= n;
  }
  for (; length >= kBlock; length -= kBlock, data += kBlock) {
    addBlock(h, data, 1);
    h = multiply(h, r);
  }
  if (length != 0) {
    std::memset(edge, 0, kBlock);
    std::memcpy(edge, data, length);
    addBlock(h, edge, 1);
    h = multiply(h, r);
  }
  return h;
}

#if defined(__x86_64__)
void prepare(PolyKernel kernel, const PolyNumber& r, PolyKey::Factors& factors) noexcept {
  PolyPowers power;
  power[0] = r;
  for (size_t i = 1; i < 8; ++i) power[i] = multiply(power[i / 2], power[i - i / 2 - 1]);
  for (size_t i = 8; i < power.size(); ++i) power[i] = multiply(power[i - 1], power[7]);
  (kernel == PolyKernel::Wide ? prepareWidePoly : prepareNarrowPoly)(power, factors);
  ocf::wipe(power.data(), sizeof power);
}
#endif

std::array<PolyNumber, 4> digitsOf(const PolyNumber& base) noexcept {
  const PolyNumber square = multiply(base, base);
  return {PolyNumber{1, 0, 0}, base, square, multiply(square, base)};
}

}  // namespace

bool hasPolyKernel(PolyKernel kernel) noexcept {
#if defined(__x86_64__)
  if (kernel == PolyKernel::Wide)
    return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512ifma") != 0;
  if (kernel == PolyKernel::Narrow) return __builtin_cpu_supports("avx2") != 0;
#endif
  return kernel == PolyKernel::Portable;
}

PolyKernel bestPolyKernel() noexcept {
  static const PolyKernel best = hasPolyKernel(PolyKernel::Wide)     ? PolyKernel::Wide
                                 : hasPolyKernel(PolyKernel::Narrow) ? PolyKernel::Narrow
                                                                     : PolyKernel::Portable;
  return best;
}

PolyKey::PolyKey(const uint8_t* key, PolyKernel kernel) noexcept : kernel_(kernel) {
  uint64_t low, high;
  std::memcpy(&low, key, 8);
  std::memcpy(&high, key + 8, 8);
  // RFC 8439 2.5: r is clamped.
  low &= 0x0ffffffc0fffffff;
  high &= 0x0ffffffc0ffffffc;
  digit_[0] = digitsOf({low & kMask44, (low >> 44 | high << 20) & kMask44, high >> 24});
  std::memcpy(s_, key + 16, 16);
}

PolyKey::~PolyKey() {
  ocf::wipe(digit_.data(), digits_ * sizeof digit_[0]);
  ocf::wipe(s_, sizeof s_);
  if (prepared_) ocf::wipe(&factors_, sizeof factors_);
}

// Positions are public, so looking up their digits tells nothing. Without a branch for each, since no two segments
// have the same.
PolyNumber PolyKey::power(size_t exponent) noexcept {
  PolyNumber product = digit_[0][exponent & 3];
  for (size_t i = 1; exponent >> 2 * i != 0; ++i) {
    if (i == digits_) {
      digit_[i] = digitsOf(multiply(digit_[i - 1][3], digit_[i - 1][1]));
      ++digits_;
    }
    product = multiply(product, digit_[i][exponent >> 2 * i & 3]);
  }
  return product;
}

PolyNumber PolyKey::shareOfOne(const uint8_t* data, size_t length, size_t lead) noexcept {
  const PolyRange range{data, length, lead};
#if defined(__x86_64__)
  if (kernel_ != PolyKernel::Portable && length >= kLong) {
    if (!prepared_) prepare(kernel_, digit_[0][1], factors_);
    prepared_ = true;
    return kernel_ == PolyKernel::Wide ? widePolyRange(factors_, range) : narrowPolyRange(factors_, range);
  }
#endif
  return portablePolyRange(digit_[0][1], range);
}

PolyNumber PolyKey::share(const uint8_t* data, size_t length, size_t lead, size_t power) noexcept {
  if (power == 1) return shareOfOne(data, length, lead);
  // Before the range and not after it: the processor computes it beside the vectors.
  PolyNumber factor = this->power(power - 1);
  const PolyNumber result = multiply(shareOfOne(data, length, lead), factor);
  ocf::wipe(factor.data(), sizeof factor);
  return result;
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
  const PolyWide first = PolyWide{low} + s_[0];
  const uint64_t words[2] = {static_cast<uint64_t>(first), high + s_[1] + static_cast<uint64_t>(first >> 64)};
  std::memcpy(tag, words, 16);
}

}  // namespace socrypt::nic
