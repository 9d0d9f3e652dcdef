#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/provider.h>

#include <memory>
#include <string_view>
#include <utility>

#include "provider/key.hpp"
#include "provider/signature.hpp"
#include "provider/tables.hpp"

namespace socrypt::provider {
namespace {

constexpr KeyFacts kRsa{"RSA", true};
constexpr KeyFacts kEc{"EC", false};

// What the default provider's keys of a kind may be given and asked.
EVP_KEYMGMT* management(const KeyFacts& facts) {
  static EVP_KEYMGMT* const rsa = EVP_KEYMGMT_fetch(softwareContext(), kRsa.name, nullptr);
  static EVP_KEYMGMT* const ec = EVP_KEYMGMT_fetch(softwareContext(), kEc.name, nullptr);
  return facts.rsa ? rsa : ec;
}
EVP_PKEY_CTX* importing(const KeyFacts& facts) {
  const auto begun = [](const char* name) {
    KeyContext context(EVP_PKEY_CTX_new_from_name(softwareContext(), name, nullptr));
    return context != nullptr && EVP_PKEY_fromdata_init(context.get()) == 1 ? std::move(context) : nullptr;
  };
  static const KeyContext rsa = begun(kRsa.name);
  static const KeyContext ec = begun(kEc.name);
  return facts.rsa ? rsa.get() : ec.get();
}

struct Generation {
  KeyContext context;
  bool whole = true;  // not parameters alone
  [[nodiscard]] bool begin(EVP_PKEY_CTX* with) {
    context.reset(with);
    return with != nullptr && (whole ? EVP_PKEY_keygen_init(with) : EVP_PKEY_paramgen_init(with)) == 1;
  }
};

template <const KeyFacts& facts>
struct KeyTable {
  static Key& at(void* key) { return *static_cast<Key*>(key); }
  static const Key& at(const void* key) { return *static_cast<const Key*>(key); }
  static void* create(void*) {
    return made([] { return new Key(facts); });
  }
  static void destroy(void* key) { delete static_cast<Key*>(key); }
  static int has(const void* key, int selection) {
    return guarded([&] { return key != nullptr && at(key).has(selection); });
  }
  static int import(void* key, int selection, const OSSL_PARAM params[]) {
    return guarded([&] { return at(key).import(selection, params); });
  }
  static int exportKey(void* key, int selection, OSSL_CALLBACK* callback, void* argument) {
    return at(key).software() != nullptr && EVP_PKEY_export(at(key).software(), selection, callback, argument) == 1 ? 1 : 0;
  }
  static const OSSL_PARAM* types(int selection) {
    EVP_PKEY_CTX* const context = importing(facts);
    return context == nullptr ? nullptr : EVP_PKEY_fromdata_settable(context, selection);
  }
  static int get(void* key, OSSL_PARAM params[]) { return at(key).software() != nullptr && EVP_PKEY_get_params(at(key).software(), params) == 1 ? 1 : 0; }
  static int set(void* key, const OSSL_PARAM params[]) {
    if (params == nullptr || params->key == nullptr) return 1;
    return at(key).software() != nullptr && EVP_PKEY_set_params(at(key).software(), const_cast<OSSL_PARAM*>(params)) == 1 ? 1 : 0;
  }
  static const OSSL_PARAM* gettable(void*) { return EVP_KEYMGMT_gettable_params(management(facts)); }
  static const OSSL_PARAM* settable(void*) { return EVP_KEYMGMT_settable_params(management(facts)); }
  static int match(const void* one, const void* other, int selection) {
    EVP_PKEY *const a = at(one).software(), *const b = at(other).software();
    if (a == nullptr || b == nullptr) return 0;
    const bool keys = (selection & OSSL_KEYMGMT_SELECT_KEYPAIR) != 0;
    return (keys ? EVP_PKEY_eq(a, b) : EVP_PKEY_parameters_eq(a, b)) == 1 ? 1 : 0;
  }
  static int validate(const void* key, int selection, int) {
    const KeyContext context(EVP_PKEY_CTX_new_from_pkey(softwareContext(), at(key).software(), nullptr));
    if (context == nullptr) return 0;
    if ((selection & OSSL_KEYMGMT_SELECT_KEYPAIR) == OSSL_KEYMGMT_SELECT_KEYPAIR) return EVP_PKEY_pairwise_check(context.get()) == 1 ? 1 : 0;
    if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0) return EVP_PKEY_private_check(context.get()) == 1 ? 1 : 0;
    if ((selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0) return EVP_PKEY_public_check(context.get()) == 1 ? 1 : 0;
    return facts.rsa || EVP_PKEY_param_check(context.get()) == 1 ? 1 : 0;
  }
  static void* duplicate(const void* key, int selection) {
    return made([&] { return at(key).duplicate(selection).release(); });
  }

  static void* beginGeneration(void*, int selection, const OSSL_PARAM params[]) {
    return made([&]() -> Generation* {
      auto generation = std::make_unique<Generation>();
      generation->whole = (selection & OSSL_KEYMGMT_SELECT_KEYPAIR) != 0;
      if (!generation->begin(EVP_PKEY_CTX_new_from_name(softwareContext(), facts.name, nullptr)) || setGeneration(generation.get(), params) != 1) return nullptr;
      return generation.release();
    });
  }
  static int setTemplate(void* generation, void* key) {
    return guarded([&] { return static_cast<Generation*>(generation)->begin(EVP_PKEY_CTX_new_from_pkey(softwareContext(), at(key).software(), nullptr)); });
  }
  static int setGeneration(void* generation, const OSSL_PARAM params[]) {
    if (params == nullptr || params->key == nullptr) return 1;
    return EVP_PKEY_CTX_set_params(static_cast<Generation*>(generation)->context.get(), params) == 1 ? 1 : 0;
  }
  static const OSSL_PARAM* generationSettable(void*, void*) { return EVP_KEYMGMT_gen_settable_params(management(facts)); }
  static void* generate(void* generation, OSSL_CALLBACK*, void*) {
    return made([&]() -> Key* {
      EVP_PKEY* key = nullptr;
      if (EVP_PKEY_generate(static_cast<Generation*>(generation)->context.get(), &key) != 1) return nullptr;
      SoftwareKey owned(key);
      auto whole = std::make_unique<Key>(facts);
      whole->set(std::move(owned));
      return whole.release();
    });
  }
  static void endGeneration(void* generation) { delete static_cast<Generation*>(generation); }
  static const char* operationName(int operation) {
    if (facts.rsa) return "RSA";
    return operation == OSSL_OP_KEYEXCH ? "ECDH" : operation == OSSL_OP_SIGNATURE ? "ECDSA" : nullptr;
  }

  static const OSSL_DISPATCH* functions() {
    static const OSSL_DISPATCH list[] = {{OSSL_FUNC_KEYMGMT_NEW, reinterpret_cast<Function>(&create)},
                                         {OSSL_FUNC_KEYMGMT_FREE, reinterpret_cast<Function>(&destroy)},
                                         {OSSL_FUNC_KEYMGMT_HAS, reinterpret_cast<Function>(&has)},
                                         {OSSL_FUNC_KEYMGMT_IMPORT, reinterpret_cast<Function>(&import)},
                                         {OSSL_FUNC_KEYMGMT_IMPORT_TYPES, reinterpret_cast<Function>(&types)},
                                         {OSSL_FUNC_KEYMGMT_EXPORT, reinterpret_cast<Function>(&exportKey)},
                                         {OSSL_FUNC_KEYMGMT_EXPORT_TYPES, reinterpret_cast<Function>(&types)},
                                         {OSSL_FUNC_KEYMGMT_GET_PARAMS, reinterpret_cast<Function>(&get)},
                                         {OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, reinterpret_cast<Function>(&gettable)},
                                         {OSSL_FUNC_KEYMGMT_SET_PARAMS, reinterpret_cast<Function>(&set)},
                                         {OSSL_FUNC_KEYMGMT_SETTABLE_PARAMS, reinterpret_cast<Function>(&settable)},
                                         {OSSL_FUNC_KEYMGMT_MATCH, reinterpret_cast<Function>(&match)},
                                         {OSSL_FUNC_KEYMGMT_VALIDATE, reinterpret_cast<Function>(&validate)},
                                         {OSSL_FUNC_KEYMGMT_DUP, reinterpret_cast<Function>(&duplicate)},
                                         {OSSL_FUNC_KEYMGMT_GEN_INIT, reinterpret_cast<Function>(&beginGeneration)},
                                         {OSSL_FUNC_KEYMGMT_GEN_SET_TEMPLATE, reinterpret_cast<Function>(&setTemplate)},
                                         {OSSL_FUNC_KEYMGMT_GEN_SET_PARAMS, reinterpret_cast<Function>(&setGeneration)},
                                         {OSSL_FUNC_KEYMGMT_GEN_SETTABLE_PARAMS, reinterpret_cast<Function>(&generationSettable)},
                                         {OSSL_FUNC_KEYMGMT_GEN, reinterpret_cast<Function>(&generate)},
                                         {OSSL_FUNC_KEYMGMT_GEN_CLEANUP, reinterpret_cast<Function>(&endGeneration)},
                                         {OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, reinterpret_cast<Function>(&operationName)},
                                         {0, nullptr}};
    return list;
  }
};

// ── signatures ──

template <bool rsa>
struct SignatureTable {
  using Act = Signature::Act;
  static Signature& at(void* context) { return *static_cast<Signature*>(context); }
  static void* create(void*, const char*) { return new (std::nothrow) Signature(rsa); }
  static void destroy(void* context) { delete static_cast<Signature*>(context); }
  static void* duplicate(void* context) {
    return made([&] { return at(context).duplicate().release(); });
  }
  template <Act act>
  static int init(void* context, void* key, const OSSL_PARAM params[]) {
    return guarded([&] { return key != nullptr && at(context).init(act, *static_cast<Key*>(key), params); });
  }
  static int sign(void* context, unsigned char* out, size_t* outBytes, size_t room, const unsigned char* digest, size_t digestBytes) {
    return guarded([&] { return at(context).sign(out, outBytes, room, {digest, digestBytes}); });
  }
  static int verify(void* context, const unsigned char* signature, size_t signatureBytes, const unsigned char* digest, size_t digestBytes) {
    return guarded([&] { return at(context).verify({signature, signatureBytes}, {digest, digestBytes}); });
  }
  static int recover(void* context, unsigned char* out, size_t* outBytes, size_t room, const unsigned char* signature, size_t signatureBytes) {
    return guarded([&] { return at(context).recover(out, outBytes, room, {signature, signatureBytes}); });
  }
  template <bool signs>
  static int initMessage(void* context, const char* digest, void* key, const OSSL_PARAM params[]) {
    return guarded([&] { return key != nullptr && at(context).initMessage(signs, digest, *static_cast<Key*>(key), params); });
  }
  static int update(void* context, const unsigned char* message, size_t messageBytes) {
    return guarded([&] { return at(context).update({message, messageBytes}); });
  }
  static int finalSign(void* context, unsigned char* out, size_t* outBytes, size_t room) {
    return guarded([&] { return at(context).finalSign(out, outBytes, room); });
  }
  static int finalVerify(void* context, const unsigned char* signature, size_t signatureBytes) {
    return guarded([&] { return at(context).finalVerify({signature, signatureBytes}); });
  }
  static int get(void* context, OSSL_PARAM params[]) {
    return guarded([&] { return at(context).get(params); });
  }
  static int set(void* context, const OSSL_PARAM params[]) {
    return guarded([&] { return params == nullptr || at(context).set(params); });
  }
  static const OSSL_PARAM* gettable(void* context, void*) { return context == nullptr ? nullptr : at(context).gettable(); }
  static const OSSL_PARAM* settable(void* context, void*) { return context == nullptr ? nullptr : at(context).settable(); }

  static const OSSL_DISPATCH* functions() {
    static const OSSL_DISPATCH list[] = {{OSSL_FUNC_SIGNATURE_NEWCTX, reinterpret_cast<Function>(&create)},
                                         {OSSL_FUNC_SIGNATURE_FREECTX, reinterpret_cast<Function>(&destroy)},
                                         {OSSL_FUNC_SIGNATURE_DUPCTX, reinterpret_cast<Function>(&duplicate)},
                                         {OSSL_FUNC_SIGNATURE_SIGN_INIT, reinterpret_cast<Function>(&init<Act::Sign>)},
                                         {OSSL_FUNC_SIGNATURE_SIGN, reinterpret_cast<Function>(&sign)},
                                         {OSSL_FUNC_SIGNATURE_VERIFY_INIT, reinterpret_cast<Function>(&init<Act::Verify>)},
                                         {OSSL_FUNC_SIGNATURE_VERIFY, reinterpret_cast<Function>(&verify)},
                                         {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, reinterpret_cast<Function>(&initMessage<true>)},
                                         {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_UPDATE, reinterpret_cast<Function>(&update)},
                                         {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_FINAL, reinterpret_cast<Function>(&finalSign)},
                                         {OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_INIT, reinterpret_cast<Function>(&initMessage<false>)},
                                         {OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_UPDATE, reinterpret_cast<Function>(&update)},
                                         {OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_FINAL, reinterpret_cast<Function>(&finalVerify)},
                                         {OSSL_FUNC_SIGNATURE_GET_CTX_PARAMS, reinterpret_cast<Function>(&get)},
                                         {OSSL_FUNC_SIGNATURE_GETTABLE_CTX_PARAMS, reinterpret_cast<Function>(&gettable)},
                                         {OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, reinterpret_cast<Function>(&set)},
                                         {OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, reinterpret_cast<Function>(&settable)},
                                         // RSA alone, and last: the other list ends before them.
                                         {rsa ? OSSL_FUNC_SIGNATURE_VERIFY_RECOVER_INIT : 0, reinterpret_cast<Function>(&init<Act::Recover>)},
                                         {rsa ? OSSL_FUNC_SIGNATURE_VERIFY_RECOVER : 0, reinterpret_cast<Function>(&recover)},
                                         {0, nullptr}};
    return list;
  }
};

}  // namespace

int capabilities(void*, const char* capability, OSSL_CALLBACK* callback, void* argument) {
  struct Asked {
    OSSL_CALLBACK* callback;
    void* argument;
  } asked{callback, argument};
  const auto ours = [](const OSSL_PARAM params[], void* to) {
    const OSSL_PARAM* const p = OSSL_PARAM_locate_const(params, OSSL_CAPABILITY_TLS_GROUP_ALG);
    const char* algorithm = nullptr;
    if (p == nullptr || OSSL_PARAM_get_utf8_string_ptr(p, &algorithm) != 1 || std::string_view(algorithm) != kEc.name) return 1;
    return static_cast<Asked*>(to)->callback(params, static_cast<Asked*>(to)->argument);
  };
  if (std::string_view(capability) != "TLS-GROUP" || softwareProvider() == nullptr) return 0;
  return OSSL_PROVIDER_get_capabilities(softwareProvider(), capability, ours, &asked);
}

const OSSL_ALGORITHM* keyAlgorithms() {
  static const OSSL_ALGORITHM list[] = {{"RSA:rsaEncryption:1.2.840.113549.1.1.1", kProperties, KeyTable<kRsa>::functions(), nullptr},
                                        {"EC:id-ecPublicKey:1.2.840.10045.2.1", kProperties, KeyTable<kEc>::functions(), nullptr},
                                        {nullptr, nullptr, nullptr, nullptr}};
  return list;
}

const OSSL_ALGORITHM* signatureAlgorithms() {
  static const OSSL_ALGORITHM list[] = {{"RSA:rsaEncryption:1.2.840.113549.1.1.1", kProperties, SignatureTable<true>::functions(), nullptr},
                                        {"ECDSA", kProperties, SignatureTable<false>::functions(), nullptr},
                                        {nullptr, nullptr, nullptr, nullptr}};
  return list;
}

}  // namespace socrypt::provider
