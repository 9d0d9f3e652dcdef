// Figure 2 of "Cryptography as an Operating System Service", for what this machine has: one process that encrypts and
// decrypts the same bytes again and again, one request after the other, in real time.
//   inline-*    the framework called in this process
//   cryptod-*   through the daemon, which is another thread behind a socket: what the paper's system call and crypto
//               thread are here
//   thread-*    a processor set aside
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <functional>

#include "bench.hpp"
#include "cryptod/client.hpp"
#include "cryptod/server.hpp"
#include "ocf/drivers/null.hpp"
#include "ocf/drivers/soft.hpp"
#include "ocf/drivers/thread.hpp"

namespace papers {
namespace {

using namespace socrypt::ocf;
namespace cryptod = socrypt::cryptod;

/// Rounds of `milliseconds` in all; the best of ten, since what is above it is somebody else's time.
double callsPerSecond(double milliseconds, const std::function<void()>& twice) {
  double best = 0;
  for (int round = 0; round < 10; ++round) {
    const double start = secondsNow();
    double passed = 0;
    size_t calls = 0;
    do {
      for (int i = 0; i < 4; ++i) twice();
      calls += 8;
      passed = secondsNow() - start;
    } while (passed < milliseconds / 1e4);
    best = std::max(best, static_cast<double>(calls) / passed);
  }
  return best;
}

AlgId algorithmOf(const std::string& name) {
  AlgId id{};
  if (!algByName(name, id)) fail("no algorithm " + name);
  return id;
}
Kind forward(AlgId alg) {
  switch (factsOf(alg).family) {
    case Family::Null: return Kind::Null;
    case Family::Aead: return Kind::Seal;
    default: return Kind::Cipher;
  }
}
Kind back(AlgId alg) {
  switch (factsOf(alg).family) {
    case Family::Null: return Kind::Null;
    case Family::Aead: return Kind::Open;
    default: return Kind::Decipher;
  }
}

std::unique_ptr<Driver> driverFor(AlgId alg) { return alg == AlgId::Null ? makeNullDriver() : makeSoftDriver(); }

class InProcess {
 public:
  InProcess(AlgId alg, bool thread) : alg_(alg) {
    pin(0);
    attach(framework_, thread ? makeThreadDriver(driverFor(alg), {.cpu = 1}) : driverFor(alg));
    session_ = open(framework_, {alg});
  }
  double run(uint32_t length, double milliseconds) {
    Request request(session_.get(), forward(alg_), length);
    // Nothing to compute, but the data is moved: into other memory.
    std::vector<uint8_t> other(alg_ == AlgId::Null ? request.memory.size() : 0);
    Seg elsewhere{other.data(), static_cast<uint32_t>(other.size())};
    if (alg_ == AlgId::Null) request.op.out = &elsewhere;
    return callsPerSecond(milliseconds, [&] {
      request.op.kind = forward(alg_);
      if (framework_.call(request.op) != Status::Ok) fail("encrypting failed");
      request.op.kind = back(alg_);
      if (framework_.call(request.op) != Status::Ok) fail("decrypting failed");
    });
  }

 private:
  AlgId alg_;
  Framework framework_;
  SessionHandle session_;
};

class OtherSide {
 public:
  explicit OtherSide(AlgId alg) : alg_(alg) {
    const std::string path = "/tmp/bench-papers-" + std::to_string(getpid()) + ".sock";
    cryptod::ServerOptions options;
    options.path = path;
    options.allowSoftware = true;
    options.attach = [alg](Framework& framework, std::string& why) {
      Status status = Status::Ok;
      if (framework.attach(driverFor(alg), &status) != 0) return true;
      why = statusName(status);
      return false;
    };
    server_ = std::make_unique<cryptod::Server>(options);
    std::string why;
    // Both on one processor, which switches between them as the paper's did: where the scheduler puts them would decide
    // the result otherwise.
    pin(0);
    if (!server_->start(why)) fail(why);
    cryptod::Client::Options wanted;
    wanted.path = path;
    client_ = cryptod::Client::connect(wanted, why);
    if (client_ == nullptr) fail(why);
    cryptod::OpenRequest request;
    request.count = 1;
    for (size_t i = 0; i < sizeof key_; ++i) key_[i] = static_cast<uint8_t>(i * 7 + 1);
    request.chain[0] = {static_cast<uint16_t>(alg), factsOf(alg).ivBytes, factsOf(alg).tagBytes, std::span(key_).first(keyLength(alg))};
    cryptod::OpenAnswer answer{};
    if (!client_->open(request, answer) || answer.status != 0) fail("the daemon opened no session");
    session_ = answer.session;
  }
  /// The data is copied into the shared memory and out of it, as the paper's programs have it copied into the kernel.
  double run(uint32_t length, double milliseconds) {
    std::vector<uint8_t> data(length, 7);
    cryptod::OpRecord op{};
    op.session = session_;
    op.ivLength = factsOf(alg_).ivBytes;
    op.length = length;
    op.mac = length;
    const auto one = [&](Kind kind) {
      std::memcpy(client_->arena().data(), data.data(), length);
      op.kind = static_cast<uint8_t>(kind);
      cryptod::DoneRecord done{};
      if (!client_->run(op, done) || done.status != 0) fail("the daemon did not do it");
      std::memcpy(data.data(), client_->arena().data(), length);
    };
    return callsPerSecond(milliseconds, [&] {
      one(forward(alg_));
      one(back(alg_));
    });
  }

 private:
  AlgId alg_;
  uint8_t key_[64] = {};
  std::unique_ptr<cryptod::Server> server_;
  std::unique_ptr<cryptod::Client> client_;
  uint32_t session_ = 0;
};

}  // namespace

void throughput(Arguments& arguments) {
  const std::string name = arguments.word();
  const std::vector<uint32_t> sizes = arguments.list();
  const double milliseconds = arguments.number();
  arguments.end();
  const size_t dash = name.find('-');
  const std::string where = name.substr(0, dash);
  const AlgId alg = algorithmOf(name.substr(dash == std::string::npos ? name.size() : dash + 1));
  const auto all = [&](auto&& of) {
    for (const uint32_t length : sizes)
      std::printf("{\"bytes\":%u,\"megabits\":%.6g}\n", length, of.run(length, milliseconds) * length * 8 / 1e6);
  };
  if (where == "inline") all(InProcess(alg, false));
  else if (where == "thread") all(InProcess(alg, true));
  else if (where == "cryptod") all(OtherSide(alg));
  else fail("expected inline-ALGORITHM, thread-ALGORITHM or cryptod-ALGORITHM, received " + name);
}

}  // namespace papers
