// A client of the daemon that says anything. The first byte picks the mode:
//   raw      the input is the stream, delivered in pieces
//   greeted  after a proper Hello with an arena, each chunk of the input becomes the body of a frame whose type it picks, with
//            a proper header, so that what is behind the framing is reached; op records get the id of an open session
// What must hold: no byte of the arena changes but by an op that was accepted, every op is answered at most once, and after
// the end of a connection the framework has no session left.
#include <sys/socket.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "cryptod/connection.hpp"
#include "ocf/drivers/soft.hpp"

using namespace socrypt;
using namespace socrypt::cryptod;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

ocf::Framework& framework() {
  static ocf::Framework instance;
  static const bool attached = [] {
    ocf::Status status = ocf::Status::Ok;
    return instance.attach(ocf::makeSoftDriver(), &status) != 0;
  }();
  require(attached);
  return instance;
}

constexpr size_t kArena = 16384;

// What the daemon said; false: it says what is no frame.
struct Answers {
  std::vector<uint8_t> bytes;
  size_t done = 0, opened = 0;
  uint32_t session = 0;
  void read(int fd) {
    uint8_t buffer[65536];
    for (ssize_t n; (n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT)) > 0;) bytes.insert(bytes.end(), buffer, buffer + n);
    Frame frame{};
    size_t at = 0;
    for (;;) {
      const Cut cut = cutFrame(Bytes(bytes).subspan(at), frame);
      require(cut != Cut::Malformed);
      if (cut != Cut::Whole) break;
      at += frame.header.length;
      if (frame.header.type == Type::Done) done += frame.header.count;
      OpenAnswer answer{};
      if (frame.header.type == Type::Opened) {
        require(cryptod::read(frame.body, answer));
        if (answer.status == 0) session = answer.session, ++opened;
      }
    }
    bytes.erase(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(at));
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  static const Limits limits{.connections = 4, .sessions = 8, .pending = 16, .arenaBytes = kArena, .opBytes = kArena};
  static Counters counters;
  int pair[2];
  require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  const Descriptor peer(pair[1]);
  const bool greeted = (data[0] & 0x80) != 0;
  const size_t piece = 1 + size_t{data[0] & 0x7fu} * 9;
  ++data, --size;
  {
    Connection connection(Descriptor(pair[0]), framework(), (data[0] & 1) == 0, limits, counters);
    Answers answers;
    size_t asked = 0;
    const auto give = [&](Bytes bytes) {
      while (!bytes.empty()) {
        const size_t n = std::min({bytes.size(), piece, connection.roomForInput()});
        if (n == 0 || !connection.feed(bytes.first(n))) return false;
        bytes = bytes.subspan(n);
        do {
          if (!connection.work(4096) || !connection.flush()) return false;
          answers.read(peer.get());
        } while (connection.hasWork() && !connection.clogged());
      }
      return true;
    };
    if (!greeted) {
      (void)give({data, size});
    } else {
      std::optional<Arena> arena = Arena::create(kArena);
      require(arena.has_value());
      Writer frames;
      write(frames, 1, Hello{.version = kVersion, .arenaBytes = kArena});
      connection.offer(Descriptor(dup(arena->fd())));
      bool alive = give(frames.view());
      while (alive && size >= 3) {
        const auto type = static_cast<Type>(1 + data[0] % 8);
        const size_t length = std::min<size_t>(size - 3, data[1] | size_t{data[2] & 0x0fu} << 8);
        std::vector<uint8_t> body(data + 3, data + 3 + length);
        data += 3 + length;
        size -= 3 + length;
        uint16_t count = 0;
        if (type == Type::Submit) {
          body.resize(body.size() / kOpBytes * kOpBytes);
          count = static_cast<uint16_t>(body.size() / kOpBytes);
          for (size_t i = 0; i < count; ++i)
            if ((body[i * kOpBytes] & 3) != 0) std::memcpy(body.data() + i * kOpBytes + 8, &answers.session, 4);
          asked += count;
        }
        frames.clear();
        frames.begin(type, length);
        frames.put(body.data(), body.size());
        frames.end(count);
        const std::vector<uint8_t> before(arena->memory().begin(), arena->memory().end());
        const uint64_t accepted = counters.ops.load();
        alive = give(frames.view());
        if (counters.ops.load() == accepted) require(std::equal(before.begin(), before.end(), arena->memory().begin()));
      }
      require(answers.done <= asked);
      if (alive) require(answers.done == asked);
    }
  }
  require(framework().openSessions() == 0);
  return 0;
}
