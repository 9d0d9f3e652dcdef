// Drivers attach, withdraw, fail, refuse, lie and are pulled out, at random, with thousands of ops in
// flight: nothing is lost, answered twice, wrong, or out of order in an ordered session. The seed is
// printed; SOCRYPT_TEST_SEED repeats it, SOCRYPT_CHURN_ROUNDS makes it longer.
#include <doctest/doctest.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "ocf/drivers/model.hpp"
#include "ocf/drivers/soft.hpp"
#include "ocf/drivers/thread.hpp"
#include "ocf/ocf.hpp"
#include "only.hpp"

using namespace socrypt::ocf;

namespace {

constexpr uint8_t kKey[16] = {5, 4, 3};
constexpr uint32_t kLength = 512;

struct Task {
  std::vector<uint8_t> in, out, expected;
  Seg from{}, to{};
  Op op{};
  size_t session = 0;
  uint64_t number = 0;  // within its session
  bool busy = false, kept = false;
};

// An examination of every algorithm takes its time with each driver that comes.
std::unique_ptr<Driver> gcm() {
  return std::make_unique<Only>(makeSoftDriver(SoftBackend::Libcrypto),
                                [](const SessionParams& params) { return params.chain[0].id == AlgId::Aes128Gcm; });
}

class Churn {
 public:
  Churn(uint64_t seed, bool transparent) : random_(seed) {
    Status status = Status::Ok;
    REQUIRE(framework_.attach(gcm(), &status) != 0);
    Policy policy;
    policy.smallMax = 0;
    policy.spotEvery = 1;  // liars are found by every op
    policy.transparent = transparent;
    policy.queueLimit = 500;
    framework_.setPolicy(policy);
    const Alg alg = algOf(AlgId::Aes128Gcm, kKey);
    for (size_t i = 0; i < 8; ++i) {
      sessions_.push_back(framework_.open({.chain = {&alg, 1}, .ordered = i % 2 == 0}, &status));
      REQUIRE(status == Status::Ok);
    }
    sent_.resize(8);
    received_.resize(8);
    for (auto& task : tasks_) makeBuffers(task);
  }

  void run(int rounds) {
    for (int round = 0; round < rounds; ++round) {
      meddle();
      dispatchSome();
      pollSome();
    }
    while (framework_.pending() != 0) pollSome();
    for (size_t i = 0; i < sessions_.size(); ++i) CHECK(sent_[i] == received_[i]);
    CHECK(completed_ > 0);
  }
  uint64_t completed() const { return completed_; }

 private:
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }

  void makeBuffers(Task& task) {
    task.in.resize(kLength + 16);
    task.out.resize(kLength + 16);
    task.expected.resize(kLength + 16);
  }

  void meddle() {
    if (below(4) != 0) return;
    switch (below(7)) {
      case 0:
        if (live_.size() < 4) add(makeThreadDriver(gcm(), {.queueDepth = 64, .spinNs = 1000}), nullptr);
        break;
      case 1:
        if (live_.size() < 4) {
          auto faults = std::make_unique<ModelFaults>();
          ModelCard card;
          card.algorithms = {"aes-128-gcm"};
          card.cost = {.batchNs = 500, .opNs = 1000, .byteNs = 0.5F, .lanes = static_cast<uint16_t>(1 + below(3))};
          auto* raw = faults.get();
          add(makeModelDriver(card, steadyClock(), raw), std::move(faults));
        }
        break;
      case 2:
        if (!live_.empty()) (void)framework_.detach(live_[pick()].id, below(2) == 0 ? 0 : below(2'000'000));
        break;
      case 3:
        if (!live_.empty()) (void)framework_.withdraw(live_[pick()].id, AlgId::Aes128Gcm);
        break;
      case 4:
        if (auto* faults = someFaults(); faults != nullptr) faults->unplugged = true;
        break;
      case 5:
        if (auto* faults = someFaults(); faults != nullptr) faults->wrongAnswers = 1 + below(3);
        break;
      case 6:
        if (auto* faults = someFaults(); faults != nullptr) faults->refuseBursts = 1 + below(3);
        break;
    }
    // What the framework has let go, and what is of no more use.
    const auto infos = framework_.drivers();
    for (const auto& info : infos) {
      if (info.id == 1 || info.state == UnitState::Draining) continue;
      const bool dead = info.state == UnitState::Quarantined || info.offers[0].withdrawn;
      if (dead && below(2) == 0) (void)framework_.detach(info.id, 0);
    }
    const auto left = framework_.drivers();
    std::erase_if(live_, [&left](const Live& live) {
      return std::none_of(left.begin(), left.end(), [&live](const DriverInfo& info) { return info.id == live.id; });
    });
  }
  struct Live {
    uint32_t id;
    std::unique_ptr<ModelFaults> faults;
  };
  void add(std::unique_ptr<Driver> driver, std::unique_ptr<ModelFaults> faults) {
    Status status = Status::Ok;
    const uint32_t id = framework_.attach(std::move(driver), &status);
    CAPTURE(statusName(status));
    REQUIRE(id != 0);
    live_.push_back({id, std::move(faults)});
  }
  size_t pick() { return below(static_cast<uint32_t>(live_.size())); }
  ModelFaults* someFaults() { return live_.empty() ? nullptr : live_[pick()].faults.get(); }

  void expect(Task& task) {
    EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
    int n = 0;
    EVP_EncryptInit_ex(context, EVP_aes_128_gcm(), nullptr, kKey, task.op.iv);
    EVP_EncryptUpdate(context, task.expected.data(), &n, task.in.data(), static_cast<int>(kLength));
    EVP_EncryptFinal_ex(context, task.expected.data() + n, &n);
    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, task.expected.data() + kLength);
    EVP_CIPHER_CTX_free(context);
  }

  void dispatchSome() {
    std::vector<Op*> list;
    const uint32_t wanted = below(64);
    for (auto& task : tasks_) {
      if (list.size() == wanted) break;
      if (task.busy) continue;
      task.session = below(static_cast<uint32_t>(sessions_.size()));
      const uint64_t unique = ++unique_;
      task.op = {};
      std::memcpy(task.op.iv, &unique, sizeof unique);
      for (auto& b : task.in) b = static_cast<uint8_t>(random_());
      expect(task);
      task.from = {task.in.data(), kLength + 16};
      task.to = {task.out.data(), kLength + 16};
      task.op.ses = sessions_[task.session].get();
      task.op.kind = Kind::Seal;
      task.op.in = &task.from;
      // In place it survives a pulled card only where a copy is kept.
      task.kept = below(3) == 0;
      task.op.out = task.kept ? &task.from : &task.to;
      if (task.kept) task.op.flags = Op::Guard;
      task.op.nIn = task.op.nOut = 1;
      task.op.len = task.op.tagAt = kLength;
      task.op.opaque = &task;
      list.push_back(&task.op);
    }
    const size_t accepted = framework_.dispatch(list.data(), list.size());
    for (size_t i = 0; i < accepted; ++i) {
      Task& task = *static_cast<Task*>(list[i]->opaque);
      task.busy = true;
      task.number = sent_[task.session]++;
    }
    for (size_t i = 0; i < accepted; ++i) {
      if (list[i]->status != Status::Pending) complete(*list[i]);
    }
  }

  void pollSome() {
    Op* done[50];
    const size_t n = framework_.poll(done, 1 + below(50));
    for (size_t i = 0; i < n; ++i) complete(*done[i]);
  }

  void complete(Op& op) {
    Task& task = *static_cast<Task*>(op.opaque);
    REQUIRE(task.busy);  // answered twice otherwise
    task.busy = false;
    ++completed_;
    if (op.status == Status::Again) {
      // As OCF has it: nothing was touched. Only when asked for.
      CHECK_FALSE(framework_.policy().transparent);
    } else {
      REQUIRE(op.status == Status::Ok);
      CHECK((task.kept ? task.in : task.out) == task.expected);
    }
    if (task.session % 2 == 0) CHECK(task.number == received_[task.session]);
    ++received_[task.session];
  }

  std::mt19937_64 random_;
  std::vector<Live> live_;  // outlives the drivers, which write to their faults
  std::vector<Task> tasks_{2000};  // and so do these
  Framework framework_;
  std::vector<SessionHandle> sessions_;
  std::vector<uint64_t> sent_, received_;
  uint64_t unique_ = 0, completed_ = 0;
};

}  // namespace

TEST_CASE("churn") {
  const char* given = std::getenv("SOCRYPT_TEST_SEED");
  const uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  const char* longer = std::getenv("SOCRYPT_CHURN_ROUNDS");
  const int rounds = longer != nullptr ? std::atoi(longer) : 1500;
  for (const bool transparent : {true, false}) {
    std::printf("seed %llu: churn, %s\n", static_cast<unsigned long long>(seed), transparent ? "transparent" : "as OCF");
    Churn churn(seed, transparent);
    churn.run(rounds);
  }
}
