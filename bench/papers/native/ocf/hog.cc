// Figure 7 of "Cryptography as an Operating System Service": how long a program that only computes takes while threads
// beside it, on the same processor, have data encrypted or signed.
#include <atomic>
#include <cstdio>
#include <thread>

#include "bench.hpp"
#include "key_material.hpp"
#include "ocf/drivers/key.hpp"
#include "ocf/drivers/null.hpp"
#include "ocf/drivers/soft.hpp"
#include "ocf/drivers/thread.hpp"
#include "requester.hpp"

namespace papers {
namespace {

using namespace socrypt::ocf;

// "each function call performing an integer-multiply operation"
[[gnu::noinline]] uint32_t multiplied(uint32_t a, uint32_t b) {
  asm volatile("");
  return a * b;
}

struct Load {
  bool dsa;
  enum class Where { Software, Card, OtherProcessor } where;
  ModelCard card;  // one thread's share of it
};

void request(const Load& load, const DsaKey& key, const std::shared_ptr<KeyPool>& pool, const std::atomic<bool>& over,
             std::atomic<uint64_t>& requests) {
  pin(0);
  constexpr uint32_t kBytes = 8192;
  std::unique_ptr<Driver> driver;
  if (load.dsa) driver = load.where == Load::Where::Software ? makeInlineKeyDriver() : makeKeyDriver({.pool = pool});
  else if (load.where == Load::Where::Software) driver = makeSoftDriver();
  else if (load.where == Load::Where::OtherProcessor) driver = makeThreadDriver(makeSoftDriver(), {.cpu = 1});
  // Data comes back as it is: a card computes its answers itself.
  else driver = makeModelDriver(load.card, steadyClock(), nullptr, nullptr, makeNullDriver());
  Requester requester(std::move(driver));
  if (load.dsa) {
    const Alg alg = algOf(AlgId::Dsa);
    Status status = Status::Ok;
    const SessionHandle session = requester.framework().open({.chain = {&alg, 1}}, &status);
    KeyRequest sign(session.get(), Kind::Sign, {Integer(20, 0x5a), key.p, key.q, key.g, key.x}, {key.q.size(), key.q.size()});
    while (!over) {
      requester.run(*sign.again());
      ++requests;
    }
    return;
  }
  const bool card = load.where == Load::Where::Card;
  const SessionHandle session = open(requester.framework(), {card ? AlgId::Null : AlgId::TripleDesCbc});
  Request crypt(session.get(), card ? Kind::Null : Kind::Cipher, kBytes);
  while (!over) {
    requester.run(crypt.op);
    ++requests;
  }
}

}  // namespace

void hog(Arguments& arguments) {
  const std::string name = arguments.word();
  Load load{.dsa = name.starts_with("dsa-"), .where = Load::Where::Software, .card = {}};
  if (name.ends_with("-card")) load.where = Load::Where::Card;
  else if (name.ends_with("-processor")) load.where = Load::Where::OtherProcessor;
  else if (!name.ends_with("-software")) fail("expected 3des-software, 3des-card, 3des-processor, dsa-software or dsa-processor");
  if (load.where == Load::Where::Card) load.card = readCard(arguments.word());
  const std::vector<uint32_t> threads = arguments.list();
  const auto calls = static_cast<uint64_t>(arguments.number());
  arguments.end();
  const DsaKey key = load.dsa ? makeDsa(1024) : DsaKey{};
  if (load.dsa && key.p.empty()) fail("libcrypto makes no DSA key");
  // Its threads work where they are made.
  pin(1);
  const std::shared_ptr<KeyPool> pool = load.dsa && load.where == Load::Where::OtherProcessor ? KeyPool::make(1) : nullptr;
  pin(0);
  const ModelCard whole = load.card;
  for (const uint32_t n : threads) {
    std::atomic<bool> over = false;
    std::atomic<uint64_t> requests = 0;
    // Each thread has a card that is n times as slow: together they have one.
    load.card.algorithms = {"null"};
    load.card.cost.opNs = whole.cost.opNs * static_cast<float>(n);
    load.card.cost.byteNs = whole.cost.byteNs * static_cast<float>(n);
    std::vector<std::thread> all;
    for (uint32_t i = 0; i < n; ++i) all.emplace_back([&] { request(load, key, pool, over, requests); });
    // Until every thread is at work: attaching a driver examines it.
    const double deadline = secondsNow() + 60;
    while (requests < 2 * n && secondsNow() < deadline) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const uint64_t before = requests;
    const double start = secondsNow();
    uint32_t value = 1;
    for (uint64_t i = 0; i < calls; ++i) value = multiplied(value, 3);
    const double took = secondsNow() - start;
    const uint64_t made = requests - before;
    over = true;
    for (std::thread& one : all) one.join();
    std::printf("{\"threads\":%u,\"seconds\":%.6f,\"requests\":%.6g,\"value\":%u}\n", n, took, static_cast<double>(made) / took, value);
    std::fflush(stdout);
  }
}

}  // namespace papers
