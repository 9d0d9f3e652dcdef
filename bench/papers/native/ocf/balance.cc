// Tables I and II of "Cryptography as an Operating System Service", and the cards of its Figure 2: threads that issue
// one request after the other to simulated cards, all of it in virtual time.
//
// A request is served by the host's processor, one at a time (system call, copies, interrupt, scheduler), and then by
// the card that its session is on. The card's file has what one thread sees of one card: host and card together; the
// host's part is taken out of it. The host's time varies (exponentially, seeded), as that of a scheduler and of
// interrupts does; without that, requests of several threads would never be in each other's way.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>

#include "bench.hpp"
#include "ocf/drivers/null.hpp"

namespace papers {
namespace {

using namespace socrypt::ocf;

struct Host {
  double opNs, byteNs;
};

double megabits(const ModelCard& card, const Host& host, uint32_t cards, uint32_t threads, uint32_t length, size_t requests) {
  VirtualClock clock;
  Framework framework(clock);
  Policy policy;
  // The paper's: a session goes to the card with the fewest sessions, and stays.
  policy.balance = Policy::Balance::LeastSessions;
  policy.replicate = false;
  policy.learn = false;
  framework.setPolicy(policy);
  // The data comes back as it is: time is the clock's, and nobody waits for 3DES to be computed.
  for (uint32_t i = 0; i < cards; ++i) attach(framework, makeModelDriver(card, clock, nullptr, nullptr, makeNullDriver()));

  struct Thread {
    SessionHandle session;
    std::unique_ptr<Request> request;
    uint64_t dispatchAt = UINT64_MAX;
  };
  std::vector<Thread> all(threads);
  std::mt19937_64 random(7751);
  uint64_t hostFreeAt = clock.now();
  const auto issue = [&](Thread& thread) {
    const double uniform = (static_cast<double>(random() >> 11) + 0.5) * 0x1p-53;
    const double mean = host.opNs + host.byteNs * length;
    // One thread never meets another: its mean is all that can be seen of it.
    const double took = threads == 1 ? mean : -std::log(uniform) * mean;
    hostFreeAt = thread.dispatchAt = std::max(hostFreeAt, clock.now()) + static_cast<uint64_t>(took);
    clock.schedule(thread.dispatchAt);
  };
  for (Thread& thread : all) {
    thread.session = open(framework, {AlgId::Null});
    thread.request = std::make_unique<Request>(thread.session.get(), Kind::Null, length);
    thread.request->op.opaque = &thread;
    issue(thread);
  }
  // What is told at the end does not count the beginning, when nobody waited yet.
  const size_t warm = threads * 4;
  uint64_t start = clock.now();
  size_t complete = 0;
  while (complete < warm + requests) {
    for (Thread& thread : all) {
      if (thread.dispatchAt > clock.now()) continue;
      thread.dispatchAt = UINT64_MAX;
      Op* op = &thread.request->op;
      if (framework.dispatch(&op, 1) != 1) fail("the framework takes no more");
    }
    Op* done[64];
    const size_t n = framework.poll(done, 64);
    for (size_t i = 0; i < n; ++i) {
      if (done[i]->status != Status::Ok) fail("a request failed: " + std::string(statusName(done[i]->status)));
      if (++complete == warm) start = clock.now();
      issue(*static_cast<Thread*>(done[i]->opaque));
    }
    if (n == 0 && !clock.wait()) fail("nobody has anything to do");
  }
  const double rate = static_cast<double>(complete - warm) * length * 8e3 / static_cast<double>(clock.now() - start);
  while (framework.pending() != 0) {
    Op* done[64];
    if (framework.poll(done, 64) == 0 && !clock.wait()) break;
  }
  return rate;
}

}  // namespace

void balance(Arguments& arguments) {
  ModelCard card = readCard(arguments.word());
  const auto cards = static_cast<uint32_t>(arguments.number());
  const Host host{arguments.number(), arguments.number()};
  const std::vector<uint32_t> threads = arguments.list(), sizes = arguments.list();
  const auto requests = static_cast<size_t>(arguments.number());
  arguments.end();
  if (card.cost.opNs <= host.opNs || card.cost.byteNs <= host.byteNs) fail("the host's part is more than host and card together");
  card.algorithms = {"null"};
  card.cost.opNs -= static_cast<float>(host.opNs);
  card.cost.byteNs -= static_cast<float>(host.byteNs);
  // Not in question here: when many requests are complete, whoever polls takes all of them.
  card.coalesceOps = 1;
  for (const uint32_t n : threads)
    for (const uint32_t length : sizes)
      std::printf("{\"threads\":%u,\"bytes\":%u,\"megabits\":%.6g}\n", n, length, megabits(card, host, cards, n, length, requests));
}

}  // namespace papers
