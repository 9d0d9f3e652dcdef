// exports.crypto.workbench: the steps of a handshake on operands that lie in memory which both sides know. Handing small
// arrays back and forth costs several times the mathematics: V8 moves each one that is given out of its heap, for
// good, and each one that is returned is an allocation that its collector has to account for.
#include <algorithm>
#include <array>
#include <initializer_list>
#include <memory>
#include <span>

#include "addon/crypto_parts.hpp"
#include "addon/registry.hpp"
#include "ocf/drivers/soft.hpp"
#include "record/suite.hpp"

namespace socrypt::addon {
namespace {

using key::Hash;

constexpr size_t kBytes = 64 * 1024;
constexpr size_t kTag = 16, kNonce = 12;
constexpr double kRefused = -1;

// One per JavaScript environment, whose thread is the only one to use it.
class Workbench {
 public:
  ~Workbench() { ocf::wipe(memory_.data(), memory_.size()); }

  [[nodiscard]] std::span<uint8_t> memory() noexcept { return memory_; }
  // Operands in a row; nullopt: they do not fit.
  template <size_t Count>
  [[nodiscard]] std::optional<std::array<std::span<uint8_t>, Count>> operands(const std::array<size_t, Count>& lengths) noexcept {
    std::array<std::span<uint8_t>, Count> out;
    size_t at = 0;
    for (size_t i = 0; i < Count; ++i) {
      if (lengths[i] > kBytes - at) return std::nullopt;
      out[i] = std::span(memory_).subspan(at, lengths[i]);
      at += lengths[i];
    }
    return out;
  }
  double write(key::View result) noexcept {
    std::copy(result.begin(), result.end(), memory_.begin());
    return static_cast<double>(result.size());
  }
  // The software driver, attached on first use; nullptr: it cannot be.
  [[nodiscard]] ocf::Framework* framework() {
    ocf::Status status = ocf::Status::Ok;
    if (!attached_) attached_ = framework_.attach(ocf::makeSoftDriver(), &status) != 0;
    return attached_ ? &framework_ : nullptr;
  }

 private:
  alignas(64) std::array<uint8_t, kBytes> memory_{};
  ocf::Framework framework_;
  bool attached_ = false;
};

// Lengths and code points, as JavaScript gives them: a step takes at most five.
struct Numbers {
  static constexpr size_t kMost = 5;
  std::array<uint32_t, kMost> at{};
  Workbench* bench = nullptr;

  [[nodiscard]] std::optional<Hash> hash() const noexcept {
    return at[0] == 256 ? std::optional(Hash::Sha256) : at[0] == 384 ? std::optional(Hash::Sha384) : std::nullopt;
  }
};

// nullopt: an operand that does not fit, or a failure of libcrypto.
using Step = std::optional<double> (*)(const Numbers&);

template <Step step>
napi_value call(napi_env env, napi_callback_info info) {
  std::array<napi_value, Numbers::kMost> values;
  size_t count = values.size();
  void* bench = nullptr;
  Numbers numbers;
  if (napi_get_cb_info(env, info, &count, values.data(), nullptr, &bench) != napi_ok) return nullptr;
  numbers.bench = static_cast<Workbench*>(bench);
  bool good = true;
  for (size_t i = 0; i < std::min(count, values.size()); ++i) good = good && napi_get_value_uint32(env, values[i], &numbers.at[i]) == napi_ok;
  const std::optional<double> result = good ? step(numbers) : std::nullopt;
  napi_value out = nullptr;
  if (!result) {
    raise(env, "ERR_SOCRYPT_CRYPTO", "workbench: expected operands that fit into its memory, and libcrypto to take them");
    return nullptr;
  }
  napi_create_double(env, *result, &out);
  return out;
}

// hash, length: [data] -> digest
std::optional<double> hash(const Numbers& n) {
  const auto which = n.hash();
  const auto in = n.bench->operands<1>({n.at[1]});
  key::Digest out;
  if (!which || !in || !key::digest(*which, (*in)[0], out)) return std::nullopt;
  return n.bench->write(out.view());
}

// hash, keyLength, dataLength: [key][data] -> mac
std::optional<double> hmac(const Numbers& n) {
  const auto which = n.hash();
  const auto in = n.bench->operands<2>({n.at[1], n.at[2]});
  key::Digest out;
  if (!which || !in || !key::hmac(*which, (*in)[0], (*in)[1], out)) return std::nullopt;
  return n.bench->write(out.view());
}

// hash, secretLength, labelLength, contextLength, length: [secret][label][context] -> HKDF-Expand-Label
std::optional<double> expandLabel(const Numbers& n) {
  const auto which = n.hash();
  const auto in = n.bench->operands<3>({n.at[1], n.at[2], n.at[3]});
  std::array<uint8_t, 255> out;
  if (!which || !in || n.at[4] > out.size()) return std::nullopt;
  const auto [secret, label, context] = *in;
  const std::string_view text(reinterpret_cast<const char*>(label.data()), label.size());
  const auto made = std::span(out).first(n.at[4]);
  if (!key::hkdfExpandLabel(*which, secret, text, context, made)) return std::nullopt;
  const double length = n.bench->write(made);
  ocf::wipe(out.data(), out.size());
  return length;
}

template <typename Make>
std::optional<double> stage(Workbench& bench, size_t length, Make&& make) {
  std::array<uint8_t, key::handshakeStageLength(Hash::Sha384, 32)> out;
  static_assert(out.size() >= key::applicationStageLength(Hash::Sha384, 32));
  const auto made = std::span(out).first(length);
  if (!make(made)) return std::nullopt;
  bench.write(made);
  ocf::wipe(out.data(), out.size());
  return static_cast<double>(length);
}

// hash, keyLength, sharedLength: [salt][transcript hash][shared secret] -> as key::handshakeStage has it
std::optional<double> handshakeStage(const Numbers& n) {
  const auto which = n.hash();
  if (!which || n.at[1] > 32) return std::nullopt;
  const auto in = n.bench->operands<3>({key::hashLength(*which), key::hashLength(*which), n.at[2]});
  if (!in) return std::nullopt;
  return stage(*n.bench, key::handshakeStageLength(*which, n.at[1]), [&](std::span<uint8_t> out) {
    return key::handshakeStage(*which, n.at[1], (*in)[0], (*in)[2], (*in)[1], out);
  });
}

// hash, keyLength: [handshake secret][transcript hash] -> as key::applicationStage has it
std::optional<double> applicationStage(const Numbers& n) {
  const auto which = n.hash();
  if (!which || n.at[1] > 32) return std::nullopt;
  const auto in = n.bench->operands<2>({key::hashLength(*which), key::hashLength(*which)});
  if (!in) return std::nullopt;
  return stage(*n.bench, key::applicationStageLength(*which, n.at[1]), [&](std::span<uint8_t> out) {
    return key::applicationStage(*which, n.at[1], (*in)[0], (*in)[1], out);
  });
}

// group, shareLength: [peer's share] -> [our share][shared secret], the length of our share; -1: the peer's is invalid
std::optional<double> keyShare(const Numbers& n) {
  const auto group = static_cast<key::Group>(n.at[0]);
  const auto in = n.bench->operands<1>({n.at[1]});
  if (!in || (group != key::Group::X25519 && group != key::Group::P256 && group != key::Group::P384)) return std::nullopt;
  key::KeyShare made;
  switch (key::keyShare(group, (*in)[0], made)) {
    case key::Agreement::InvalidShare: return kRefused;
    case key::Agreement::Failed: return std::nullopt;
    case key::Agreement::Ok: break;
  }
  const auto memory = n.bench->memory();
  std::copy_n(made.publicKey.begin(), made.publicLength, memory.begin());
  std::copy_n(made.secret.begin(), made.secretLength, memory.begin() + static_cast<ptrdiff_t>(made.publicLength));
  return static_cast<double>(made.publicLength);
}

// suite, aadLength, textLength: [key][nonce][aad][text][room for the tag], sealed and opened in place
std::optional<double> aead(const Numbers& n, ocf::Kind kind) {
  const auto facts = record::factsOf(static_cast<record::Suite>(n.at[0]));
  if (!facts.known) return std::nullopt;
  const auto in = n.bench->operands<5>({ocf::keyLength(facts.alg), kNonce, n.at[1], n.at[2], kTag});
  ocf::Framework* framework = in ? n.bench->framework() : nullptr;
  if (framework == nullptr) return std::nullopt;
  const auto [key, nonce, aad, text, tag] = *in;
  const ocf::Alg alg{.id = facts.alg, .key = key};
  ocf::Status status = ocf::Status::Ok;
  const ocf::SessionHandle session = framework->open({.chain = {&alg, 1}}, &status);
  if (session == nullptr) return std::nullopt;
  ocf::Seg segment{text.data(), static_cast<uint32_t>(text.size() + kTag)};
  ocf::Op op{};
  op.ses = session.get();
  op.kind = kind;
  op.nIn = op.nOut = 1;
  op.in = op.out = &segment;
  std::copy(nonce.begin(), nonce.end(), op.iv);
  op.aad = {aad.data(), static_cast<uint32_t>(aad.size())};
  op.len = op.tagAt = static_cast<uint32_t>(text.size());
  ocf::Op* list[] = {&op};
  if (framework->dispatch(list, 1) != 1) return std::nullopt;
  if (op.status == ocf::Status::BadTag) return kRefused;
  return op.status == ocf::Status::Ok ? std::optional(static_cast<double>(text.size())) : std::nullopt;
}
std::optional<double> seal(const Numbers& n) { return aead(n, ocf::Kind::Seal); }
std::optional<double> open(const Numbers& n) { return aead(n, ocf::Kind::Open); }

// length: [a][b] -> 1 when they are the same
std::optional<double> equal(const Numbers& n) {
  const auto in = n.bench->operands<2>({n.at[0], n.at[0]});
  if (!in) return std::nullopt;
  return ocf::equalConstantTime((*in)[0].data(), (*in)[1].data(), n.at[0]) ? 1 : 0;
}

}  // namespace

void addWorkbench(Napi::Env env, Napi::Object crypto) {
  auto bench = std::make_unique<Workbench>();
  Workbench* data = bench.get();
  Napi::Object steps = Napi::Object::New(env);
  const auto add = [&](const char* name, napi_callback function) {
    napi_value made = nullptr;
    if (napi_create_function(env, name, NAPI_AUTO_LENGTH, function, data, &made) == napi_ok) steps.Set(name, Napi::Value(env, made));
  };
  add("hash", &call<hash>);
  add("hmac", &call<hmac>);
  add("expandLabel", &call<expandLabel>);
  add("handshakeStage", &call<handshakeStage>);
  add("applicationStage", &call<applicationStage>);
  add("keyShare", &call<keyShare>);
  add("seal", &call<seal>);
  add("open", &call<open>);
  add("equal", &call<equal>);
  // The memory is the workbench's, so that no array that is detached takes it away from under a step.
  const Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(env, data->memory().data(), kBytes);
  if (!buffer.IsEmpty()) steps.Set("memory", Napi::Uint8Array::New(env, kBytes, buffer, 0));
  crypto.Set("workbench", steps);
  env.AddCleanupHook([](Workbench* ours) { delete ours; }, bench.release());
}

}  // namespace socrypt::addon
