// "Improving DES Coprocessor Throughput for Short Operations": batches of short operations on the model of an IBM 4758,
// in virtual time, each answer compared with the software driver's.
//
// What an experiment of the paper changed is in the costs that it is given: of a request from the host, of an
// operation, and of a byte.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <random>

#include "bench.hpp"
#include "ocf/drivers/null.hpp"
#include "ocf/drivers/soft.hpp"

namespace papers {
namespace {

using namespace socrypt::ocf;

struct Workload {
  uint32_t length;  // 0: 8 to 80 bytes, whole blocks, uniformly
  uint32_t keys;
};

std::vector<uint32_t> lengthsOf(const Workload& load, size_t n) {
  std::mt19937_64 random(4758);
  std::vector<uint32_t> lengths(n, load.length);
  if (load.length != 0) return lengths;
  // Every length as often as any other, so that the mean is 44 bytes; in an order of chance.
  for (size_t i = 0; i < n; ++i) lengths[i] = static_cast<uint32_t>(8 + 8 * (i % 10));
  for (size_t i = n; i > 1; --i) std::swap(lengths[i - 1], lengths[random() % i]);
  return lengths;
}

struct Batch {
  std::vector<SessionHandle> sessions;
  std::vector<std::unique_ptr<Request>> requests;
  std::vector<Op*> ops;
  uint64_t bytes = 0;
  Batch(Framework& framework, const Workload& load, const std::vector<uint32_t>& lengths, AlgId alg) {
    for (uint32_t i = 0; i < load.keys; ++i) sessions.push_back(open(framework, {alg}, static_cast<uint8_t>(i)));
    for (size_t i = 0; i < lengths.size(); ++i) {
      const Kind kind = alg == AlgId::Null ? Kind::Null : i % 2 == 0 ? Kind::Cipher : Kind::Decipher;
      requests.push_back(std::make_unique<Request>(sessions[i % load.keys].get(), kind, lengths[i]));
      for (size_t j = 0; j < 8; ++j) requests[i]->op.iv[j] = static_cast<uint8_t>(i >> j);  // one of its own
      ops.push_back(&requests[i]->op);
      bytes += lengths[i];
    }
  }
};

void run(const ModelCard& described, const Workload& load, bool wrong, size_t n) {
  VirtualClock clock;
  Framework framework(clock);
  Policy policy;
  policy.queueLimit = static_cast<uint32_t>(n);
  policy.learn = false;
  framework.setPolicy(policy);
  ModelCard card = described;
  card.queueDepth = static_cast<uint32_t>(n);
  // A megabyte is more than is worth computing: its time is asked for, not its answer.
  const bool bulk = load.length > 4096;
  if (bulk) card.algorithms = {"null"};
  ModelFaults faults;
  const uint32_t driver = attach(framework, makeModelDriver(card, clock, &faults, nullptr, bulk ? makeNullDriver() : nullptr));
  // Small batches one after the other, so that every length occurs.
  const size_t all = bulk ? n : (std::max<size_t>(n, 1000) + n - 1) / n * n;
  const std::vector<uint32_t> lengths = lengthsOf(load, all);
  Batch batch(framework, load, lengths, bulk ? AlgId::Null : AlgId::TripleDesCbc);

  // The paper's seventh experiment was measured before anybody looked at what it answered.
  if (wrong) faults.wrongAnswers = UINT32_MAX;
  const uint64_t start = clock.now();
  for (size_t back = 0; back < all;) {
    if (back % n == 0 && framework.pending() == 0 && framework.dispatch(batch.ops.data() + back, n) != n)
      fail("the batch was not taken as a whole");
    Op* done[64];
    const size_t got = framework.poll(done, 64);
    for (size_t i = 0; i < got; ++i)
      if (done[i]->status != Status::Ok) fail("an operation failed: " + std::string(statusName(done[i]->status)));
    back += got;
    if (got == 0 && !clock.wait()) fail("the card has nothing to do");
  }
  const double took = static_cast<double>(clock.now() - start);

  size_t differ = 0;
  if (!bulk) {
    Framework software;
    attach(software, makeSoftDriver());
    Batch expected(software, load, lengths, AlgId::TripleDesCbc);
    for (size_t i = 0; i < all; ++i) {
      if (software.call(*expected.ops[i]) != Status::Ok) fail("the software driver failed");
      differ += std::memcmp(expected.requests[i]->memory.data(), batch.requests[i]->memory.data(), lengths[i]) != 0 ? 1 : 0;
    }
  }
  // The test that the paper's authors made afterwards; and what would have become of the card had it been attached so.
  const Status again = framework.check(driver);
  bool published = true;
  if (wrong) {
    VirtualClock other;
    Framework strict(other);
    ModelFaults same;
    same.wrongAnswers = UINT32_MAX;
    Status status = Status::Ok;
    published = strict.attach(makeModelDriver(card, other, &same), &status) != 0;
  }
  std::printf("{\"batch\":%zu,\"kilobytes\":%.6g,\"operations\":%zu,\"microsecondsPerOp\":%.6g,\"wrong\":%zu,\"knownAnswers\":%s,\"published\":%s}\n", n,
              static_cast<double>(batch.bytes) * 1e6 / took, all, took / 1e3 / static_cast<double>(all), differ,
              again == Status::Ok ? "true" : "false", published ? "true" : "false");
}

}  // namespace

void shortOperations(Arguments& arguments) {
  ModelCard card = readCard(arguments.word());
  card.cost.batchNs = static_cast<float>(arguments.number());
  card.cost.opNs = static_cast<float>(arguments.number());
  const Workload load{static_cast<uint32_t>(arguments.number()), static_cast<uint32_t>(arguments.number())};
  const bool wrong = arguments.number() != 0;
  const std::vector<uint32_t> batches = arguments.list();
  arguments.end();
  if (load.keys == 0) fail("at least one key");
  for (const uint32_t n : batches) run(card, load, wrong, n);
}

}  // namespace papers
