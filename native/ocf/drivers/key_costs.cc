#include "ocf/drivers/key_costs.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>

#include "ocf/drivers/key_pool.hpp"
#include "ocf/drivers/key_session.hpp"
#include "ocf/key_known_answers.hpp"

namespace socrypt::ocf {
namespace {

using Clock = std::chrono::steady_clock;

float since(Clock::time_point start) noexcept { return std::chrono::duration<float, std::nano>(Clock::now() - start).count(); }

// The best of a few runs: anything above it is somebody else's time.
template <typename Work>
float bestOf(int runs, Work&& work) noexcept {
  float best = 0;
  for (int i = 0; i < runs; ++i) {
    const auto start = Clock::now();
    work();
    const float took = since(start);
    if (i == 0 || took < best) best = took;
  }
  return best;
}

// Of an ephemeral key as well: two multiplications, where a key that is given takes one.
float measure(const KeyKnownAnswer& known, std::span<const uint8_t> key, uint16_t nOut) noexcept {
  try {
    KeySession session(1);
    Alg alg;
    alg.id = known.alg;
    alg.key = key;
    if (session.open(alg) != Status::Ok) return 0;
    std::array<Seg, 7> in{};
    for (size_t i = 0; i < known.nIn(); ++i) in[i] = {const_cast<uint8_t*>(known.in[i].data()), static_cast<uint32_t>(known.in[i].size())};
    std::array<std::array<uint8_t, kKeyAnswerRoom>, 2> room{};
    bool good = true;
    const float best = bestOf(5, [&] {
      std::array<Seg, 2> out{Seg{room[0].data(), kKeyAnswerRoom}, Seg{room[1].data(), kKeyAnswerRoom}};
      Op op{};
      op.kind = known.kind;
      op.scheme = known.scheme;
      op.nIn = known.nIn();
      op.nOut = nOut;
      op.in = in.data();
      op.out = out.data();
      good = good && session.run(op, 0) == Status::Ok;
    });
    wipe(room.data(), sizeof room);
    return good ? best : 0;
  } catch (const std::bad_alloc&) {
    return 0;
  }
}

// Of PrivateKeyInfo and SubjectPublicKeyInfo alike the modulus is what makes them long: nine numbers of half its
// length besides in the first.
float rsaBits(std::span<const uint8_t> key, bool isPrivate) noexcept {
  const auto bytes = static_cast<float>(key.size());
  return isPrivate ? (bytes - 62) * 8 / 4.5F : (bytes - 38) * 8;
}

}  // namespace

float keyOpNs(const Alg& alg) noexcept {
  // By algorithm, and whether the key is one that signs (or, of a group, is given).
  static std::mutex mutex;
  static std::map<std::pair<AlgId, bool>, float> measured;
  const bool takesKey = alg.id == AlgId::X25519 || alg.id == AlgId::EcdhP256 || alg.id == AlgId::EcdhP384;
  const bool first = takesKey ? !alg.key.empty() : alg.key.empty() || KeySession::isPrivate(alg.key);
  const KeyKnownAnswer* known = nullptr;
  for (const KeyKnownAnswer& one : keyKnownAnswers())
    if (one.alg == alg.id && one.status == Status::Ok && (takesKey || (one.kind != Kind::VerifySig) == first) && known == nullptr) known = &one;
  if (known == nullptr) return 0;
  try {
    const std::lock_guard lock(mutex);
    const auto [at, isNew] = measured.try_emplace({alg.id, first}, 0.0F);
    if (isNew) at->second = takesKey && !first ? measure(*known, {}, 2) : measure(*known, known->key, known->nOut);
    if (alg.id != AlgId::Rsa) return at->second;
    // Multiplication is quadratic in the length, and a private exponent as long as the modulus.
    const float ratio = rsaBits(alg.key, first) / rsaBits(known->key, first);
    return at->second * (first ? ratio * ratio * ratio : ratio * ratio);
  } catch (const std::bad_alloc&) {
    return 0;
  }
}

float keyHopNs() noexcept {
  static const float hop = [] {
    struct Hop final : KeyPool::Owner {
      std::mutex mutex;
      std::condition_variable wake;
      bool done = false;
      void run(size_t, unsigned) noexcept override {
        {
          const std::lock_guard lock(mutex);
          done = true;
        }
        wake.notify_one();
      }
    } owner;
    const std::shared_ptr<KeyPool> pool = KeyPool::shared();
    if (pool == nullptr) return 0.0F;
    KeyPool::Job job{.owner = &owner};
    KeyPool::Job* jobs[] = {&job};
    const float best = bestOf(8, [&] {
      owner.done = false;
      pool->add(jobs, 1);
      std::unique_lock lock(owner.mutex);
      owner.wake.wait(lock, [&] { return owner.done; });
    });
    pool->awaitIdle(owner);
    return best;
  }();
  return hop;
}

}  // namespace socrypt::ocf
