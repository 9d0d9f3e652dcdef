#include "key_material.hpp"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/dsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

namespace papers {

using namespace socrypt::ocf;

namespace {

struct Freed {
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
  void operator()(EVP_PKEY_CTX* p) const { EVP_PKEY_CTX_free(p); }
  void operator()(BIGNUM* p) const { BN_clear_free(p); }
};
template <typename T>
using Held = std::unique_ptr<T, Freed>;

Integer integer(const EVP_PKEY* key, const char* name) {
  BIGNUM* raw = nullptr;
  if (EVP_PKEY_get_bn_param(key, name, &raw) != 1) fail(std::string("the key has no ") + name);
  const Held<BIGNUM> number(raw);
  Integer bytes(static_cast<size_t>(BN_num_bytes(raw)));
  BN_bn2bin(raw, bytes.data());
  return bytes;
}

}  // namespace

RsaKey makeRsa(unsigned bits) {
  const Held<EVP_PKEY> key(EVP_RSA_gen(bits));
  if (!key) fail("no RSA key of this size");
  return {integer(key.get(), OSSL_PKEY_PARAM_RSA_N),         integer(key.get(), OSSL_PKEY_PARAM_RSA_E),
          integer(key.get(), OSSL_PKEY_PARAM_RSA_D),         integer(key.get(), OSSL_PKEY_PARAM_RSA_FACTOR1),
          integer(key.get(), OSSL_PKEY_PARAM_RSA_FACTOR2),   integer(key.get(), OSSL_PKEY_PARAM_RSA_EXPONENT1),
          integer(key.get(), OSSL_PKEY_PARAM_RSA_EXPONENT2), integer(key.get(), OSSL_PKEY_PARAM_RSA_COEFFICIENT1)};
}

namespace {
Integer fromHex(const char* text) {
  BIGNUM* raw = nullptr;
  if (BN_hex2bn(&raw, text) == 0) fail("no hexadecimal number");
  const Held<BIGNUM> number(raw);
  Integer bytes(static_cast<size_t>(BN_num_bytes(raw)));
  BN_bn2bin(raw, bytes.data());
  return bytes;
}
}  // namespace

DsaKey makeDsa(unsigned bits) {
  // OpenSSL 3 makes none so small; this is the example of FIPS 186, appendix 5.
  if (bits == 512)
    return {fromHex("8df2a494492276aa3d25759bb06869cbeac0d83afb8d0cf7cbb8324f0d7882e5d0762fc5b7210eafc2e9adac32ab7aac49693dfbf83724c2ec0736ee31c80291"),
            fromHex("c773218c737ec8ee993b4f2ded30f48edace915f"),
            fromHex("626d027839ea0a13413163a55b4cb500299d5522956cefcb3bff10f399ce2c2e71cb9de5fa24babf58e5b79521925c9cc42e9f6f464b088cc572af53e6d78802"),
            fromHex("2070b3223dba372fde1c0ffc7b2e3b498b260614"),
            fromHex("19131871d75b1612a819f29d78d1b0d7346f7aa77bb62a859bfd6c5675da9d212d3a36ef1672ef660b8c7c255cc0ec74858fba33f44c06699630a76b030ee333")};
  const Held<EVP_PKEY_CTX> generator(EVP_PKEY_CTX_new_from_name(nullptr, "DSA", nullptr));
  EVP_PKEY* raw = nullptr;
  // FIPS 186-2, which both sizes are of.
  if (!generator || EVP_PKEY_paramgen_init(generator.get()) != 1 || EVP_PKEY_CTX_set_dsa_paramgen_type(generator.get(), "fips186_2") != 1 ||
      EVP_PKEY_CTX_set_dsa_paramgen_bits(generator.get(), static_cast<int>(bits)) != 1 ||
      EVP_PKEY_CTX_set_dsa_paramgen_q_bits(generator.get(), 160) != 1 || EVP_PKEY_paramgen(generator.get(), &raw) != 1)
    return {};
  const Held<EVP_PKEY> parameters(raw);
  const Held<EVP_PKEY_CTX> maker(EVP_PKEY_CTX_new_from_pkey(nullptr, parameters.get(), nullptr));
  raw = nullptr;
  if (!maker || EVP_PKEY_keygen_init(maker.get()) != 1 || EVP_PKEY_keygen(maker.get(), &raw) != 1) return {};
  const Held<EVP_PKEY> key(raw);
  return {integer(key.get(), OSSL_PKEY_PARAM_FFC_P), integer(key.get(), OSSL_PKEY_PARAM_FFC_Q), integer(key.get(), OSSL_PKEY_PARAM_FFC_G),
          integer(key.get(), OSSL_PKEY_PARAM_PRIV_KEY), integer(key.get(), OSSL_PKEY_PARAM_PUB_KEY)};
}

KeyRequest::KeyRequest(Session* session, Kind kind, std::vector<Integer> inputs, std::vector<size_t> outputs) : inputs_(std::move(inputs)) {
  for (Integer& one : inputs_) in_.push_back({one.data(), static_cast<uint32_t>(one.size())});
  for (const size_t room : outputs) rooms_.emplace_back(room);
  for (Integer& one : rooms_) out_.push_back({one.data(), 0});
  op_.ses = session;
  op_.kind = kind;
  op_.in = in_.data();
  op_.out = out_.data();
  op_.nIn = static_cast<uint16_t>(in_.size());
  op_.nOut = static_cast<uint16_t>(out_.size());
}

Op* KeyRequest::again() noexcept {
  for (size_t i = 0; i < out_.size(); ++i) out_[i].n = static_cast<uint32_t>(rooms_[i].size());
  return &op_;
}

}  // namespace papers
