// ChaCha20's rounds on blocks that stand side by side: vector i has word i of each. For a kernel's file, which
// defines before it includes this
//   SOCRYPT_CHACHA_INLINE     how its functions are inlined, and for which instructions
//   Words                     the vector
//   add, exclusiveOr, rotated<kBits>   on it (rotated: to the left)
// in socrypt::nic and a namespace without a name.

namespace socrypt::nic {
namespace {

// RFC 8439 2.1.
SOCRYPT_CHACHA_INLINE void quarterRound(Words& a, Words& b, Words& c, Words& d) noexcept {
  a = add(a, b);
  d = rotated<16>(exclusiveOr(d, a));
  c = add(c, d);
  b = rotated<12>(exclusiveOr(b, c));
  a = add(a, b);
  d = rotated<8>(exclusiveOr(d, a));
  c = add(c, d);
  b = rotated<7>(exclusiveOr(b, c));
}

// RFC 8439 2.3.
SOCRYPT_CHACHA_INLINE void columnRound(Words (&x)[16]) noexcept {
  quarterRound(x[0], x[4], x[8], x[12]);
  quarterRound(x[1], x[5], x[9], x[13]);
  quarterRound(x[2], x[6], x[10], x[14]);
  quarterRound(x[3], x[7], x[11], x[15]);
}
SOCRYPT_CHACHA_INLINE void diagonalRound(Words (&x)[16]) noexcept {
  quarterRound(x[0], x[5], x[10], x[15]);
  quarterRound(x[1], x[6], x[11], x[12]);
  quarterRound(x[2], x[7], x[8], x[13]);
  quarterRound(x[3], x[4], x[9], x[14]);
}
SOCRYPT_CHACHA_INLINE void rounds(Words (&x)[16]) noexcept {
  for (int i = 0; i < 10; ++i) {
    columnRound(x);
    diagonalRound(x);
  }
}

}  // namespace
}  // namespace socrypt::nic
