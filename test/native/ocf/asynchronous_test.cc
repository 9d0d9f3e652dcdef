// Asynchronous drivers: what is dispatched completes once, in the right way, whatever becomes of the driver.
#include <doctest/doctest.h>
#include <openssl/evp.h>
#include <poll.h>

#include <cstring>
#include <memory>
#include <vector>

#include "ocf/drivers/soft.hpp"
#include "ocf/drivers/thread.hpp"
#include "ocf/ocf.hpp"

using namespace socrypt::ocf;

namespace {

constexpr uint8_t kKey[32] = {7, 7, 7, 1, 2, 3};

SessionHandle openGcm(Framework& framework, SessionParams::Where where = SessionParams::Where::Any, bool ordered = false) {
  const Alg alg = algOf(AlgId::Aes128Gcm, std::span(kKey).first(16));
  Status status = Status::Ok;
  SessionHandle session = framework.open({.chain = {&alg, 1}, .where = where, .ordered = ordered}, &status);
  REQUIRE(status == Status::Ok);
  return session;
}

// One op with memory of its own; out of place.
struct Job {
  std::vector<uint8_t> in, out;
  Seg from{}, to{};
  Op op{};
  int completions = 0;
  explicit Job(Session* session, uint32_t length, uint8_t number) : in(length), out(length + 16) {
    for (uint32_t i = 0; i < length; ++i) in[i] = static_cast<uint8_t>(i * 3 + number);
    from = {in.data(), length};
    to = {out.data(), length + 16};
    op.ses = session;
    op.kind = Kind::Seal;
    op.nIn = op.nOut = 1;
    op.in = &from;
    op.out = &to;
    op.iv[11] = number;
    op.len = op.tagAt = length;
    op.opaque = this;
  }
  // What libcrypto makes of the same.
  [[nodiscard]] bool right() const {
    std::vector<uint8_t> expected(in.size() + 16);
    EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
    int n = 0;
    EVP_EncryptInit_ex(context, EVP_aes_128_gcm(), nullptr, kKey, op.iv);
    EVP_EncryptUpdate(context, expected.data(), &n, in.data(), static_cast<int>(in.size()));
    EVP_EncryptFinal_ex(context, expected.data() + n, &n);
    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, expected.data() + in.size());
    EVP_CIPHER_CTX_free(context);
    return expected == out;
  }
};

std::vector<std::unique_ptr<Job>> makeJobs(Session* session, size_t n, uint32_t length) {
  std::vector<std::unique_ptr<Job>> jobs;
  for (size_t i = 0; i < n; ++i) jobs.push_back(std::make_unique<Job>(session, length, static_cast<uint8_t>(i)));
  return jobs;
}

// Dispatches all and polls until all came back; the order in which they did.
std::vector<Op*> runAll(Framework& framework, std::vector<std::unique_ptr<Job>>& jobs) {
  std::vector<Op*> list, back;
  for (auto& job : jobs) list.push_back(&job->op);
  size_t given = 0;
  const auto collect = [&](Op* op) {
    ++static_cast<Job*>(op->opaque)->completions;
    back.push_back(op);
  };
  while (back.size() < list.size()) {
    const size_t accepted = framework.dispatch(list.data() + given, list.size() - given);
    for (size_t i = given; i < given + accepted; ++i)
      if (list[i]->status != Status::Pending) collect(list[i]);
    given += accepted;
    Op* done[16];
    const size_t n = framework.poll(done, 16);
    for (size_t i = 0; i < n; ++i) collect(done[i]);
  }
  Op* none[1];
  CHECK(framework.poll(none, 1) == 0);
  CHECK(framework.pending() == 0);
  return back;
}

}  // namespace

TEST_CASE("thread driver: bursts come back once each, right") {
  Framework framework;
  Status status = Status::Ok;
  const uint32_t id = framework.attach(makeThreadDriver(makeSoftDriver(), {.queueDepth = 16}), &status);
  REQUIRE(id != 0);
  for (const bool ordered : {false, true}) {
    const SessionHandle session = openGcm(framework, SessionParams::Where::Accelerator, ordered);
    auto jobs = makeJobs(session.get(), 200, 1000);
    const auto back = runAll(framework, jobs);
    for (size_t i = 0; i < jobs.size(); ++i) {
      CHECK(jobs[i]->completions == 1);
      CHECK(jobs[i]->op.status == Status::Ok);
      CHECK(jobs[i]->right());
      if (ordered) CHECK(back[i] == &jobs[i]->op);
    }
  }
  const auto info = framework.drivers();
  REQUIRE(info.size() == 1);
  CHECK(info[0].stats.ops == 400);
  CHECK(info[0].name.starts_with("thread ("));
}

TEST_CASE("thread driver: call() waits, done() is called by poll() alone") {
  Framework framework;
  Status status = Status::Ok;
  REQUIRE(framework.attach(makeThreadDriver(makeSoftDriver()), &status) != 0);
  const SessionHandle session = openGcm(framework);
  Job one(session.get(), 100, 1), two(session.get(), 100, 2);
  two.op.done = [](Op* op) { ++static_cast<Job*>(op->opaque)->completions; };
  Op* list[] = {&two.op};
  REQUIRE(framework.dispatch(list, 1) == 1);
  CHECK(framework.call(one.op) == Status::Ok);
  CHECK(one.right());
  CHECK(two.completions == 0);
  while (two.completions == 0) CHECK(framework.poll(nullptr, 0) == 0);
  CHECK(two.completions == 1);
  CHECK(two.right());
}

TEST_CASE("the wake descriptor is readable when something is complete") {
  Framework framework;
  Status status = Status::Ok;
  REQUIRE(framework.attach(makeThreadDriver(makeSoftDriver()), &status) != 0);
  const SessionHandle session = openGcm(framework);
  const int fd = framework.wakeFd();
  REQUIRE(fd >= 0);
  Op* done[1];
  (void)framework.poll(done, 1);
  for (int i = 0; i < 100; ++i) {
    Job job(session.get(), 100, 3);
    Op* list[] = {&job.op};
    REQUIRE(framework.dispatch(list, 1) == 1);
    size_t n = 0;
    while (n == 0) {
      pollfd waiting{fd, POLLIN, 0};
      REQUIRE(poll(&waiting, 1, 10'000) == 1);
      n = framework.poll(done, 1);
    }
    CHECK(job.right());
  }
}

TEST_CASE("a driver that goes away leaves its ops to others") {
  for (const uint64_t deadline : {uint64_t{0}, uint64_t{1'000'000'000}}) {
    Framework framework;
    Status status = Status::Ok;
    const uint32_t id = framework.attach(makeThreadDriver(makeSoftDriver()), &status);
    REQUIRE(framework.attach(makeSoftDriver(SoftBackend::Libcrypto), &status) != 0);
    Policy policy;
    policy.smallMax = 0;  // software is the last resort
    framework.setPolicy(policy);
    const SessionHandle session = openGcm(framework, SessionParams::Where::Any, true);
    auto jobs = makeJobs(session.get(), 100, 16000);
    std::vector<Op*> list;
    for (auto& job : jobs) list.push_back(&job->op);
    REQUIRE(framework.dispatch(list.data(), list.size()) == list.size());
    CHECK(jobs[0]->op.status == Status::Pending);
    const uint32_t before = session->generation();
    CHECK(framework.detach(id, deadline) != Status::NoDriver);
    CHECK(session->generation() == before + 1);
    size_t back = 0;
    while (back < list.size()) {
      Op* done[7];
      const size_t n = framework.poll(done, 7);
      for (size_t i = 0; i < n; ++i) CHECK(done[i] == list[back++]);
    }
    for (auto& job : jobs) {
      CHECK(job->op.status == Status::Ok);
      CHECK(job->right());
    }
    while (framework.drivers().size() != 1) (void)framework.poll(nullptr, 0);
    CHECK(framework.detach(id) == Status::NoDriver);
    // The session goes on, in line now.
    Job more(session.get(), 50, 9);
    Op* last[] = {&more.op};
    CHECK(framework.dispatch(last, 1) == 1);
    CHECK(more.op.status == Status::Ok);
    CHECK(more.right());
  }
}

TEST_CASE("migration as OCF has it: Again, a new id, and data as it was") {
  Framework framework;
  Status status = Status::Ok;
  const uint32_t id = framework.attach(makeSoftDriver(SoftBackend::Libcrypto), &status);
  REQUIRE(framework.attach(makeSoftDriver(SoftBackend::Libcrypto), &status) != 0);
  Policy policy;
  policy.transparent = false;
  framework.setPolicy(policy);
  const Alg alg = algOf(AlgId::Aes128Gcm, std::span(kKey).first(16));
  SessionHandle session = framework.open({.chain = {&alg, 1}}, &status);
  Job job(session.get(), 100, 1);
  CHECK(framework.call(job.op) == Status::Ok);
  const uint32_t sid = session->id();
  // Whichever of the two it was bound to.
  for (const uint32_t driver : {id, id + 1}) {
    const bool bound = framework.drivers()[driver - id].sessions != 0;
    if (!bound) continue;
    REQUIRE(framework.withdraw(driver, AlgId::Aes128Gcm) == Status::Ok);
    CHECK(framework.withdraw(driver, AlgId::Aes128Gcm) == Status::NoDriver);
    break;
  }
  std::fill(job.out.begin(), job.out.end(), uint8_t{0xaa});
  Op* list[] = {&job.op};
  CHECK(framework.dispatch(list, 1) == 1);
  CHECK(job.op.status == Status::Again);
  CHECK(session->id() != sid);
  CHECK(job.out == std::vector<uint8_t>(job.out.size(), 0xaa));
  CHECK(framework.dispatch(list, 1) == 1);
  CHECK(job.op.status == Status::Ok);
  CHECK(job.right());
}

TEST_CASE("a session that is closed with ops in flight lives until they are complete") {
  Framework framework;
  Status status = Status::Ok;
  REQUIRE(framework.attach(makeThreadDriver(makeSoftDriver()), &status) != 0);
  SessionHandle session = openGcm(framework);
  Job job(session.get(), 16000, 1);
  Op* list[] = {&job.op};
  REQUIRE(framework.dispatch(list, 1) == 1);
  Session* raw = session.get();
  session.reset();
  CHECK(framework.openSessions() == 0);
  Op* done[1];
  while (framework.poll(done, 1) == 0) {}
  CHECK(job.op.status == Status::Ok);
  CHECK(job.right());
  job.op.ses = raw;
  CHECK(framework.dispatch(list, 1) == 1);
  CHECK(job.op.status == Status::Closed);
  Framework other;
  REQUIRE(other.attach(makeSoftDriver(), &status) != 0);
  const SessionHandle foreign = openGcm(other);
  job.op.ses = foreign.get();
  CHECK(framework.dispatch(list, 1) == 1);
  CHECK(job.op.status == Status::Foreign);
}
