// Figures 3 to 6 of "Cryptography as an Operating System Service": RSA and DSA, signatures and verifications a second.
// What the paper blames for the 5820's 100 signatures where 800 were claimed is measured one by one: an exponentiation
// without the Chinese remainder theorem, and one thread that is blocked.
#include <cstdio>
#include <functional>

#include "bench.hpp"
#include "key_material.hpp"
#include "ocf/drivers/key.hpp"
#include "requester.hpp"

namespace papers {
namespace {

using namespace socrypt::ocf;

using Make = std::function<std::unique_ptr<KeyRequest>(Session*)>;

struct Rates {
  double inlined, blocked, many;
};

/// Bare sessions of key operations have no key.
SessionHandle openBare(Framework& framework, AlgId id) {
  const Alg alg = algOf(id);
  Status status = Status::Ok;
  SessionHandle session = framework.open({.chain = {&alg, 1}}, &status);
  if (session == nullptr) fail("no session for " + std::string(factsOf(id).name));
  return session;
}

double oneByOne(std::unique_ptr<Driver> driver, AlgId alg, const Make& make, double seconds) {
  Requester requester(std::move(driver));
  const SessionHandle session = openBare(requester.framework(), alg);
  const std::unique_ptr<KeyRequest> request = make(session.get());
  requester.run(*request->again());
  const double start = secondsNow();
  size_t n = 0;
  for (; secondsNow() - start < seconds; ++n) requester.run(*request->again());
  return static_cast<double>(n) / (secondsNow() - start);
}

double inFlight(AlgId alg, const Make& make, double seconds) {
  Framework framework;
  attach(framework, makeKeyDriver());
  const SessionHandle session = openBare(framework, alg);
  constexpr size_t kMany = 64;
  std::vector<std::unique_ptr<KeyRequest>> requests;
  for (size_t i = 0; i < kMany; ++i) {
    requests.push_back(make(session.get()));
    Op* op = requests.back()->again();
    op->opaque = requests.back().get();
    if (framework.dispatch(&op, 1) != 1) fail("the framework takes no more");
  }
  const double start = secondsNow();
  double passed = 0;
  size_t n = 0;
  bool over = false;
  while (framework.pending() != 0) {
    Op* done[kMany];
    const size_t got = framework.poll(done, kMany);
    // A look at the clock now and then, no processor taken from those who work.
    if (got == 0) {
      const timespec little{0, 100'000};
      nanosleep(&little, nullptr);
    }
    for (size_t i = 0; i < got; ++i) {
      if (done[i]->status != Status::Ok) fail("a key operation failed: " + std::string(statusName(done[i]->status)));
      if (over) continue;
      ++n;
      Op* op = static_cast<KeyRequest*>(done[i]->opaque)->again();
      if (framework.dispatch(&op, 1) != 1) fail("the framework takes no more");
    }
    if (!over && secondsNow() - start >= seconds) {
      passed = secondsNow() - start;
      over = true;
    }
  }
  return static_cast<double>(n) / passed;
}

void measure(const char* operation, unsigned bits, AlgId alg, const Make& make, double seconds) {
  const Rates rates{oneByOne(makeInlineKeyDriver(), alg, make, seconds), oneByOne(makeKeyDriver(), alg, make, seconds),
                    inFlight(alg, make, seconds)};
  std::printf("{\"operation\":\"%s\",\"bits\":%u,\"inline\":%.6g,\"blocked\":%.6g,\"many\":%.6g}\n", operation, bits, rates.inlined,
              rates.blocked, rates.many);
  std::fflush(stdout);
}

void rsa(unsigned bits, double seconds) {
  const RsaKey key = makeRsa(bits);
  Integer message(key.n.size());
  for (size_t i = 1; i < message.size(); ++i) message[i] = static_cast<uint8_t>(i * 17);
  const size_t room = key.n.size();
  const Make crt = [&](Session* session) {
    return std::make_unique<KeyRequest>(session, Kind::ModExpCrt, std::vector<Integer>{message, key.p, key.q, key.dp, key.dq, key.qInverse},
                                        std::vector<size_t>{room});
  };
  const Make plain = [&](Session* session) {
    return std::make_unique<KeyRequest>(session, Kind::ModExp, std::vector<Integer>{message, key.d, key.n}, std::vector<size_t>{room});
  };
  // A signature that is none would be as fast.
  Framework framework;
  attach(framework, makeInlineKeyDriver());
  const SessionHandle modExp = openBare(framework, AlgId::ModExp), modExpCrt = openBare(framework, AlgId::ModExpCrt);
  const auto signedBy = [&](const Make& make, const SessionHandle& session) {
    const std::unique_ptr<KeyRequest> request = make(session.get());
    if (framework.call(*request->again()) != Status::Ok) fail("no signature");
    return request->output(0);
  };
  const Integer signature = signedBy(crt, modExpCrt);
  if (signedBy(plain, modExp) != signature) fail("two ways of signing, two signatures");
  const Make verify = [&](Session* session) {
    return std::make_unique<KeyRequest>(session, Kind::ModExp, std::vector<Integer>{signature, key.e, key.n}, std::vector<size_t>{room});
  };
  if (signedBy(verify, modExp) != message) fail("the signature is not that of the message");
  measure("rsa-sign", bits, AlgId::ModExpCrt, crt, seconds);
  measure("rsa-sign-without-crt", bits, AlgId::ModExp, plain, seconds);
  measure("rsa-verify", bits, AlgId::ModExp, verify, seconds);
}

void dsa(unsigned bits, double seconds) {
  const DsaKey key = makeDsa(bits);
  if (key.p.empty()) return;
  const Integer digest(20, 0x5a);
  const Make sign = [&](Session* session) {
    return std::make_unique<KeyRequest>(session, Kind::Sign, std::vector<Integer>{digest, key.p, key.q, key.g, key.x},
                                        std::vector<size_t>{key.q.size(), key.q.size()});
  };
  Framework framework;
  attach(framework, makeInlineKeyDriver());
  const SessionHandle session = openBare(framework, AlgId::Dsa);
  const std::unique_ptr<KeyRequest> once = sign(session.get());
  if (framework.call(*once->again()) != Status::Ok) fail("no DSA signature");
  const Integer r = once->output(0), s = once->output(1);
  const Make verify = [&](Session* of) {
    return std::make_unique<KeyRequest>(of, Kind::VerifySig, std::vector<Integer>{digest, key.p, key.q, key.g, key.y, r, s},
                                        std::vector<size_t>{});
  };
  if (framework.call(*verify(session.get())->again()) != Status::Ok) fail("the DSA signature is not that of the digest");
  measure("dsa-sign", bits, AlgId::Dsa, sign, seconds);
  measure("dsa-verify", bits, AlgId::Dsa, verify, seconds);
}

}  // namespace

void keys(Arguments& arguments) {
  const std::vector<uint32_t> rsaBits = arguments.list(), dsaBits = arguments.list();
  const double seconds = arguments.number() / 1000;
  arguments.end();
  for (const uint32_t bits : rsaBits) rsa(bits, seconds);
  for (const uint32_t bits : dsaBits) dsa(bits, seconds);
}

}  // namespace papers
