#include "engine.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "../ocf/bench.hpp"
#include "../ocf/link.hpp"
#include "ocf/drivers/soft.hpp"
#include "record/record.hpp"

namespace papers {
namespace {

using namespace socrypt;
using engine::Down;
using engine::MessageHeader;
using engine::MessageReader;
using engine::Up;

constexpr std::string_view kHandshake = "\x16hello12", kFinished = "hello";
constexpr std::string_view kRequest = "GET /file HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

record::TrafficKeys keysOf(uint8_t seed) {
  record::TrafficKeys keys;
  keys.suite = record::Suite::Aes128GcmSha256;
  keys.key[0] = keys.iv[0] = seed;
  return keys;
}
constexpr uint8_t kServerKeys = 1, kClientKeys = 2;

// One message to an engine; what is in it, and in which order, is in engine/messages.hpp.
class Message {
 public:
  Message(Down type, uint64_t id) { add(MessageHeader{0, static_cast<uint16_t>(type), 0, id}); }
  template <typename T>
  Message& add(const T& value) {
    const auto* const at = reinterpret_cast<const uint8_t*>(&value);
    bytes_.insert(bytes_.end(), at, at + sizeof value);
    return *this;
  }
  Message& string(std::string_view text) {
    add(static_cast<uint32_t>(text.size()));
    bytes_.insert(bytes_.end(), text.begin(), text.end());
    return *this;
  }
  Message& keys(const record::TrafficKeys& keys) {
    const auto facts = record::factsOf(keys.suite);
    add(static_cast<uint16_t>(keys.suite)).add(keys.epoch).add(keys.recordSeq);
    string({reinterpret_cast<const char*>(keys.iv.data()), facts.ivLength});
    return string({reinterpret_cast<const char*>(keys.key.data()), ocf::keyLength(facts.alg)});
  }
  Message& identity(const struct stat& st) {
    const auto identity = engine::identityOf(st);
    return add(identity.dev).add(identity.ino).add(identity.size).add(identity.mtimeNs).add(identity.ctimeNs);
  }
  std::vector<uint8_t> take() {
    const auto length = static_cast<uint32_t>(bytes_.size());
    std::memcpy(bytes_.data(), &length, sizeof length);
    bytes_.resize((bytes_.size() + 7) & ~size_t{7});
    return std::move(bytes_);
  }

 private:
  std::vector<uint8_t> bytes_;
};

// The file below `directory`, whatever path was asked for.
std::vector<uint8_t> resolution(uint64_t token, const std::string& directory) {
  const int fd = ::open((directory + "/file").c_str(), O_RDONLY | O_CLOEXEC);
  struct stat st {};
  if (fd < 0 || fstat(fd, &st) != 0) fail("the file is gone");
  Message message(Down::Resolve, token);
  message.add<uint8_t>(1).add<uint8_t>(1).add<uint8_t>(0).add<uint8_t>(0).add<uint32_t>(200);
  message.add<uint32_t>(1).add<int32_t>(fd).add<uint32_t>(0).identity(st);
  message.add<int64_t>(st.st_mtim.tv_sec).string("\"file\"").string("Content-Type: text/plain\r\n").string("Cache-Control: no-cache\r\n");
  return message.add<uint32_t>(1).string("file").add<uint32_t>(1).identity(st).take();
}

}  // namespace

EnginePeer::EnginePeer() {
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_) != 0) fail("no socket for the peer");
  child_ = fork();
  if (child_ < 0) fail("no process for the peer");
  if (child_ == 0) serve();
}

EnginePeer::~EnginePeer() {
  (void)kill(child_, SIGKILL);
  int status = 0;
  waitpid(child_, &status, 0);
  for (const int end : ends_) close(end);
}

void EnginePeer::tell(const void* what, size_t length) const {
  if (write(ends_[0], what, length) != static_cast<ssize_t>(length)) fail("the peer is gone");
}

void EnginePeer::awaitAnswer() const {
  uint8_t answer = 0;
  if (read(ends_[0], &answer, 1) != 1 || answer != 1) fail("the peer did not get what it asked for");
}

void EnginePeer::connect(uint16_t port, uint64_t bytes) const {
  const uint64_t order[2] = {port, bytes};
  tell(order, sizeof order);
  awaitAnswer();
}

void EnginePeer::fetch() const {
  tell("", 1);
  awaitAnswer();
}

// In the peer's process.
void EnginePeer::serve() const {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  pin(1);
  ocf::Framework framework;
  attach(framework, ocf::makeSoftDriver());
  std::vector<uint8_t> buffer(1 << 18);
  uint64_t order[2];
  while (read(ends_[1], order, sizeof order) == sizeof order) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(static_cast<uint16_t>(order[0]));
    if (::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) _exit(1);
    sendAll(fd, {reinterpret_cast<const uint8_t*>(kHandshake.data()), kHandshake.size()});
    if (recv(fd, buffer.data(), kFinished.size(), MSG_WAITALL) != static_cast<ssize_t>(kFinished.size())) _exit(1);
    record::RecordWriter writer(framework);
    if (writer.install(keysOf(kClientKeys)) != ocf::Status::Ok) _exit(1);
    std::vector<uint8_t> request(writer.framing().overhead() + kRequest.size());
    std::memcpy(request.data() + writer.framing().before, kRequest.data(), kRequest.size());
    const record::Slot slot{request.data(), static_cast<uint32_t>(kRequest.size())};
    if (writer.seal(record::ContentType::ApplicationData, {&slot, 1}) != 1) _exit(1);
    uint8_t word = 1;
    if (write(ends_[1], &word, 1) != 1 || read(ends_[1], &word, 1) != 1) _exit(1);
    sendAll(fd, request);
    uint64_t received = 0;
    for (ssize_t n = 1; (n = recv(fd, buffer.data(), buffer.size(), MSG_TRUNC)) > 0;) received += static_cast<uint64_t>(n);
    close(fd);
    word = received > order[1] ? 1 : 0;
    if (write(ends_[1], &word, 1) != 1) _exit(1);
  }
  _exit(0);
}

EngineSender::EngineSender(uint64_t bytes) {
  char name[] = "/dev/shm/bench-papers-XXXXXX";
  if (mkdtemp(name) == nullptr) fail("no directory in /dev/shm");
  directory_ = name;
  const int fd = ::open((directory_ + "/file").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  std::vector<uint8_t> piece(1 << 20);
  for (size_t i = 0; i < piece.size(); ++i) piece[i] = static_cast<uint8_t>(i * 31 ^ i >> 8);
  for (uint64_t at = 0; at < bytes;) {
    const ssize_t n = write(fd, piece.data(), std::min<uint64_t>(piece.size(), bytes - at));
    if (n <= 0) fail("no room for the file");
    at += static_cast<uint64_t>(n);
  }
  close(fd);
  engine::EngineOptions options;
  options.host = "127.0.0.1";
  options.congestionControl = "cubic";
  constexpr uint64_t kPatience = 20'000'000'000;
  options.handshakeTimeoutNs = options.headerTimeoutNs = options.keepAliveTimeoutNs = options.writeTimeoutNs = kPatience;
  options.cache = {1000, 16 << 20, 64, 0};
  engine_ = std::make_unique<engine::Engine>(options, nullptr, [this] {
    const std::lock_guard lock(mutex_);
    woken_ = true;
    wake_.notify_one();
  });
  const char* call = nullptr;
  if (engine_->listen(&call) != 0) fail(std::string("the engine cannot listen: ") + call);
  submit(Message(Down::SetRoot, 0).add<int32_t>(::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)).take());
  std::string why;
  if (!engine_->start(why)) fail(why);
  control_ = std::thread([this] { control(); });
}

EngineSender::~EngineSender() {
  engine_->stop();
  {
    const std::lock_guard lock(mutex_);
    stopping_ = woken_ = true;
  }
  wake_.notify_one();
  control_.join();
  (void)unlink((directory_ + "/file").c_str());
  (void)rmdir(directory_.c_str());
}

void EngineSender::submit(std::vector<uint8_t> message) {
  while (engine_->submit(message) != message.size()) std::this_thread::yield();
}

// What stands in for the control plane.
void EngineSender::control() {
  std::vector<uint8_t> batch(256 * 1024);
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return woken_; });
      woken_ = false;
      if (stopping_) return;
    }
    while (const size_t used = engine_->poll(batch)) {
      MessageHeader header;
      for (size_t at = 0; at < used; at += header.length) {
        std::memcpy(&header, batch.data() + at, sizeof header);
        if (static_cast<Up>(header.type) == Up::HandshakeData) {
          submit(Message(Down::Establish, header.id).string(kFinished).keys(keysOf(kServerKeys)).keys(keysOf(kClientKeys)).string("state")
                     .string("").add(static_cast<uint32_t>(record::kMaxPlaintext)).take());
        } else if (static_cast<Up>(header.type) == Up::Request) {
          submit(resolution(header.id, directory_));
        }
      }
    }
  }
}

}  // namespace papers
