// Handshakes that another thread answers: attaching, leaving, and coming back, while connections come and go.
#include <optional>

#include "harness.hpp"

using namespace harness;
using engine::ControlChannel;
using engine::Counter;

namespace {

/// A thread that answers handshakes, or takes them and says nothing.
class Handshaker {
 public:
  explicit Handshaker(std::shared_ptr<ControlChannel> channel, bool answers = true)
      : channel_(std::move(channel)), answers_(answers), thread_([this] { run(); }) {
    REQUIRE(eventually([this] { return attached_.load(); }));
  }
  ~Handshaker() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }
  std::atomic<int> taken{0};

 private:
  void run() {
    attached_ = channel_->attach([this] {
      const std::lock_guard lock(mutex_);
      woken_ = true;
      wake_.notify_one();
    });
    std::vector<uint8_t> batch(64 * 1024);
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [this] { return woken_ || stopping_; });
        if (stopping_) break;
        woken_ = false;
      }
      while (const size_t used = channel_->poll(batch)) {
        for (size_t at = 0; at < used;) {
          MessageHeader header;
          std::memcpy(&header, batch.data() + at, sizeof header);
          take(header, MessageReader({batch.data() + at + sizeof header, header.length - sizeof header}));
          at += header.length;
        }
      }
    }
    channel_->detach();
  }
  void take(const MessageHeader& header, MessageReader body) {
    if (static_cast<Up>(header.type) != Up::HandshakeData) return;
    ++taken;
    if (!answers_) return;
    const auto message = answerHandshake(header.id, body).take();
    while (channel_->submit(message) != message.size()) std::this_thread::yield();
  }

  std::shared_ptr<ControlChannel> channel_;
  const bool answers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool woken_ = false, stopping_ = false;
  std::atomic<bool> attached_{false};
  std::thread thread_;
};

void separate(EngineOptions& options) { options.separateHandshakes = true; }

int connected(const Server& server) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port = htons(server.port());
  REQUIRE(connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
  return fd;
}

}  // namespace

TEST_CASE("one thread answers handshakes while the other one is busy") {
  Server server(separate);
  server.root.write("a.txt", "hello");
  Handshaker handshaker(server.engine().handshakes());
  CHECK(Client(server).get("/a.txt").body == "hello");
  server.stalled = true;
  CHECK(Client(server).get("/a.txt").body == "hello");
  CHECK(handshaker.taken == 2);
}

TEST_CASE("one thread at a time") {
  Server server(separate);
  Handshaker handshaker(server.engine().handshakes());
  CHECK_FALSE(server.engine().handshakes()->attach([] {}));
}

TEST_CASE("Async lifetime: a thread that goes takes its handshakes with it, and nothing else") {
  Server server(separate);
  server.root.write("a.txt", "hello");
  std::optional<Handshaker> first(std::in_place, server.engine().handshakes());
  Client established(server);
  first.reset();

  std::optional<Handshaker> silent(std::in_place, server.engine().handshakes(), false);
  const int waiting = connected(server);
  REQUIRE(send(waiting, "\x16hello12", 8, 0) == 8);
  REQUIRE(eventually([&] { return silent->taken == 1; }));
  silent.reset();
  char byte;
  pollfd ready{waiting, POLLIN, 0};
  REQUIRE(poll(&ready, 1, 15000) == 1);
  CHECK(recv(waiting, &byte, 1, 0) <= 0);
  close(waiting);
  CHECK(established.get("/a.txt").body == "hello");

  // While nobody is there, handshakes wait for whoever comes next.
  const int early = connected(server);
  REQUIRE(send(early, "\x16hello12", 8, 0) == 8);
  Handshaker last(server.engine().handshakes());
  char hello[5];
  REQUIRE(recv(early, hello, 5, MSG_WAITALL) == 5);
  CHECK(std::string_view(hello, 5) == "hello");
  close(early);
}

TEST_CASE("Async lifetime: the channel outlives its engine") {
  std::shared_ptr<ControlChannel> channel;
  {
    Server server(separate);
    channel = server.engine().handshakes();
    REQUIRE(channel->attach([] {}));
  }
  const auto message = Message(Down::HandshakeMore, 1).take();
  CHECK(channel->submit(message) == message.size());
  channel->detach();
}

TEST_CASE("threads come and go under load") {
  Server server(separate);
  std::atomic<bool> done{false};
  std::atomic<int> answered{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back([&] {
      while (!done) {
        const int fd = connected(server);
        char hello[5];
        if (send(fd, "\x16hello12", 8, MSG_NOSIGNAL) == 8 && recv(fd, hello, 5, MSG_WAITALL) == 5) ++answered;
        close(fd);
      }
    });
  }
  for (int turn = 0; turn < 20; ++turn) {
    const int before = answered;
    Handshaker handshaker(server.engine().handshakes());
    CHECK(eventually([&] { return answered > before + 5; }));
  }
  {
    const Handshaker handshaker(server.engine().handshakes());
    done = true;
    for (auto& client : clients) client.join();
  }
  CHECK(eventually([&] {
    return server.counter(Counter::connections_handshake) + server.counter(Counter::connections_idle) +
               server.counter(Counter::connections_reading) + server.counter(Counter::connections_draining) ==
           0;
  }));
}
