// What a driver does in a second, without JavaScript in between: for `socrypt ocf bench`.
#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "addon/arguments.hpp"
#include "addon/ocf_state.hpp"
#include "ocf/drivers/by_name.hpp"
#include "ocf/key_known_answers.hpp"

namespace socrypt::addon {
namespace {

using Clock = std::chrono::steady_clock;

// Ops with their memory; each is dispatched again as soon as it is complete.
struct Load {
  std::vector<std::vector<uint8_t>> memory;
  std::vector<ocf::Seg> in, out;
  std::vector<ocf::Op> ops;

  void data(ocf::Session* session, ocf::AlgId alg, ocf::AlgId mac, uint32_t bytes, uint32_t count) {
    const ocf::Family family = ocf::factsOf(alg).family;
    const bool chain = mac != ocf::AlgId::Null;
    memory.assign(count, std::vector<uint8_t>(bytes + 64));
    ops.resize(count);
    for (uint32_t i = 0; i < count; ++i) {
      in.push_back({memory[i].data(), bytes + session->tagLength()});
    }
    for (uint32_t i = 0; i < count; ++i) {
      ocf::Op& op = ops[i];
      op.ses = session;
      op.kind = family == ocf::Family::Aead || chain     ? ocf::Kind::Seal
                : family == ocf::Family::Cipher          ? ocf::Kind::Cipher
                : family == ocf::Family::Mac             ? ocf::Kind::Mac
                                                         : ocf::Kind::Null;
      op.nIn = op.nOut = 1;
      op.in = op.out = &in[i];
      op.len = op.tagAt = bytes;
    }
  }
  void key(ocf::Session* session, const ocf::KeyKnownAnswer& known, uint32_t count) {
    const uint16_t inputs = known.nIn(), outputs = known.nOut;
    memory.assign(size_t{count} * outputs, std::vector<uint8_t>(ocf::kKeyAnswerRoom));
    for (size_t i = 0; i < inputs; ++i)
      in.push_back({const_cast<uint8_t*>(known.in[i].data()), static_cast<uint32_t>(known.in[i].size())});
    for (auto& room : memory) out.push_back({room.data(), ocf::kKeyAnswerRoom});
    ops.resize(count);
    for (uint32_t i = 0; i < count; ++i) {
      ocf::Op& op = ops[i];
      op.ses = session;
      op.kind = known.kind;
      op.scheme = known.scheme;
      op.nIn = inputs;
      op.nOut = outputs;
      op.in = in.data();
      op.out = out.data() + size_t{i} * outputs;
    }
  }
  // Results say how long they were; the next op has all of its room again.
  void rewind(ocf::Op& op) const {
    for (uint16_t i = 0; i < op.nOut && ocf::isKeyKind(op.kind); ++i) op.out[i].n = ocf::kKeyAnswerRoom;
  }
};

const ocf::KeyKnownAnswer* knownOf(ocf::AlgId alg) {
  for (const auto& known : ocf::keyKnownAnswers())
    if (known.alg == alg && known.status == ocf::Status::Ok) return &known;
  return nullptr;
}

// Ops done in `forNs`, and the nanoseconds that it took; {0, 0} when an op failed.
std::pair<uint64_t, double> run(ocf::Framework& framework, Load& load, double forNs) {
  std::vector<ocf::Op*> idle;
  for (ocf::Op& op : load.ops) idle.push_back(&op);
  std::vector<ocf::Op*> done(load.ops.size());
  uint64_t ops = 0;
  size_t pending = 0;
  const auto start = Clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double, std::nano>(Clock::now() - start).count(); };
  double took = 0;
  bool good = true;
  while (good && ((took = elapsed()) < forNs || pending > 0)) {
    if (took < forNs && !idle.empty()) {
      for (ocf::Op* op : idle) load.rewind(*op);
      const size_t accepted = framework.dispatch(idle.data(), idle.size());
      std::vector<ocf::Op*> left(idle.begin() + static_cast<std::ptrdiff_t>(accepted), idle.end());
      for (size_t i = 0; i < accepted; ++i) {
        if (idle[i]->status == ocf::Status::Pending) {
          ++pending;
          continue;
        }
        good = good && idle[i]->status == ocf::Status::Ok;
        ++ops;
        left.push_back(idle[i]);
      }
      idle = std::move(left);
    }
    if (pending == 0) continue;
    const size_t n = framework.poll(done.data(), done.size());
    for (size_t i = 0; i < n; ++i) {
      good = good && done[i]->status == ocf::Status::Ok;
      idle.push_back(done[i]);
    }
    ops += n;
    pending -= n;
  }
  while (pending > 0) pending -= framework.poll(done.data(), done.size());
  return good ? std::pair{ops, took} : std::pair{uint64_t{0}, 0.0};
}

// measure(driver, algorithm, mac, bytes, burst, milliseconds): [ops, ns]; or why not. Key operations have no bytes.
Napi::Value measure(const Napi::CallbackInfo& info) {
  Arguments arguments(info, "measure");
  const std::string name = arguments.text(0, "driver");
  const auto alg = static_cast<ocf::AlgId>(arguments.integer(1, "algorithm", 0, UINT16_MAX));
  const auto mac = static_cast<ocf::AlgId>(arguments.integer(2, "mac", 0, UINT16_MAX));
  const auto bytes = static_cast<uint32_t>(arguments.integer(3, "bytes", 0, 1 << 24));
  const auto burst = static_cast<uint32_t>(arguments.integer(4, "burst", 1, 256));
  const uint64_t milliseconds = arguments.integer(5, "milliseconds", 1, 60'000);
  if (!arguments.good()) return info.Env().Undefined();
  const auto because = [&](std::string_view why) { return Napi::String::New(info.Env(), std::string(why)); };
  ocf::Framework framework;
  std::string why;
  ocf::Status status = ocf::Status::Ok;
  std::unique_ptr<ocf::Driver> driver = ocf::makeDriverByName(name, why);
  if (driver == nullptr) return because(why);
  if (framework.attach(std::move(driver), &status) == 0) return because(ocf::statusName(status));
  const bool keys = ocf::factsOf(alg).family == ocf::Family::Key;
  const ocf::KeyKnownAnswer* known = keys ? knownOf(alg) : nullptr;
  if (keys && known == nullptr) return because("there is nothing to do for it");
  const std::vector<uint8_t> zeros(std::max<size_t>({ocf::keyLength(alg), ocf::keyLength(mac), 32}));
  const auto keyOf = [&](ocf::AlgId id) {
    const ocf::AlgFacts& facts = ocf::factsOf(id);
    return std::span(zeros).first(facts.family == ocf::Family::Mac && !facts.keyless ? 32 : facts.keyBytes);
  };
  const ocf::Alg algs[2] = {known != nullptr ? ocf::algOf(alg, known->key) : ocf::algOf(alg, keyOf(alg)), ocf::algOf(mac, keyOf(mac))};
  const ocf::SessionHandle session = framework.open({.chain = {algs, mac == ocf::AlgId::Null ? 1U : 2U}}, &status);
  if (session == nullptr) return because(ocf::statusName(status));
  Load load;
  if (known != nullptr)
    load.key(session.get(), *known, burst);
  else
    load.data(session.get(), alg, mac, bytes, burst);
  (void)run(framework, load, static_cast<double>(milliseconds) * 1e5);
  const auto [ops, ns] = run(framework, load, static_cast<double>(milliseconds) * 1e6);
  if (ops == 0) return because("an op failed");
  Napi::Array result = Napi::Array::New(info.Env(), 2);
  result.Set(0U, Napi::Number::New(info.Env(), static_cast<double>(ops)));
  result.Set(1U, Napi::Number::New(info.Env(), ns));
  return result;
}

}  // namespace

void addMeasure(Napi::Env env, Napi::Object ocf) { ocf.Set("measure", Napi::Function::New(env, measure, "measure")); }

}  // namespace socrypt::addon
