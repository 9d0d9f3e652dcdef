// The daemon as its clients meet it, well-behaved and not.
#include "cryptod/server.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "cryptod/client.hpp"
#include "ocf/drivers/soft.hpp"

using namespace socrypt;
using namespace socrypt::cryptod;

namespace {

struct Daemon {
  explicit Daemon(Limits limits = {}, bool software = true, std::vector<uid_t> users = {}) {
    static int made = 0;
    path = "/tmp/socrypt-cryptod-test-" + std::to_string(getpid()) + "-" + std::to_string(++made);
    server = std::make_unique<Server>(ServerOptions{.path = path,
                                                    .mode = 0600,
                                                    .users = std::move(users),
                                                    .allowSoftware = software,
                                                    .limits = limits,
                                                    .attach = [](ocf::Framework& framework, std::string&) {
                                                      ocf::Status status = ocf::Status::Ok;
                                                      return framework.attach(ocf::makeSoftDriver(), &status) != 0;
                                                    }});
    std::string why;
    const bool started = server->start(why);
    REQUIRE_MESSAGE(started, why);
  }
  [[nodiscard]] std::unique_ptr<Client> client(size_t arena = 1u << 20) const {
    std::string why;
    return Client::connect({.path = path, .arenaBytes = arena, .timeoutMs = 5000}, why);
  }
  std::string path;
  std::unique_ptr<Server> server;
};

const std::vector<uint8_t> kKey(16, 0x42);

OpenRequest gcm() {
  OpenRequest request;
  request.count = 1;
  request.chain[0] = {.id = static_cast<uint16_t>(ocf::AlgId::Aes128Gcm), .ivLength = 12, .tagLength = 16, .key = kKey};
  return request;
}

uint32_t openGcm(Client& client) {
  OpenAnswer answer{};
  REQUIRE(client.open(gcm(), answer));
  REQUIRE(answer.status == 0);
  return answer.session;
}

OpRecord sealRecord(uint32_t session, uint32_t source, uint32_t destination, uint32_t length, uint32_t mac) {
  OpRecord op{};
  op.session = session;
  op.kind = static_cast<uint8_t>(ocf::Kind::Seal);
  op.ivLength = 12;
  op.source = source;
  op.destination = destination;
  op.length = length;
  op.mac = mac;
  return op;
}

ocf::Status run(Client& client, const OpRecord& op) {
  DoneRecord done{};
  REQUIRE(client.run(op, done));
  return static_cast<ocf::Status>(done.status);
}

// A peer that speaks for itself: what it says, and whether the daemon hangs up.
struct Raw {
  Descriptor socket;
  explicit Raw(const Daemon& daemon, int fd = -1, uint64_t announced = 0) : socket(connectAndGreet(daemon.path, fd, announced)) {}
  void say(Bytes bytes) const { (void)!send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  /// What came until the end of the connection; empty when it does not end.
  [[nodiscard]] std::string lastWords() const {
    timeval patience{5, 0};
    setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    std::string all;
    char buffer[4096];
    ssize_t n;
    while ((n = recv(socket.get(), buffer, sizeof buffer, 0)) > 0) all.append(buffer, static_cast<size_t>(n));
    return n == 0 || errno == ECONNRESET ? all + "." : "";
  }
};

}  // namespace

TEST_CASE("seals and opens in shared memory, as libcrypto does") {
  const Daemon daemon;
  const auto client = daemon.client();
  REQUIRE(client != nullptr);
  CHECK(client->limits().software);
  const uint32_t session = openGcm(*client);
  uint8_t* const arena = client->arena().data();
  for (size_t i = 0; i < 1000; ++i) arena[i] = static_cast<uint8_t>(i * 7);
  std::memcpy(arena + 8000, "head!", 5);
  OpRecord op = sealRecord(session, 0, 2000, 1000, 3000);
  op.aad = 8000;
  op.aadLength = 5;
  std::memcpy(op.iv, "unique nonce", 12);
  CHECK(run(*client, op) == ocf::Status::Ok);

  const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> oracle(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  std::vector<uint8_t> expected(1016);
  int n = 0;
  EVP_EncryptInit_ex(oracle.get(), EVP_aes_128_gcm(), nullptr, kKey.data(), op.iv);
  EVP_EncryptUpdate(oracle.get(), nullptr, &n, arena + 8000, 5);
  EVP_EncryptUpdate(oracle.get(), expected.data(), &n, arena, 1000);
  EVP_EncryptFinal_ex(oracle.get(), expected.data() + 1000, &n);
  EVP_CIPHER_CTX_ctrl(oracle.get(), EVP_CTRL_AEAD_GET_TAG, 16, expected.data() + 1000);
  CHECK(std::memcmp(arena + 2000, expected.data(), 1016) == 0);

  op.kind = static_cast<uint8_t>(ocf::Kind::Open);
  op.source = 2000;
  op.destination = 4000;
  CHECK(run(*client, op) == ocf::Status::Ok);
  CHECK(std::memcmp(arena + 4000, arena, 1000) == 0);
  arena[3000] ^= 1;
  CHECK(run(*client, op) == ocf::Status::BadTag);
  CHECK(daemon.server->counters().ops.load() == 3);
}

TEST_CASE("several ops pending, more than the daemon takes: each is answered once") {
  const Daemon daemon({.pending = 16});
  const auto client = daemon.client();
  const uint32_t session = openGcm(*client);
  std::vector<OpRecord> ops;
  for (uint32_t i = 0; i < 500; ++i) {
    ops.push_back(sealRecord(session, 0, 4096 + i * 128, 64, 4096 + i * 128 + 64));
    ops.back().cookie = i;
    ops.back().iv[0] = static_cast<uint8_t>(i);
    ops.back().iv[1] = static_cast<uint8_t>(i >> 8);
  }
  REQUIRE(client->submit(ops));
  std::vector<int> seen(500);
  std::vector<DoneRecord> done;
  for (size_t got = 0; got < 500; got += done.size()) {
    REQUIRE(client->fetch(done, true));
    for (const DoneRecord& one : done) {
      ++seen[one.cookie];
      CHECK(one.status == 0);
    }
  }
  CHECK(seen == std::vector<int>(500, 1));
}

TEST_CASE("regions that leave the arena, sessions of others, and bad ops have their own errors") {
  const Daemon daemon({.opBytes = 8192});
  const auto client = daemon.client(65536), other = daemon.client(65536);
  const uint32_t session = openGcm(*client), foreign = openGcm(*other);
  uint8_t* const arena = client->arena().data();
  std::memset(arena, 5, 65536);
  CHECK(run(*client, sealRecord(session, 65500, 0, 64, 1000)) == ocf::Status::Range);
  CHECK(run(*client, sealRecord(session, 0, 65500, 64, 1000)) == ocf::Status::Range);
  CHECK(run(*client, sealRecord(session, 0, 0, 64, 65530)) == ocf::Status::Range);
  CHECK(run(*client, sealRecord(session, 0xffffffff, 0, 64, 0xffffffff)) == ocf::Status::Range);
  CHECK(run(*client, sealRecord(session, 0, 0, 8193, 10000)) == ocf::Status::TooBig);
  CHECK(run(*client, sealRecord(session, 0, 32, 64, 1000)) == ocf::Status::Overlap);
  CHECK(run(*client, sealRecord(foreign, 0, 0, 64, 1000)) == ocf::Status::Foreign);
  OpRecord op = sealRecord(session, 0, 0, 64, 1000);
  op.kind = 200;
  CHECK(run(*client, op) == ocf::Status::UnknownAlg);
  op = sealRecord(session, 0, 0, 64, 1000);
  op.aad = 65530;
  op.aadLength = 100;
  CHECK(run(*client, op) == ocf::Status::Range);
  CHECK(client->close(session));
  CHECK(run(*client, sealRecord(session, 0, 0, 64, 1000)) == ocf::Status::Closed);
  for (size_t i = 0; i < 65536; ++i) REQUIRE(arena[i] == 5);
}

TEST_CASE("software that is not lent: EINVAL, and the connection goes on") {
  const Daemon daemon({}, false);
  const auto client = daemon.client();
  OpenAnswer answer{};
  REQUIRE(client->open(gcm(), answer));
  CHECK(static_cast<ocf::Status>(answer.status) == ocf::Status::Invalid);
  CHECK(!client->limits().software);
  std::vector<DriverRecord> list;
  std::vector<std::string> names;
  CHECK(client->drivers(list, names));
  CHECK(names.size() == 1);
}

TEST_CASE("sessions end with their connection, and are bounded") {
  const Daemon daemon({.connections = 2, .sessions = 3});
  auto client = daemon.client();
  for (int i = 0; i < 3; ++i) (void)openGcm(*client);
  OpenAnswer answer{};
  REQUIRE(client->open(gcm(), answer));
  CHECK(static_cast<ocf::Status>(answer.status) == ocf::Status::Full);
  const auto second = daemon.client();
  CHECK(second != nullptr);
  CHECK(daemon.client() == nullptr);
  CHECK(daemon.server->counters().refusedLimit.load() == 1);
  client.reset();
  std::unique_ptr<Client> third;
  for (int i = 0; i < 500 && third == nullptr; ++i) {
    third = daemon.client();
    if (third == nullptr) usleep(10'000);
  }
  REQUIRE(third != nullptr);
  for (int i = 0; i < 3; ++i) (void)openGcm(*third);
}

TEST_CASE("the arena must not shrink under the daemon") {
  const Daemon daemon;
  const auto refused = [&](int fd, uint64_t announced) {
    const Raw raw(daemon, fd, announced);
    return raw.lastWords();
  };
  const Descriptor unsealed(memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  REQUIRE(ftruncate(unsealed.get(), 65536) == 0);
  CHECK(refused(unsealed.get(), 65536).find("F_SEAL_SHRINK") != std::string::npos);
  const Descriptor file(open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file) CHECK(refused(file.get(), 4096).find("F_SEAL_SHRINK") != std::string::npos);
  const std::optional<Arena> sealed = Arena::create(65536);
  REQUIRE(sealed);
  CHECK(ftruncate(sealed->fd(), 4096) == -1);
  CHECK(refused(sealed->fd(), 65536 * 2).find("as long as") != std::string::npos);
  CHECK(refused(-1, 65536).find("descriptor") != std::string::npos);
  CHECK(refused(sealed->fd(), 1ull << 40).find("at most") != std::string::npos);
  CHECK(daemon.server->counters().protocolErrors.load() >= 4);
}

TEST_CASE("who says what nobody says is told so and cut off; others do not notice") {
  const Daemon daemon;
  const auto good = daemon.client();
  const uint32_t session = openGcm(*good);
  struct Case {
    const char* what;
    std::vector<uint8_t> bytes;
  };
  Writer strange, twice, malformed, counted;
  strange.begin(static_cast<Type>(77), 1);
  strange.end();
  write(twice, 1, Hello{.version = 1, .arenaBytes = 0});
  malformed.begin(Type::Open, 1);
  malformed.u32(0xffffffff);
  malformed.end();
  counted.begin(Type::Submit, 1);
  counted.op(OpRecord{});
  counted.end(9);
  const auto of = [](const Writer& w) { return std::vector<uint8_t>(w.view().begin(), w.view().end()); };
  for (const Case& each : {Case{"length", {0xff, 0xff, 0xff, 0x7f, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}}, Case{"short", {1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
                           Case{"type", of(strange)}, Case{"hello", of(twice)}, Case{"open", of(malformed)}, Case{"count", of(counted)}}) {
    CAPTURE(each.what);
    const Raw raw(daemon);
    raw.say(each.bytes);
    CHECK(raw.lastWords() != "");
  }
  CHECK(run(*good, sealRecord(session, 0, 0, 64, 1000)) == ocf::Status::Ok);
}

TEST_CASE("a peer that never reads is not read, and costs no more than its bound") {
  const Daemon daemon({.pending = 64});
  const std::optional<Arena> arena = Arena::create(65536);
  const Raw raw(daemon, arena->fd(), 65536);
  Writer flood;
  for (int i = 0; i < 200; ++i) writeDrivers(flood, 1);
  size_t sent = 0;
  for (int i = 0; i < 2000; ++i) {
    const ssize_t n = send(raw.socket.get(), flood.view().data(), flood.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
      if (errno != EAGAIN) break;
      usleep(500);
      if (i > 1000) break;
      continue;
    }
    sent += static_cast<size_t>(n);
    if (static_cast<size_t>(n) != flood.size()) break;  // a cut frame: enough
  }
  CHECK(sent < 8u << 20);
  const auto other = daemon.client();
  REQUIRE(other != nullptr);
  (void)openGcm(*other);
}

TEST_CASE("other users are turned away") {
  const Daemon daemon({}, true, {geteuid() + 12345});
  CHECK(daemon.client() == nullptr);
  CHECK(daemon.server->counters().refusedUid.load() == 1);
}

TEST_CASE("one path, one daemon; a socket that was left behind is taken over; a file is not") {
  Daemon daemon;
  struct stat facts {};
  REQUIRE(stat(daemon.path.c_str(), &facts) == 0);
  CHECK((facts.st_mode & 0777) == 0600);
  std::string why;
  const auto attach = [](ocf::Framework& framework, std::string&) {
    ocf::Status status = ocf::Status::Ok;
    return framework.attach(ocf::makeSoftDriver(), &status) != 0;
  };
  Server second({.path = daemon.path, .users = {}, .attach = attach});
  CHECK(!second.start(why));
  CHECK(why.find("runs") != std::string::npos);
  CHECK(daemon.client() != nullptr);
  daemon.server->stop();
  CHECK(access(daemon.path.c_str(), F_OK) != 0);
  CHECK(daemon.client() == nullptr);
  // As a daemon leaves it that was killed.
  {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    daemon.path.copy(address.sun_path, daemon.path.size());
    const Descriptor left(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(bind(left.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }
  CHECK(access(daemon.path.c_str(), F_OK) == 0);
  Server third({.path = daemon.path, .users = {}, .attach = attach});
  CHECK(third.start(why));
  third.stop();
  const Descriptor file(open(daemon.path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  Server fourth({.path = daemon.path, .users = {}, .attach = attach});
  CHECK(!fourth.start(why));
  CHECK(why.find("no socket") != std::string::npos);
  unlink(daemon.path.c_str());
}

TEST_CASE("clients from several threads, which come and go while the daemon works") {
  Daemon daemon({.pending = 32});
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (uint32_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (uint32_t round = 0; round < 12; ++round) {
        const auto client = daemon.client(1u << 18);
        if (client == nullptr) {
          ++wrong;
          continue;
        }
        OpenAnswer answer{};
        if (!client->open(gcm(), answer) || answer.status != 0) ++wrong;
        std::vector<OpRecord> ops;
        for (uint32_t i = 0; i < 60; ++i) {
          ops.push_back(sealRecord(answer.session, 0, 8192 + i * 2048, 1024 + t, 8192 + i * 2048 + 1500));
          ops.back().iv[0] = static_cast<uint8_t>(i);
        }
        if (!client->submit(ops)) ++wrong;
        // Every other one leaves without waiting.
        if (round % 2 != 0) continue;
        std::vector<DoneRecord> done;
        for (size_t got = 0; got < ops.size(); got += done.size())
          if (!client->fetch(done, true)) {
            ++wrong;
            break;
          }
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong.load() == 0);
  daemon.server->stop();
}
