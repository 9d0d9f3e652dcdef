#include "ocf/big_integer.hpp"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/dsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <array>
#include <memory>

#include "ocf/op.hpp"

namespace socrypt::key {
namespace {

struct Free {
  void operator()(BIGNUM* p) const noexcept { BN_clear_free(p); }
  void operator()(BN_CTX* p) const noexcept { BN_CTX_free(p); }
  void operator()(BN_MONT_CTX* p) const noexcept { BN_MONT_CTX_free(p); }
  void operator()(DSA_SIG* p) const noexcept { DSA_SIG_free(p); }
  void operator()(EVP_PKEY* p) const noexcept { EVP_PKEY_free(p); }
  void operator()(EVP_PKEY_CTX* p) const noexcept { EVP_PKEY_CTX_free(p); }
  void operator()(EVP_SIGNATURE* p) const noexcept { EVP_SIGNATURE_free(p); }
  void operator()(OSSL_PARAM_BLD* p) const noexcept { OSSL_PARAM_BLD_free(p); }
  void operator()(OSSL_PARAM* p) const noexcept { OSSL_PARAM_free(p); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;
using Number = Owned<BIGNUM>;

// nullptr: too long, or no memory.
Number read(View bytes) noexcept {
  if (bytes.size() > kMaxIntegerBytes) return nullptr;
  Number number(BN_new());
  if (number == nullptr || BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), number.get()) == nullptr) return nullptr;
  return number;
}
Number readSecret(View bytes) noexcept {
  Number number = read(bytes);
  if (number != nullptr) BN_set_flags(number.get(), BN_FLG_CONSTTIME);
  return number;
}

bool isModulus(const BIGNUM* n) noexcept { return BN_is_odd(n) == 1 && BN_is_one(n) == 0; }

Arithmetic write(const BIGNUM* number, size_t length, std::span<uint8_t> out, size_t& written) noexcept {
  if (length > out.size() || BN_bn2binpad(number, out.data(), static_cast<int>(length)) < 0) return Arithmetic::Invalid;
  written = length;
  return Arithmetic::Ok;
}

size_t bytesOf(const BIGNUM* number) noexcept { return static_cast<size_t>(BN_num_bytes(number)); }

Arithmetic finish(Arithmetic result, std::span<uint8_t> out) noexcept {
  if (result != Arithmetic::Ok) ocf::wipe(out.data(), out.size());
  ERR_clear_error();
  return result;
}

// `base` is reduced first: what the half of a CRT needs anyway.
bool power(BIGNUM* result, const BIGNUM* base, const BIGNUM* exponent, const BIGNUM* modulus, BN_CTX* context) noexcept {
  const Number reduced(BN_new());
  const Owned<BN_MONT_CTX> montgomery(BN_MONT_CTX_new());
  return reduced != nullptr && montgomery != nullptr && BN_nnmod(reduced.get(), base, modulus, context) == 1 &&
         BN_MONT_CTX_set(montgomery.get(), modulus, context) == 1 &&
         BN_mod_exp_mont_consttime(result, reduced.get(), exponent, modulus, context, montgomery.get()) == 1;
}

struct Factor {
  const BIGNUM *exponent, *modulus;
};

// Both at once: where there is IFMA and they have 1,024 bits, libcrypto has one exponentiation work on two, in half the time.
bool powers(BIGNUM* first, const Factor& p, BIGNUM* second, const Factor& q, const BIGNUM* base, BN_CTX* context) noexcept {
  const Number ofP(BN_new()), ofQ(BN_new());
  const Owned<BN_MONT_CTX> forP(BN_MONT_CTX_new()), forQ(BN_MONT_CTX_new());
  return ofP != nullptr && ofQ != nullptr && forP != nullptr && forQ != nullptr && BN_nnmod(ofP.get(), base, p.modulus, context) == 1 &&
         BN_nnmod(ofQ.get(), base, q.modulus, context) == 1 && BN_MONT_CTX_set(forP.get(), p.modulus, context) == 1 &&
         BN_MONT_CTX_set(forQ.get(), q.modulus, context) == 1 &&
         BN_mod_exp_mont_consttime_x2(first, ofP.get(), p.exponent, p.modulus, forP.get(), second, ofQ.get(), q.exponent, q.modulus,
                                      forQ.get(), context) == 1;
}

}  // namespace

Arithmetic modExp(View base, View exponent, View modulus, std::span<uint8_t> out, size_t& length) noexcept {
  const Number b = read(base), e = readSecret(exponent), m = read(modulus), result(BN_new());
  if (b == nullptr || e == nullptr || m == nullptr || !isModulus(m.get())) return finish(Arithmetic::Invalid, out);
  const Owned<BN_CTX> context(BN_CTX_secure_new());
  if (context == nullptr || result == nullptr || !power(result.get(), b.get(), e.get(), m.get(), context.get()))
    return finish(Arithmetic::Failed, out);
  return finish(write(result.get(), bytesOf(m.get()), out, length), out);
}

// RFC 8017 5.1.2, 2b: m = m2 + q * ((m1 - m2) * qInv mod p).
Arithmetic modExpCrt(View p, View q, View base, View dp, View dq, View qInverse, std::span<uint8_t> out, size_t& length) noexcept {
  const Number P = readSecret(p), Q = readSecret(q), b = read(base), ep = readSecret(dp), eq = readSecret(dq), inverse = readSecret(qInverse);
  const Number m1(BN_new()), m2(BN_new()), n(BN_new());
  if (P == nullptr || Q == nullptr || b == nullptr || ep == nullptr || eq == nullptr || inverse == nullptr ||
      !isModulus(P.get()) || !isModulus(Q.get()))
    return finish(Arithmetic::Invalid, out);
  const Owned<BN_CTX> context(BN_CTX_secure_new());
  if (context == nullptr || m1 == nullptr || m2 == nullptr || n == nullptr ||
      !powers(m1.get(), {ep.get(), P.get()}, m2.get(), {eq.get(), Q.get()}, b.get(), context.get()) ||
      BN_mod_sub(m1.get(), m1.get(), m2.get(), P.get(), context.get()) != 1 ||
      BN_mod_mul(m1.get(), m1.get(), inverse.get(), P.get(), context.get()) != 1 ||
      BN_mul(m1.get(), m1.get(), Q.get(), context.get()) != 1 || BN_add(m1.get(), m1.get(), m2.get()) != 1 ||
      BN_mul(n.get(), P.get(), Q.get(), context.get()) != 1)
    return finish(Arithmetic::Failed, out);
  return finish(write(m1.get(), bytesOf(n.get()), out, length), out);
}

Arithmetic dhComputeKey(View priv, View pub, View p, std::span<uint8_t> out, size_t& length) noexcept {
  const Number P = read(p), y = read(pub), largest(BN_new()), result(BN_new());
  const Number x = readSecret(priv);
  if (P == nullptr || y == nullptr || x == nullptr || !isModulus(P.get())) return finish(Arithmetic::Invalid, out);
  const Owned<BN_CTX> context(BN_CTX_secure_new());
  if (context == nullptr || largest == nullptr || result == nullptr || BN_sub(largest.get(), P.get(), BN_value_one()) != 1)
    return finish(Arithmetic::Failed, out);
  // 1 < y < p - 1
  if (BN_cmp(y.get(), BN_value_one()) <= 0 || BN_cmp(y.get(), largest.get()) >= 0) return finish(Arithmetic::Invalid, out);
  if (!power(result.get(), y.get(), x.get(), P.get(), context.get())) return finish(Arithmetic::Failed, out);
  if (BN_is_one(result.get()) == 1 || BN_is_zero(result.get()) == 1) return finish(Arithmetic::Invalid, out);
  return finish(write(result.get(), bytesOf(P.get()), out, length), out);
}

bool hasDsa() noexcept {
  static const bool has = [] {
    const Owned<EVP_SIGNATURE> found(EVP_SIGNATURE_fetch(nullptr, "DSA", nullptr));
    ERR_clear_error();
    return found != nullptr;
  }();
  return has;
}

namespace {

Owned<EVP_PKEY> dsaKey(const Number& p, const Number& q, const Number& g, const Number& y, const Number& x) noexcept {
  const Owned<EVP_PKEY_CTX> importer(EVP_PKEY_CTX_new_from_name(nullptr, "DSA", nullptr));
  const Owned<OSSL_PARAM_BLD> builder(OSSL_PARAM_BLD_new());
  if (importer == nullptr || builder == nullptr || EVP_PKEY_fromdata_init(importer.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_FFC_P, p.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_FFC_Q, q.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_FFC_G, g.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, y.get()) != 1 ||
      (x != nullptr && OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_PRIV_KEY, x.get()) != 1))
    return nullptr;
  const Owned<OSSL_PARAM> params(OSSL_PARAM_BLD_to_param(builder.get()));
  EVP_PKEY* made = nullptr;
  const int selection = x != nullptr ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY;
  if (params == nullptr || EVP_PKEY_fromdata(importer.get(), &made, selection, params.get()) != 1) return nullptr;
  return Owned<EVP_PKEY>(made);
}

constexpr size_t kMaxDsaSignature = 2 * 64 + 16;  // q of at most 512 bits, in DER

// FIPS 186-4 4.2 has 2048/224 to 3072/256, older cards 512 and 1024 with 160 bits.
bool isDsaDomain(const Number& p, const Number& q, const Number& g) noexcept {
  return p != nullptr && q != nullptr && g != nullptr && isModulus(p.get()) && isModulus(q.get()) && BN_num_bits(p.get()) >= 512 &&
         BN_num_bits(p.get()) <= 10000 && BN_num_bits(q.get()) >= 160 && BN_num_bits(q.get()) <= 512 &&
         BN_cmp(g.get(), BN_value_one()) > 0 && BN_cmp(g.get(), p.get()) < 0;
}

}  // namespace

Arithmetic dsaSign(View digest, View p, View q, View g, View x, std::span<uint8_t> r, std::span<uint8_t> s, size_t& length) noexcept {
  const Number P = read(p), Q = read(q), G = read(g), X = readSecret(x), Y(BN_new());
  const Owned<BN_CTX> context(BN_CTX_secure_new());
  if (!hasDsa() || context == nullptr || Y == nullptr) return Arithmetic::Failed;
  if (!isDsaDomain(P, Q, G) || X == nullptr || BN_is_zero(X.get()) == 1 || BN_cmp(X.get(), Q.get()) >= 0) return finish(Arithmetic::Invalid, r);
  if (!power(Y.get(), G.get(), X.get(), P.get(), context.get())) return finish(Arithmetic::Failed, r);
  const Owned<EVP_PKEY> key = dsaKey(P, Q, G, Y, X);
  const Owned<EVP_PKEY_CTX> signer(key == nullptr ? nullptr : EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
  std::array<uint8_t, kMaxDsaSignature> der{};
  size_t derLength = der.size();
  if (signer == nullptr || EVP_PKEY_sign_init(signer.get()) != 1 ||
      EVP_PKEY_sign(signer.get(), der.data(), &derLength, digest.data(), digest.size()) != 1)
    return finish(Arithmetic::Failed, r);
  const uint8_t* at = der.data();
  const Owned<DSA_SIG> signature(d2i_DSA_SIG(nullptr, &at, static_cast<long>(derLength)));
  if (signature == nullptr) return finish(Arithmetic::Failed, r);
  const BIGNUM *first = nullptr, *second = nullptr;
  DSA_SIG_get0(signature.get(), &first, &second);
  const Arithmetic result = write(first, bytesOf(Q.get()), r, length);
  return finish(result != Arithmetic::Ok ? result : write(second, bytesOf(Q.get()), s, length), {});
}

Verdict dsaVerify(View digest, View p, View q, View g, View y, View r, View s) noexcept {
  if (!hasDsa()) return Verdict::NotOurs;
  const Number P = read(p), Q = read(q), G = read(g), Y = read(y);
  Number R = read(r), S = read(s);
  bool good = false;
  if (isDsaDomain(P, Q, G) && Y != nullptr && R != nullptr && S != nullptr && bytesOf(R.get()) <= 64 && bytesOf(S.get()) <= 64) {
    const Owned<EVP_PKEY> key = dsaKey(P, Q, G, Y, nullptr);
    const Owned<EVP_PKEY_CTX> verifier(key == nullptr ? nullptr : EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
    const Owned<DSA_SIG> signature(DSA_SIG_new());
    if (verifier != nullptr && signature != nullptr && DSA_SIG_set0(signature.get(), R.get(), S.get()) == 1) {
      (void)R.release(), (void)S.release();  // the signature's from here on
      std::array<uint8_t, kMaxDsaSignature> der{};
      uint8_t* at = der.data();
      const int length = i2d_DSA_SIG(signature.get(), &at);
      good = length > 0 && EVP_PKEY_verify_init(verifier.get()) == 1 &&
             EVP_PKEY_verify(verifier.get(), der.data(), static_cast<size_t>(length), digest.data(), digest.size()) == 1;
    }
  }
  ERR_clear_error();
  return good ? Verdict::Good : Verdict::Bad;
}

}  // namespace socrypt::key
