#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/params.h>

#include "provider/digest.hpp"
#include "provider/tables.hpp"

namespace socrypt::provider {
namespace {

Bytes bytes(const unsigned char* p, size_t n) noexcept { return {p, n}; }

template <size_t index>
struct DigestTable {
  static constexpr const DigestFacts& kFacts = kDigests[index];
  static Digest& at(void* context) { return *static_cast<Digest*>(context); }
  static void* create(void*) { return new (std::nothrow) Digest(kFacts); }
  static void destroy(void* context) { delete static_cast<Digest*>(context); }
  static void* duplicate(void* context) {
    return made([&] { return at(context).duplicate().release(); });
  }
  static int init(void* context, const OSSL_PARAM*) {
    return guarded([&] { return at(context).init(); });
  }
  static int update(void* context, const unsigned char* in, size_t inBytes) {
    return guarded([&] { return at(context).update(bytes(in, inBytes)); });
  }
  static int final(void* context, unsigned char* out, size_t* outBytes, size_t room) {
    return guarded([&] { return at(context).final(out, outBytes, room); });
  }
  static int get(OSSL_PARAM params[]) {
    OSSL_PARAM* p = OSSL_PARAM_locate(params, OSSL_DIGEST_PARAM_BLOCK_SIZE);
    if (p != nullptr && OSSL_PARAM_set_size_t(p, kFacts.block) != 1) return 0;
    p = OSSL_PARAM_locate(params, OSSL_DIGEST_PARAM_SIZE);
    if (p != nullptr && OSSL_PARAM_set_size_t(p, kFacts.bytes) != 1) return 0;
    p = OSSL_PARAM_locate(params, OSSL_DIGEST_PARAM_XOF);
    if (p != nullptr && OSSL_PARAM_set_int(p, 0) != 1) return 0;
    // As the default provider has it: the parameter of these AlgorithmIdentifiers is absent (RFC 5754 2).
    p = OSSL_PARAM_locate(params, OSSL_DIGEST_PARAM_ALGID_ABSENT);
    return p == nullptr || OSSL_PARAM_set_int(p, 1) == 1 ? 1 : 0;
  }
  static const OSSL_PARAM* gettable(void*) {
    static const OSSL_PARAM list[] = {OSSL_PARAM_size_t(OSSL_DIGEST_PARAM_BLOCK_SIZE, nullptr), OSSL_PARAM_size_t(OSSL_DIGEST_PARAM_SIZE, nullptr),
                                      OSSL_PARAM_int(OSSL_DIGEST_PARAM_XOF, nullptr), OSSL_PARAM_int(OSSL_DIGEST_PARAM_ALGID_ABSENT, nullptr), OSSL_PARAM_END};
    return list;
  }
  static const OSSL_DISPATCH* functions() {
    static const OSSL_DISPATCH list[] = {{OSSL_FUNC_DIGEST_NEWCTX, reinterpret_cast<Function>(&create)},
                                         {OSSL_FUNC_DIGEST_FREECTX, reinterpret_cast<Function>(&destroy)},
                                         {OSSL_FUNC_DIGEST_DUPCTX, reinterpret_cast<Function>(&duplicate)},
                                         {OSSL_FUNC_DIGEST_INIT, reinterpret_cast<Function>(&init)},
                                         {OSSL_FUNC_DIGEST_UPDATE, reinterpret_cast<Function>(&update)},
                                         {OSSL_FUNC_DIGEST_FINAL, reinterpret_cast<Function>(&final)},
                                         {OSSL_FUNC_DIGEST_GET_PARAMS, reinterpret_cast<Function>(&get)},
                                         {OSSL_FUNC_DIGEST_GETTABLE_PARAMS, reinterpret_cast<Function>(&gettable)},
                                         {0, nullptr}};
    return list;
  }
};

struct HmacTable {
  static Hmac& at(void* context) { return *static_cast<Hmac*>(context); }
  static void* create(void*) { return new (std::nothrow) Hmac; }
  static void destroy(void* context) { delete static_cast<Hmac*>(context); }
  static void* duplicate(void* context) {
    return made([&] { return at(context).duplicate().release(); });
  }
  static int init(void* context, const unsigned char* key, size_t keyBytes, const OSSL_PARAM params[]) {
    return guarded([&] { return at(context).init(bytes(key, keyBytes), params); });
  }
  static int update(void* context, const unsigned char* in, size_t inBytes) {
    return guarded([&] { return at(context).update(bytes(in, inBytes)); });
  }
  static int final(void* context, unsigned char* out, size_t* outBytes, size_t room) {
    return guarded([&] { return at(context).final(out, outBytes, room); });
  }
  static int get(void* context, OSSL_PARAM params[]) {
    return guarded([&] { return at(context).get(params); });
  }
  static int set(void* context, const OSSL_PARAM params[]) {
    return guarded([&] { return params == nullptr || at(context).set(params); });
  }
  static const OSSL_PARAM* gettable(void*, void*) {
    static const OSSL_PARAM list[] = {OSSL_PARAM_size_t(OSSL_MAC_PARAM_SIZE, nullptr), OSSL_PARAM_size_t(OSSL_MAC_PARAM_BLOCK_SIZE, nullptr), OSSL_PARAM_END};
    return list;
  }
  static const OSSL_PARAM* settable(void*, void*) {
    static const OSSL_PARAM list[] = {OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, nullptr, 0), OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_PROPERTIES, nullptr, 0),
                                      OSSL_PARAM_octet_string(OSSL_MAC_PARAM_KEY, nullptr, 0), OSSL_PARAM_size_t(OSSL_MAC_PARAM_TLS_DATA_SIZE, nullptr),
                                      OSSL_PARAM_END};
    return list;
  }
  static const OSSL_DISPATCH* functions() {
    static const OSSL_DISPATCH list[] = {{OSSL_FUNC_MAC_NEWCTX, reinterpret_cast<Function>(&create)},
                                         {OSSL_FUNC_MAC_FREECTX, reinterpret_cast<Function>(&destroy)},
                                         {OSSL_FUNC_MAC_DUPCTX, reinterpret_cast<Function>(&duplicate)},
                                         {OSSL_FUNC_MAC_INIT, reinterpret_cast<Function>(&init)},
                                         {OSSL_FUNC_MAC_UPDATE, reinterpret_cast<Function>(&update)},
                                         {OSSL_FUNC_MAC_FINAL, reinterpret_cast<Function>(&final)},
                                         {OSSL_FUNC_MAC_GET_CTX_PARAMS, reinterpret_cast<Function>(&get)},
                                         {OSSL_FUNC_MAC_SET_CTX_PARAMS, reinterpret_cast<Function>(&set)},
                                         {OSSL_FUNC_MAC_GETTABLE_CTX_PARAMS, reinterpret_cast<Function>(&gettable)},
                                         {OSSL_FUNC_MAC_SETTABLE_CTX_PARAMS, reinterpret_cast<Function>(&settable)},
                                         {0, nullptr}};
    return list;
  }
};

}  // namespace

const OSSL_ALGORITHM* digestAlgorithms() {
  static const OSSL_ALGORITHM list[] = {{"SHA1:SHA-1:SSL3-SHA1:1.3.14.3.2.26", kProperties, DigestTable<0>::functions(), nullptr},
                                        {"SHA2-256:SHA-256:SHA256:2.16.840.1.101.3.4.2.1", kProperties, DigestTable<1>::functions(), nullptr},
                                        {"SHA2-384:SHA-384:SHA384:2.16.840.1.101.3.4.2.2", kProperties, DigestTable<2>::functions(), nullptr},
                                        {"SHA2-512:SHA-512:SHA512:2.16.840.1.101.3.4.2.3", kProperties, DigestTable<3>::functions(), nullptr},
                                        {nullptr, nullptr, nullptr, nullptr}};
  return list;
}

const OSSL_ALGORITHM* macAlgorithms() {
  static const OSSL_ALGORITHM list[] = {{"HMAC", kProperties, HmacTable::functions(), nullptr}, {nullptr, nullptr, nullptr, nullptr}};
  return list;
}

}  // namespace socrypt::provider
