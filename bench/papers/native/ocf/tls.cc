// Figure 8 of "Cryptography as an Operating System Service": a file over TLS, and where the time goes. A record is read,
// sealed and sent, one after the other, as `openssl s_server` does; the handshake, which does not tell beside so many
// records, is left out.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "bench.hpp"
#include "link.hpp"
#include "ocf/drivers/null.hpp"
#include "ocf/drivers/soft.hpp"
#include "ocf/drivers/thread.hpp"
#include "requester.hpp"

namespace papers {
namespace {

using namespace socrypt::ocf;

/// Another driver, and how long it works while somebody waits for it.
class Timed final : public Driver {
 public:
  Timed(std::unique_ptr<Driver> inner, double& seconds) : inner_(std::move(inner)), seconds_(seconds) {}
  [[nodiscard]] std::string_view name() const noexcept override { return inner_->name(); }
  [[nodiscard]] const Caps& caps() const noexcept override { return inner_->caps(); }
  [[nodiscard]] int probe(const SessionParams& params, Cost& cost) const noexcept override { return inner_->probe(params, cost); }
  [[nodiscard]] size_t sessionBytes(const SessionParams& params) const noexcept override { return inner_->sessionBytes(params); }
  [[nodiscard]] Status newSession(const SessionParams& params, std::span<std::byte> priv) noexcept override {
    return inner_->newSession(params, priv);
  }
  void freeSession(std::span<std::byte> priv) noexcept override { inner_->freeSession(priv); }
  size_t submit(Op* const* ops, size_t n, bool more) noexcept override {
    const double from = secondsNow();
    const size_t taken = inner_->submit(ops, n, more);
    seconds_ += secondsNow() - from;
    return taken;
  }
  size_t poll(Op** done, size_t max, bool flush) noexcept override {
    const double from = secondsNow();
    const size_t got = inner_->poll(done, max, flush);
    seconds_ += secondsNow() - from;
    return got;
  }
  size_t random(std::span<uint8_t> out) noexcept override { return inner_->random(out); }
  size_t cancel(Op** back, size_t max) noexcept override { return inner_->cancel(back, max); }
  void stop() noexcept override { inner_->stop(); }
  // A driver tells its waker who it is: itself, where the framework knows this one.
  void attach(Waker* waker) noexcept override {
    forward_.to = waker;
    forward_.as = this;
    inner_->attach(&forward_);
  }

 private:
  struct Forward final : Waker {
    Waker* to = nullptr;
    Driver* as = nullptr;
    void ready(Driver*) noexcept override { to->ready(as); }
  } forward_;
  std::unique_ptr<Driver> inner_;
  double& seconds_;
};

}  // namespace

void tls(Arguments& arguments) {
  const std::string where = arguments.word(), suite = arguments.word();
  const bool card = where == "card";
  ModelCard described;
  if (card) described = readCard(arguments.word());
  const auto bytes = static_cast<uint64_t>(arguments.number() * 1e6);
  arguments.end();
  const Receiver receiver;
  pin(0);
  const HotFile file(bytes);

  std::unique_ptr<Driver> driver;
  if (where == "null") driver = makeNullDriver();
  else if (where == "software") driver = makeSoftDriver();
  // The paper's crypto thread: on the sender's processor, which switches between them.
  else if (where == "thread") driver = makeThreadDriver(makeSoftDriver(), {.cpu = 0, .spinNs = 0});
  else if (where == "processor") driver = makeThreadDriver(makeSoftDriver(), {.cpu = 1});
  else if (card) {
    // The data goes out as it came: this processor is not to compute what a card would.
    described.algorithms = {"null"};
    driver = makeModelDriver(described, steadyClock(), nullptr, nullptr, makeNullDriver());
  } else {
    fail("expected null, software, thread, processor or card, received " + where);
  }
  double driverSeconds = 0;
  Requester requester(std::make_unique<Timed>(std::move(driver), driverSeconds));
  SessionHandle session;
  Kind kind = Kind::Seal;
  uint32_t before = 5, tag = 16;
  if (card || where == "null") {
    session = open(requester.framework(), {AlgId::Null});
    kind = Kind::Null;
    tag = 20;
  } else if (suite == "3des") {
    // TLS_RSA_WITH_3DES_EDE_CBC_SHA and its kin, encrypt-then-MAC (RFC 7366): header, IV, ciphertext, MAC.
    session = open(requester.framework(), {AlgId::TripleDesCbc, AlgId::HmacSha1});
    before = 13;
    tag = 20;
  } else if (suite == "aes-128-gcm") {
    session = open(requester.framework(), {AlgId::Aes128Gcm});
  } else {
    fail("expected 3des or aes-128-gcm, received " + suite);
  }
  constexpr uint32_t kRecord = 16384;
  std::vector<uint8_t> memory(before + kRecord + tag + 64);
  Seg segment{memory.data(), static_cast<uint32_t>(memory.size())};
  Op op{};
  op.ses = session.get();
  op.kind = kind;
  op.in = op.out = &segment;
  op.nIn = op.nOut = 1;
  op.skip = op.outSkip = before;
  uint8_t aad[13] = {};
  if (kind == Kind::Seal) op.aad = {aad, sizeof aad};

  const int fd = receiver.connect();
  driverSeconds = 0;
  requester.forget();
  double inFramework = 0;
  const CpuTime cpuBefore = CpuTime::ofThread(), allBefore = CpuTime::ofProcess();
  const double start = secondsNow();
  uint64_t record = 0;
  for (uint64_t at = 0; at < bytes; ++record) {
    // Whole blocks: padding is nothing that is to be measured.
    const auto length = static_cast<uint32_t>(std::min<uint64_t>(kRecord, bytes - at) / 8 * 8);
    if (length == 0) break;
    file.read(at, {memory.data() + before, length});
    for (int i = 0; i < 8; ++i) aad[7 - i] = op.iv[7 - i] = static_cast<uint8_t>(record >> 8 * i);
    op.len = length;
    op.tagAt = before + length;
    const double from = secondsNow();
    requester.run(op);
    inFramework += secondsNow() - from;
    const uint32_t rest = length + tag + before - 5;
    const uint8_t header[5] = {23, 3, 3, static_cast<uint8_t>(rest >> 8), static_cast<uint8_t>(rest)};
    std::memcpy(memory.data(), header, sizeof header);
    sendAll(fd, std::span(memory).first(before + length + tag));
    at += length;
  }
  Receiver::finish(fd);
  const double seconds = secondsNow() - start;
  const CpuTime cpu = CpuTime::ofThread() - cpuBefore, all = CpuTime::ofProcess() - allBefore;
  std::printf("{\"seconds\":%.6f,\"user\":%.6f,\"system\":%.6f,\"framework\":%.6f,\"driver\":%.6f,\"waited\":%.6f,\"otherThreads\":%.6f,\"bytes\":%llu}\n", seconds, cpu.user,
              cpu.system, std::max(0.0, inFramework - driverSeconds - requester.slept()), driverSeconds, requester.slept(), std::max(0.0, all.both() - cpu.both()),
              static_cast<unsigned long long>(bytes));
}

}  // namespace papers
