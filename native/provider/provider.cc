// The OpenSSL 3 provider "socrypt": ciphers, digests, MACs and signatures whose work cryptod does, and the default provider's software when it does
// not. See docs/cryptod.md.
#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <charconv>
#include <cstring>
#include <string>
#include <string_view>

#include "provider/aead.hpp"
#include "provider/block.hpp"
#include "provider/tables.hpp"

namespace socrypt::provider {
namespace {

constexpr const char* kName = "socrypt: accelerators behind cryptod";
constexpr const char* kVersion = "1";

constexpr AeadFacts kAes128Gcm{"AES-128-GCM", ocf::AlgId::Aes128Gcm, 16, EVP_CIPH_GCM_MODE, 8};
constexpr AeadFacts kAes256Gcm{"AES-256-GCM", ocf::AlgId::Aes256Gcm, 32, EVP_CIPH_GCM_MODE, 8};
constexpr AeadFacts kChaCha{"ChaCha20-Poly1305", ocf::AlgId::ChaCha20Poly1305, 32, EVP_CIPH_STREAM_CIPHER, 0};
constexpr BlockFacts kAes128Cbc{"AES-128-CBC", ocf::AlgId::Aes128Cbc, 16, EVP_CIPH_CBC_MODE, 16};
constexpr BlockFacts kAes256Cbc{"AES-256-CBC", ocf::AlgId::Aes256Cbc, 32, EVP_CIPH_CBC_MODE, 16};
constexpr BlockFacts kAes128Ctr{"AES-128-CTR", ocf::AlgId::Aes128Ctr, 16, EVP_CIPH_CTR_MODE, 1};
constexpr BlockFacts kAes256Ctr{"AES-256-CTR", ocf::AlgId::Aes256Ctr, 32, EVP_CIPH_CTR_MODE, 1};

Bytes bytes(const unsigned char* p, size_t n) noexcept { return {p, p == nullptr ? 0 : n}; }

bool factsInto(OSSL_PARAM* params, unsigned mode, size_t keyBytes, size_t ivBytes, size_t blockBytes, bool aead) {
  for (OSSL_PARAM* p = params; p != nullptr && p->key != nullptr; ++p) {
    const std::string_view name = p->key;
    bool good = true;
    if (name == OSSL_CIPHER_PARAM_MODE) good = OSSL_PARAM_set_uint(p, mode) == 1;
    else if (name == OSSL_CIPHER_PARAM_KEYLEN) good = OSSL_PARAM_set_size_t(p, keyBytes) == 1;
    else if (name == OSSL_CIPHER_PARAM_IVLEN) good = OSSL_PARAM_set_size_t(p, ivBytes) == 1;
    else if (name == OSSL_CIPHER_PARAM_BLOCK_SIZE) good = OSSL_PARAM_set_size_t(p, blockBytes) == 1;
    else if (name == OSSL_CIPHER_PARAM_AEAD || name == OSSL_CIPHER_PARAM_CUSTOM_IV) good = OSSL_PARAM_set_int(p, aead ? 1 : 0) == 1;
    else if (name == OSSL_CIPHER_PARAM_CTS || name == OSSL_CIPHER_PARAM_TLS1_MULTIBLOCK || name == OSSL_CIPHER_PARAM_HAS_RAND_KEY)
      good = OSSL_PARAM_set_int(p, 0) == 1;
    if (!good) return false;
  }
  return true;
}

const OSSL_PARAM* gettableFacts(void*) {
  static const OSSL_PARAM list[] = {
      OSSL_PARAM_uint(OSSL_CIPHER_PARAM_MODE, nullptr),       OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_KEYLEN, nullptr),
      OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_IVLEN, nullptr),    OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_BLOCK_SIZE, nullptr),
      OSSL_PARAM_int(OSSL_CIPHER_PARAM_AEAD, nullptr),        OSSL_PARAM_int(OSSL_CIPHER_PARAM_CUSTOM_IV, nullptr),
      OSSL_PARAM_END};
  return list;
}

// ── the two kinds of contexts behind one dispatch table ──

struct AeadOf {
  using Context = Aead;
  using Facts = AeadFacts;
  static bool facts(const Facts& of, OSSL_PARAM* params) { return factsInto(params, of.mode, of.keyBytes, Aead::kIv, 1, true); }
  static bool final(Aead& context, uint8_t*, size_t* outBytes, size_t) { return context.final(outBytes); }
  // libcrypto's EVP_Cipher(): no input means the end.
  static bool whole(Aead& context, uint8_t* out, size_t* outBytes, size_t room, Bytes in) {
    return in.data() == nullptr ? context.final(outBytes) : context.update(out, outBytes, room, in);
  }
  static const OSSL_PARAM* gettable(void*, void*) {
    static const OSSL_PARAM list[] = {
        OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_KEYLEN, nullptr),        OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_IVLEN, nullptr),
        OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_AEAD_TAGLEN, nullptr),   OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_IV, nullptr, 0),
        OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_UPDATED_IV, nullptr, 0), OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, nullptr, 0),
        OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_AEAD_TLS1_AAD_PAD, nullptr), OSSL_PARAM_END};
    return list;
  }
  static const OSSL_PARAM* settable(void*, void*) {
    static const OSSL_PARAM list[] = {
        OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_KEYLEN, nullptr),       OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_AEAD_IVLEN, nullptr),
        OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, nullptr, 0), OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TLS1_AAD, nullptr, 0),
        OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TLS1_IV_FIXED, nullptr, 0), OSSL_PARAM_END};
    return list;
  }
};

struct BlockOf {
  using Context = Block;
  using Facts = BlockFacts;
  static bool facts(const Facts& of, OSSL_PARAM* params) { return factsInto(params, of.mode, of.keyBytes, Block::kBlock, of.blockBytes, false); }
  static bool final(Block& context, uint8_t* out, size_t* outBytes, size_t room) { return context.final(out, outBytes, room); }
  static bool whole(Block& context, uint8_t* out, size_t* outBytes, size_t room, Bytes in) { return context.whole(out, outBytes, room, in); }
  static const OSSL_PARAM* gettable(void*, void*) {
    static const OSSL_PARAM list[] = {
        OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_KEYLEN, nullptr), OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_IVLEN, nullptr),
        OSSL_PARAM_uint(OSSL_CIPHER_PARAM_PADDING, nullptr),  OSSL_PARAM_uint(OSSL_CIPHER_PARAM_NUM, nullptr),
        OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_IV, nullptr, 0), OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_UPDATED_IV, nullptr, 0),
        OSSL_PARAM_octet_ptr(OSSL_CIPHER_PARAM_TLS_MAC, nullptr, 0), OSSL_PARAM_END};
    return list;
  }
  static const OSSL_PARAM* settable(void*, void*) {
    static const OSSL_PARAM list[] = {
        OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_KEYLEN, nullptr),   OSSL_PARAM_uint(OSSL_CIPHER_PARAM_PADDING, nullptr),
        OSSL_PARAM_uint(OSSL_CIPHER_PARAM_NUM, nullptr),        OSSL_PARAM_uint(OSSL_CIPHER_PARAM_TLS_VERSION, nullptr),
        OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_TLS_MAC_SIZE, nullptr), OSSL_PARAM_END};
    return list;
  }
};

template <class Of, const typename Of::Facts& facts>
struct Table {
  using Context = typename Of::Context;
  static Context& at(void* context) { return *static_cast<Context*>(context); }
  static void* newContext(void*) { return new (std::nothrow) Context(facts); }
  static void freeContext(void* context) { delete static_cast<Context*>(context); }
  static void* duplicate(void* context) {
    return made([&] { return at(context).duplicate().release(); });
  }
  template <bool forward>
  static int init(void* context, const unsigned char* key, size_t keyBytes, const unsigned char* iv, size_t ivBytes, const OSSL_PARAM params[]) {
    return guarded([&] { return at(context).init(forward, bytes(key, keyBytes), bytes(iv, ivBytes), params); });
  }
  static int update(void* context, unsigned char* out, size_t* outBytes, size_t room, const unsigned char* in, size_t inBytes) {
    return guarded([&] { return at(context).update(out, outBytes, room, bytes(in, inBytes)); });
  }
  static int final(void* context, unsigned char* out, size_t* outBytes, size_t room) {
    return guarded([&] { return Of::final(at(context), out, outBytes, room); });
  }
  static int whole(void* context, unsigned char* out, size_t* outBytes, size_t room, const unsigned char* in, size_t inBytes) {
    return guarded([&] { return Of::whole(at(context), out, outBytes, room, bytes(in, inBytes)); });
  }
  static int getFacts(OSSL_PARAM params[]) { return Of::facts(facts, params) ? 1 : 0; }
  static int get(void* context, OSSL_PARAM params[]) {
    return guarded([&] { return at(context).get(params); });
  }
  static int set(void* context, const OSSL_PARAM params[]) {
    return guarded([&] { return at(context).set(params); });
  }
  static const OSSL_DISPATCH* functions() {
    static const OSSL_DISPATCH list[] = {
        {OSSL_FUNC_CIPHER_NEWCTX, reinterpret_cast<Function>(&newContext)},
        {OSSL_FUNC_CIPHER_FREECTX, reinterpret_cast<Function>(&freeContext)},
        {OSSL_FUNC_CIPHER_DUPCTX, reinterpret_cast<Function>(&duplicate)},
        {OSSL_FUNC_CIPHER_ENCRYPT_INIT, reinterpret_cast<Function>(&init<true>)},
        {OSSL_FUNC_CIPHER_DECRYPT_INIT, reinterpret_cast<Function>(&init<false>)},
        {OSSL_FUNC_CIPHER_UPDATE, reinterpret_cast<Function>(&update)},
        {OSSL_FUNC_CIPHER_FINAL, reinterpret_cast<Function>(&final)},
        {OSSL_FUNC_CIPHER_CIPHER, reinterpret_cast<Function>(&whole)},
        {OSSL_FUNC_CIPHER_GET_PARAMS, reinterpret_cast<Function>(&getFacts)},
        {OSSL_FUNC_CIPHER_GET_CTX_PARAMS, reinterpret_cast<Function>(&get)},
        {OSSL_FUNC_CIPHER_SET_CTX_PARAMS, reinterpret_cast<Function>(&set)},
        {OSSL_FUNC_CIPHER_GETTABLE_PARAMS, reinterpret_cast<Function>(&gettableFacts)},
        {OSSL_FUNC_CIPHER_GETTABLE_CTX_PARAMS, reinterpret_cast<Function>(&Of::gettable)},
        {OSSL_FUNC_CIPHER_SETTABLE_CTX_PARAMS, reinterpret_cast<Function>(&Of::settable)},
        {0, nullptr}};
    return list;
  }
};

// Names are those of the default provider, so that both are found by the same.
const OSSL_ALGORITHM* ciphers() {
  static const OSSL_ALGORITHM list[] = {
      {"AES-128-GCM:id-aes128-GCM:2.16.840.1.101.3.4.1.6", kProperties, Table<AeadOf, kAes128Gcm>::functions(), nullptr},
      {"AES-256-GCM:id-aes256-GCM:2.16.840.1.101.3.4.1.46", kProperties, Table<AeadOf, kAes256Gcm>::functions(), nullptr},
      {"ChaCha20-Poly1305", kProperties, Table<AeadOf, kChaCha>::functions(), nullptr},
      {"AES-128-CBC:AES128:2.16.840.1.101.3.4.1.2", kProperties, Table<BlockOf, kAes128Cbc>::functions(), nullptr},
      {"AES-256-CBC:AES256:2.16.840.1.101.3.4.1.42", kProperties, Table<BlockOf, kAes256Cbc>::functions(), nullptr},
      {"AES-128-CTR", kProperties, Table<BlockOf, kAes128Ctr>::functions(), nullptr},
      {"AES-256-CTR", kProperties, Table<BlockOf, kAes256Ctr>::functions(), nullptr},
      {nullptr, nullptr, nullptr, nullptr}};
  return list;
}

// ── the provider itself ──

const OSSL_ALGORITHM* query(void*, int operation, int* noCache) {
  *noCache = 0;
  switch (operation) {
    case OSSL_OP_CIPHER: return ciphers();
    case OSSL_OP_DIGEST: return digestAlgorithms();
    case OSSL_OP_MAC: return macAlgorithms();
    case OSSL_OP_KEYMGMT: return keyAlgorithms();
    case OSSL_OP_SIGNATURE: return signatureAlgorithms();
    default: return nullptr;
  }
}

const OSSL_PARAM* gettableParams(void*) {
  static const OSSL_PARAM list[] = {OSSL_PARAM_utf8_ptr(OSSL_PROV_PARAM_NAME, nullptr, 0), OSSL_PARAM_utf8_ptr(OSSL_PROV_PARAM_VERSION, nullptr, 0),
                                    OSSL_PARAM_int(OSSL_PROV_PARAM_STATUS, nullptr), OSSL_PARAM_END};
  return list;
}

int getParams(void*, OSSL_PARAM params[]) {
  OSSL_PARAM* p = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_NAME);
  if (p != nullptr && OSSL_PARAM_set_utf8_ptr(p, kName) != 1) return 0;
  p = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_VERSION);
  if (p != nullptr && OSSL_PARAM_set_utf8_ptr(p, kVersion) != 1) return 0;
  p = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_STATUS);
  return p == nullptr || OSSL_PARAM_set_int(p, 1) == 1 ? 1 : 0;
}

// "socket", "min-bytes" and "digest-min-bytes" of the provider's section in openssl.cnf.
void readSettings(const OSSL_CORE_HANDLE* handle, OSSL_FUNC_core_get_params_fn* getCoreParams) {
  Settings settings;
  char* path = nullptr;
  char* minBytes = nullptr;
  char* digestMinBytes = nullptr;
  OSSL_PARAM wanted[] = {OSSL_PARAM_construct_utf8_ptr("socket", &path, 0), OSSL_PARAM_construct_utf8_ptr("min-bytes", &minBytes, 0),
                         OSSL_PARAM_construct_utf8_ptr("digest-min-bytes", &digestMinBytes, 0),
                         OSSL_PARAM_construct_end()};
  if (getCoreParams != nullptr && getCoreParams(handle, wanted) == 1) {
    if (path != nullptr && *path != '\0') settings.path = path;
    const auto number = [](const char* text, size_t& to) {
      if (text != nullptr) (void)std::from_chars(text, text + std::strlen(text), to);
    };
    number(minBytes, settings.minBytes);
    number(digestMinBytes, settings.digestMinBytes);
  }
  configure(std::move(settings));
}

}  // namespace
}  // namespace socrypt::provider

extern "C" __attribute__((visibility("default"))) int OSSL_provider_init(const OSSL_CORE_HANDLE* handle, const OSSL_DISPATCH* in,
                                                                         const OSSL_DISPATCH** out, void** context) {
  using namespace socrypt::provider;
  OSSL_FUNC_core_get_params_fn* getCoreParams = nullptr;
  for (; in->function_id != 0; ++in)
    if (in->function_id == OSSL_FUNC_CORE_GET_PARAMS) getCoreParams = OSSL_FUNC_core_get_params(in);
  static const OSSL_DISPATCH functions[] = {
      {OSSL_FUNC_PROVIDER_GETTABLE_PARAMS, reinterpret_cast<void (*)()>(&gettableParams)},
      {OSSL_FUNC_PROVIDER_GET_PARAMS, reinterpret_cast<void (*)()>(&getParams)},
      {OSSL_FUNC_PROVIDER_QUERY_OPERATION, reinterpret_cast<void (*)()>(&query)},
      {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, reinterpret_cast<void (*)()>(&capabilities)},
      {0, nullptr}};
  // Nothing of this fails without a daemon: that is found out when there is something to do.
  try {
    readSettings(handle, getCoreParams);
  } catch (...) {
    return 0;
  }
  static char nothing;
  *out = functions;
  *context = &nothing;
  return 1;
}
