// The ring between an engine and the control plane. Also run under ThreadSanitizer.
#include <doctest/doctest.h>

#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "engine/message_ring.hpp"

using socrypt::engine::MessageHeader;
using socrypt::engine::MessageRing;

namespace {

bool put(MessageRing& ring, uint64_t id, size_t body) {
  const auto length = static_cast<uint32_t>(sizeof(MessageHeader) + body);
  uint8_t* at = ring.reserve(length);
  if (at == nullptr) return false;
  const MessageHeader header{length, 7, 0, id};
  std::memcpy(at, &header, sizeof header);
  std::memset(at + sizeof header, static_cast<int>(id & 0xff), body);
  ring.publish();
  return true;
}

/// -1: empty; else the id of the message, checked to the last byte.
int64_t take(MessageRing& ring, size_t& body) {
  const auto message = ring.peek();
  if (message.empty()) return -1;
  MessageHeader header;
  std::memcpy(&header, message.data(), sizeof header);
  body = message.size() - sizeof header;
  bool whole = header.length == message.size() && header.type == 7;
  for (size_t i = sizeof header; i < message.size(); ++i) whole = whole && message[i] == (header.id & 0xff);
  ring.release({message.data(), message.size()});
  return whole ? static_cast<int64_t>(header.id) : -2;
}

}  // namespace

TEST_CASE("a ring refuses what it cannot hold, and takes it after a release") {
  MessageRing ring(256);
  CHECK(ring.reserve(8) == nullptr);    // shorter than a header
  CHECK(ring.reserve(129) == nullptr);  // longer than half of the ring
  CHECK(put(ring, 1, 112));
  CHECK(put(ring, 2, 112));
  CHECK_FALSE(put(ring, 3, 0));
  size_t body = 0;
  CHECK(take(ring, body) == 1);
  CHECK(body == 112);
  CHECK(put(ring, 3, 0));
  CHECK(take(ring, body) == 2);
  CHECK(take(ring, body) == 3);
  CHECK(take(ring, body) == -1);
  CHECK(ring.empty());
}

TEST_CASE("messages stay whole and in order whatever their sizes, across the end of the storage") {
  const uint32_t seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  MessageRing ring(1024);
  uint64_t in = 0, out = 0;
  for (int step = 0; step < 200000; ++step) {
    if (random() % 2 == 0) {
      in += put(ring, in, random() % 490) ? 1 : 0;
    } else {
      size_t body = 0;
      const int64_t id = take(ring, body);
      if (id == -1) {
        REQUIRE(in == out);
      } else {
        REQUIRE(id == static_cast<int64_t>(out++));
      }
    }
  }
}

TEST_CASE("one producer and one consumer on two threads lose and tear nothing") {
  constexpr uint64_t kMessages = 200000;
  MessageRing ring(4096);
  std::thread producer([&ring] {
    std::mt19937 random(1);
    for (uint64_t id = 0; id < kMessages;) {
      if (put(ring, id, random() % 600)) ++id;
      else std::this_thread::yield();
    }
  });
  uint64_t next = 0;
  bool torn = false;
  while (next < kMessages) {
    size_t body = 0;
    const int64_t id = take(ring, body);
    if (id == -1) {
      std::this_thread::yield();
      continue;
    }
    torn = torn || id != static_cast<int64_t>(next);
    ++next;
  }
  producer.join();
  CHECK_FALSE(torn);
  CHECK(ring.empty());
}
