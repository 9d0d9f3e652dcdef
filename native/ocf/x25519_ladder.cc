#include "ocf/x25519_ladder.hpp"

namespace socrypt::x25519 {

using namespace field25519;

// Flattened, and compiled without GCC's vectorizer (CMakeLists.txt): an element that is passed by reference, or stored as
// vectors and loaded as words, waits for its stores. Both together are a fifth of the time.
__attribute__((flatten)) Fraction ladderPortable(const Scalar& scalar, std::span<const uint8_t, 32> peer) noexcept {
  const Element u = load(peer);
  Element x2 = kOne, z2 = kZero, x3 = u, z3 = kOne;
  uint64_t swap = 0;
  for (int at = 254; at >= 0; --at) {
    const uint64_t bit = (scalar[static_cast<size_t>(at) / 8] >> (at % 8)) & 1;
    swapIf(swap ^ bit, x2, x3);
    swapIf(swap ^ bit, z2, z3);
    swap = bit;
    const Element a = add(x2, z2), b = subtract(x2, z2);
    const Element da = multiply(subtract(x3, z3), a);
    const Element cb = multiply(add(x3, z3), b);
    const Element aa = square(a), bb = square(b);
    const Element e = subtract(aa, bb);
    x3 = square(add(da, cb));
    z3 = multiply(square(subtract(da, cb)), u);
    x2 = multiply(aa, bb);
    z2 = multiply(e, add(aa, multiplySmall(e, 121665)));
  }
  swapIf(swap, x2, x3);
  swapIf(swap, z2, z3);
  return {x2, z2};
}

Fraction ladder(const Scalar& scalar, std::span<const uint8_t, 32> peer) noexcept {
  static const auto best = haveIfma() ? ladderIfma : ladderPortable;
  return best(scalar, peer);
}

}  // namespace socrypt::x25519
