// An engine with a control plane in C++ that gives every connection fixed keys at once, and a client
// that speaks records under those keys: everything but the handshake, without Node.
#pragma once

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/engine.hpp"
#include "helper_driver.hpp"
#include "ocf/drivers/soft.hpp"

namespace harness {

using namespace socrypt;
using engine::Down;
using engine::Engine;
using engine::EngineOptions;
using engine::MessageHeader;
using engine::MessageReader;
using engine::Up;

inline void fillKeys(record::TrafficKeys& keys, uint8_t seed, record::Suite suite = record::Suite::Aes128GcmSha256) {
  const auto facts = record::factsOf(suite);
  keys.suite = suite;
  for (size_t i = 0; i < ocf::keyLength(facts.alg); ++i) keys.key[i] = static_cast<uint8_t>(seed + i);
  for (size_t i = 0; i < facts.ivLength; ++i) keys.iv[i] = static_cast<uint8_t>(seed * 3 + i);
  // The Finished was number 0.
  if (facts.tls12) keys.recordSeq = 1;
}

/// Builds one message for an engine.
class Message {
 public:
  Message(Down type, uint64_t id) {
    const MessageHeader header{0, static_cast<uint16_t>(type), 0, id};
    raw(&header, sizeof header);
  }
  template <typename T>
  Message& number(T value) {
    raw(&value, sizeof value);
    return *this;
  }
  Message& string(std::string_view text) {
    number(static_cast<uint32_t>(text.size()));
    raw(text.data(), text.size());
    return *this;
  }
  Message& keys(const record::TrafficKeys& keys) {
    number(static_cast<uint16_t>(keys.suite));
    number(keys.epoch);
    number(keys.recordSeq);
    const auto facts = record::factsOf(keys.suite);
    string({reinterpret_cast<const char*>(keys.iv.data()), facts.ivLength});
    return string({reinterpret_cast<const char*>(keys.key.data()), ocf::keyLength(facts.alg)});
  }
  Message& identity(const struct stat& st) {
    const auto identity = engine::identityOf(st);
    return number(identity.dev).number(identity.ino).number(identity.size).number(identity.mtimeNs).number(identity.ctimeNs);
  }
  std::vector<uint8_t> take() {
    const auto length = static_cast<uint32_t>(bytes_.size());
    std::memcpy(bytes_.data(), &length, 4);
    bytes_.resize((bytes_.size() + 7) & ~size_t{7});
    return std::move(bytes_);
  }

 private:
  void raw(const void* data, size_t n) {
    const size_t at = bytes_.size();
    bytes_.resize(at + n);
    std::memcpy(bytes_.data() + at, data, n);
  }
  std::vector<uint8_t> bytes_;
};

/// The answer to the handshake bytes of `body`, a HandshakeData: 8 bytes stand for the handshake, what follows are records
/// already.
inline Message answerHandshake(uint64_t id, MessageReader body, record::Suite suite = record::Suite::Aes128GcmSha256,
                               uint32_t maxFragment = record::kMaxPlaintext) {
  body.number<uint8_t>();
  const auto bytes = body.bytes();
  if (bytes.size() < 8) return std::move(Message(Down::HandshakeFail, id).string(std::string_view("\x15\3\3\0\2\2\x32", 7)));
  record::TrafficKeys tx, rx;
  fillKeys(tx, 1, suite);
  fillKeys(rx, 77, suite);
  return std::move(Message(Down::Establish, id).string("hello").keys(tx).keys(rx).string("blob").string(
      {reinterpret_cast<const char*>(bytes.data()) + 8, bytes.size() - 8}).number(maxFragment));
}

/// Records are sealed and opened by a driver on another thread, all of them.
inline void accelerate(EngineOptions& options, std::shared_ptr<Knobs> knobs) {
  options.accelerator.drivers.push_back([knobs, seed = options.accelerator.drivers.size()](std::string&) { return std::make_unique<HelperDriver>(knobs, seed); });
  options.accelerator.policy.smallMax = 0;
  // Costs that are measured on two busy cores say little.
  options.accelerator.policy.learn = false;
}

/// True once `condition` holds; looked at for 15 s.
inline bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 1500; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return condition();
}

/// A directory of its own, removed at the end.
struct Root {
  Root() {
    char name[] = "/tmp/socrypt-engine-XXXXXX";
    path = mkdtemp(name);
  }
  ~Root() { std::filesystem::remove_all(path); }
  void write(const std::string& name, const std::string& content) const {
    std::ofstream(path / name, std::ios::binary | std::ios::trunc) << content;
  }
  std::filesystem::path path;
};

inline std::string pattern(size_t size, uint32_t seed = 1) {
  std::string out(size, '\0');
  uint32_t x = seed * 2654435761u + 1;
  for (auto& c : out) {
    x = x * 1664525u + 1013904223u;
    c = static_cast<char>(x >> 24);
  }
  return out;
}

class Server {
 public:
  explicit Server(const std::function<void(EngineOptions&)>& adjust = {}) {
    EngineOptions options;
    options.host = "127.0.0.1";
    constexpr uint64_t kSecond = 1'000'000'000;
    options.handshakeTimeoutNs = options.headerTimeoutNs = options.keepAliveTimeoutNs = options.writeTimeoutNs = 20 * kSecond;
    options.cache = {1000, 16 << 20, 64, 0};
    options.maxHandshakeBytes = 65536;
    if (adjust) adjust(options);
    // The same tests once more, on another path.
    if (const char* path = std::getenv("SOCRYPT_TEST_OFFLOAD"); path != nullptr && options.accelerator.drivers.empty()) {
      REQUIRE(std::string_view(path) == "accelerator");
      accelerate(options, std::make_shared<Knobs>());
    }
    engine_ = std::make_unique<Engine>(options, nullptr, [this] {
      const std::lock_guard lock(mutex_);
      woken_ = true;
      wake_.notify_one();
    });
    const char* call = nullptr;
    REQUIRE(engine_->listen(&call) == 0);
    submit(Message(Down::SetRoot, 0).number(static_cast<int32_t>(open(root.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC))));
    std::string why;
    const bool started = engine_->start(why);
    REQUIRE_MESSAGE(started, why);
    control_ = std::thread([this] { run(); });
  }
  ~Server() {
    stalled = false;
    engine_->stop();
    {
      const std::lock_guard lock(mutex_);
      stopping_ = woken_ = true;
    }
    wake_.notify_one();
    control_.join();
  }

  Root root;
  std::atomic<int> resolved{0};
  /// While set, the control plane reads nothing.
  std::atomic<bool> stalled{false};
  /// Keys for connections that are established from now on.
  std::atomic<record::Suite> suite{record::Suite::Aes128GcmSha256};
  std::atomic<uint32_t> maxFragment{record::kMaxPlaintext};
  /// Handshake content that came up.
  std::atomic<int> postHandshakes{0};
  /// The last connection that was established.
  std::atomic<uint64_t> lastConnection{0};
  /// Where clients connect to.
  uint32_t address = INADDR_LOOPBACK;
  /// When not empty, the answer to handshake bytes, and all that there is of a handshake.
  std::string flight;
  /// How a path is answered; the default serves files below the root.
  std::function<void(Server&, uint64_t token, const std::string& path)> onRequest = [](Server& server, uint64_t token, const std::string& path) {
    server.resolveFile(token, path);
  };

  void resolveFile(uint64_t token, const std::string& path) {
    const std::string name = path.substr(1);
    const int fd = open((root.path / name).c_str(), O_RDONLY | O_CLOEXEC);
    struct stat st {};
    Message message(Down::Resolve, token);
    if (fd < 0 || fstat(fd, &st) != 0) {
      message.number<uint8_t>(2).number<uint8_t>(1).number<uint8_t>(0).number<uint8_t>(0).number<uint32_t>(404);
      message.string("Content-Type: text/plain\r\n").string("nothing here");
      message.number<uint32_t>(1).string(name).number<uint32_t>(0);
    } else {
      message.number<uint8_t>(1).number<uint8_t>(1).number<uint8_t>(0).number<uint8_t>(0).number<uint32_t>(200);
      message.number<uint32_t>(1).number<int32_t>(fd).number<uint32_t>(0).identity(st);
      message.number<int64_t>(st.st_mtim.tv_sec).string("\"etag-" + std::to_string(st.st_size) + "\"");
      message.string("Content-Type: text/plain\r\n").string("Cache-Control: no-cache\r\n");
      message.number<uint32_t>(1).string(name).number<uint32_t>(1).identity(st);
    }
    submit(message);
  }
  void submit(Message&& message) { submit(message); }
  void submit(Message& message) {
    const auto bytes = message.take();
    // A ring has one producer, and the test's thread says something now and then.
    const std::lock_guard lock(submitMutex_);
    while (engine_->submit(bytes) != bytes.size()) std::this_thread::yield();
  }
  [[nodiscard]] uint16_t port() const { return engine_->port(); }
  [[nodiscard]] uint64_t counter(engine::Counter which) const { return engine_->counters().get(which); }
  [[nodiscard]] uint64_t counter(engine::Counter which, engine::PathKind path) const {
    return counter(static_cast<engine::Counter>(static_cast<size_t>(which) + static_cast<size_t>(path)));
  }
  /// Over all paths.
  [[nodiscard]] uint64_t total(engine::Counter which) const {
    uint64_t sum = 0;
    for (size_t path = 0; path < engine::kPathNames.size(); ++path) sum += counter(which, static_cast<engine::PathKind>(path));
    return sum;
  }
  Engine& engine() { return *engine_; }

  /// What the engine says to AttachDriver or WithdrawDriver: a driver, or 0 and why not.
  using DriverAnswer = std::pair<uint32_t, std::string>;
  DriverAnswer attachDriver(std::string_view name) { return answered(Message(Down::AttachDriver, ++lastToken_).string(name)); }
  DriverAnswer withdrawDriver(uint32_t driver, uint32_t deadlineMs = 1000, uint16_t alg = engine::kWholeDriver) {
    return answered(Message(Down::WithdrawDriver, ++lastToken_).number(driver).number(alg).number(deadlineMs));
  }

 private:
  DriverAnswer answered(Message& message) {
    submit(message);
    REQUIRE(eventually([this] {
      const std::lock_guard lock(mutex_);
      return driverAnswers_.count(lastToken_) != 0;
    }));
    const std::lock_guard lock(mutex_);
    return driverAnswers_[lastToken_];
  }
  void run() {
    std::vector<uint8_t> batch(256 * 1024);
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [this] { return woken_; });
        woken_ = false;
        if (stopping_) return;
      }
      while (stalled) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      while (const size_t used = engine_->poll(batch)) {
        for (size_t at = 0; at < used;) {
          MessageHeader header;
          std::memcpy(&header, batch.data() + at, sizeof header);
          onMessage(header, MessageReader({batch.data() + at + sizeof header, header.length - sizeof header}));
          at += header.length;
        }
      }
    }
  }
  void onMessage(const MessageHeader& header, MessageReader reader) {
    if (static_cast<Up>(header.type) == Up::HandshakeData && !flight.empty()) {
      submit(Message(Down::HandshakeSend, header.id).string(flight));
    } else if (static_cast<Up>(header.type) == Up::HandshakeData) {
      lastConnection = header.id;
      submit(answerHandshake(header.id, reader, suite, maxFragment));
    } else if (static_cast<Up>(header.type) == Up::PostHandshake) {
      ++postHandshakes;
      reader.bytes();
      const auto content = reader.bytes();
      // A KeyUpdate that asks for none; anything else is looked at and needs nothing.
      if (content.size() != 5 || content[0] != 24) return submit(Message(Down::PostMore, header.id).string("blob"));
      record::TrafficKeys rx;
      const uint32_t epoch = ++receiveEpochs_[header.id];
      fillKeys(rx, static_cast<uint8_t>(77 + epoch));
      rx.epoch = epoch;
      submit(Message(Down::RxKeys, header.id).keys(rx).string("blob"));
    } else if (static_cast<Up>(header.type) == Up::RekeyDue) {
      record::TrafficKeys tx;
      fillKeys(tx, static_cast<uint8_t>(2 + rekeys_++));
      tx.epoch = static_cast<uint32_t>(rekeys_);
      submit(Message(Down::TxUpdate, header.id).number<uint8_t>(1).string(std::string_view("\x18\0\0\1\0", 5)).keys(tx).string("blob"));
    } else if (static_cast<Up>(header.type) == Up::DriverAnswer) {
      const auto driver = reader.number<uint32_t>();
      const std::lock_guard lock(mutex_);
      driverAnswers_[header.id] = {driver, std::string(reader.string())};
    } else if (static_cast<Up>(header.type) == Up::Request) {
      reader.string();
      reader.string();
      ++resolved;
      onRequest(*this, header.id, std::string(reader.string()));
    }
  }

  std::unique_ptr<Engine> engine_;
  std::mutex mutex_, submitMutex_;
  std::condition_variable wake_;
  bool woken_ = false, stopping_ = false;
  int rekeys_ = 0;
  std::map<uint64_t, uint32_t> receiveEpochs_;
  std::map<uint64_t, std::pair<uint32_t, std::string>> driverAnswers_;
  uint64_t lastToken_ = 0;
  std::thread control_;
};

struct Answer {
  int status = 0;
  std::string head, body;
};

class Client {
 public:
  /// `prepare`: the socket before it connects.
  explicit Client(const Server& server, std::string_view early = {}, const std::function<void(int)>& prepare = {}) : writer_(framework_), reader_(framework_) {
    ocf::Status status;
    framework_.attach(ocf::makeSoftDriver(), &status);
    fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (prepare) prepare(fd_);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(server.address);
    to.sin_port = htons(server.port());
    REQUIRE(connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
    record::TrafficKeys tx, rx;
    fillKeys(tx, 77, server.suite);
    fillKeys(rx, 1, server.suite);
    REQUIRE(writer_.install(tx) == ocf::Status::Ok);
    REQUIRE(reader_.install(rx) == ocf::Status::Ok);
    std::string first = "\x16hello12";
    if (!early.empty()) first += sealed(early);
    sendRaw(first);
    char hello[5];
    REQUIRE(recv(fd_, hello, 5, MSG_WAITALL) == 5);
    CHECK(std::string_view(hello, 5) == "hello");
  }
  ~Client() {
    if (fd_ >= 0) close(fd_);
  }

  std::string sealed(std::string_view text, record::ContentType type = record::ContentType::ApplicationData) {
    std::string out(text.size() + writer_.framing().overhead(), '\0');
    std::memcpy(out.data() + writer_.framing().before, text.data(), text.size());
    const record::Slot slot{reinterpret_cast<uint8_t*>(out.data()), static_cast<uint32_t>(text.size())};
    REQUIRE(writer_.seal(type, {&slot, 1}) == 1);
    return out;
  }
  void sendRaw(std::string_view bytes) { REQUIRE(::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size())); }
  void send(std::string_view text) { sendRaw(sealed(text)); }

  /// A KeyUpdate, and what follows under the next key.
  void updateKey() {
    sendRaw(sealed(std::string_view("\x18\0\0\1\0", 5), record::ContentType::Handshake));
    nextKey();
  }
  void nextKey() {
    record::TrafficKeys tx;
    fillKeys(tx, static_cast<uint8_t>(77 + ++sentUpdates_));
    REQUIRE(writer_.install(tx) == ocf::Status::Ok);
  }

  /// Reads one response; status 0: the connection ended first (`lastAlert` says how).
  Answer receive(bool head = false) {
    Answer answer;
    size_t end;
    while ((end = plain_.find("\r\n\r\n")) == std::string::npos)
      if (!more()) return answer;
    answer.head = plain_.substr(0, end + 4);
    answer.status = std::atoi(answer.head.c_str() + 9);
    plain_.erase(0, end + 4);
    const size_t at = answer.head.find("Content-Length: ");
    const size_t length = head || at == std::string::npos ? 0 : std::strtoull(answer.head.c_str() + at + 16, nullptr, 10);
    while (plain_.size() < length)
      if (!more()) {
        answer.status = 0;
        return answer;
      }
    answer.body = plain_.substr(0, length);
    plain_.erase(0, length);
    return answer;
  }
  Answer get(const std::string& path, const std::string& fields = {}) {
    send("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n" + fields + "\r\n");
    return receive();
  }

  /// Opens what arrives; false at the end of the stream, or when nothing comes for 15 s.
  bool more() {
    for (;;) {
      record::RecordReader::Opened opened;
      const auto result = reader_.open(cipher_, opened);
      REQUIRE(result != record::RecordReader::Result::Fail);
      if (result == record::RecordReader::Result::Record) {
        sizes.push_back(opened.content.size());
        const std::string content(reinterpret_cast<const char*>(opened.content.data()), opened.content.size());
        cipher_.erase(cipher_.begin(), cipher_.begin() + static_cast<ptrdiff_t>(opened.consumed));
        if (opened.type == record::ContentType::Alert) {
          lastAlert = static_cast<uint8_t>(content[1]);
          alerts.push_back(content);
          // A warning of TLS 1.2 ends nothing.
          if (reader_.tls12() && content[0] == 1 && lastAlert != 0) continue;
          return false;
        }
        if (opened.type == record::ContentType::Handshake && content[0] != 24) {
          handshake += content;
          continue;
        }
        if (opened.type == record::ContentType::Handshake) {
          ++keyUpdates;
          record::TrafficKeys rx;
          fillKeys(rx, static_cast<uint8_t>(1 + keyUpdates));
          REQUIRE(reader_.install(rx) == ocf::Status::Ok);
          continue;
        }
        plain_ += content;
        return true;
      }
      pollfd ready{fd_, POLLIN, 0};
      if (poll(&ready, 1, 15000) != 1) return false;
      uint8_t buffer[65536];
      const ssize_t n = recv(fd_, buffer, sizeof buffer, 0);
      if (n <= 0) {
        ended = true;
        return false;
      }
      cipher_.insert(cipher_.end(), buffer, buffer + n);
    }
  }

  /// Application data that more() has opened.
  std::string takePlain() { return std::exchange(plain_, {}); }

  void hangUp() {
    close(fd_);
    fd_ = -1;
  }
  int fd() const { return fd_; }
  int lastAlert = -1;
  std::vector<std::string> alerts;
  /// Handshake content other than KeyUpdates, in one piece.
  std::string handshake;
  int keyUpdates = 0;
  bool ended = false;
  std::vector<size_t> sizes;

 private:
  ocf::Framework framework_;
  record::RecordWriter writer_;
  record::RecordReader reader_;
  int fd_ = -1;
  uint32_t sentUpdates_ = 0;
  std::vector<uint8_t> cipher_;
  std::string plain_;
};

}  // namespace harness
