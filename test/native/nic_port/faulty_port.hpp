// A port whose frames are lost, repeated and reordered on their way out, from a seed, and searched for what
// must not be in them.
#pragma once

#include <algorithm>
#include <atomic>
#include <random>
#include <string_view>
#include <vector>

#include "nic/port/port.hpp"

namespace faulty {

using namespace socrypt;

struct Faults {
  unsigned lossPerMille = 0;
  unsigned repeatPerMille = 0;
  unsigned reorderPerMille = 0;
};

class FaultyPort final : public nic::Port {
 public:
  FaultyPort(nic::Port& inner, const Faults& faults, uint64_t seed, std::string_view canary)
      : inner_(inner), faults_(faults), random_(seed), canary_(canary) {}

  [[nodiscard]] int descriptor() const noexcept override { return inner_.descriptor(); }
  size_t receive(nic::FrameReceiver& receiver, size_t most) override { return inner_.receive(receiver, most); }
  [[nodiscard]] size_t room() noexcept override { return inner_.room() / 2; }

  bool send(std::span<const uint8_t> head, std::span<const uint8_t> rest) noexcept override {
    ++frames;
    std::vector<uint8_t> bytes(head.begin(), head.end());
    bytes.insert(bytes.end(), rest.begin(), rest.end());
    if (std::search(bytes.begin(), bytes.end(), canary_.begin(), canary_.end()) != bytes.end()) ++canaries;
    if (happens(faults_.lossPerMille)) return ++lost, true;
    if (happens(faults_.reorderPerMille)) {
      held_.push_back(std::move(bytes));
      ++reordered;
      return true;
    }
    bool good = inner_.send(bytes, {});
    if (happens(faults_.repeatPerMille)) good = inner_.send(bytes, {}) && good;
    if (!held_.empty() && random_() % 4 == 0) {
      good = inner_.send(held_.back(), {}) && good;
      held_.pop_back();
    }
    return good;
  }
  [[nodiscard]] bool flush() noexcept override {
    // What is held back longer than a burst or two would be lost, for TCP.
    if (++flushes_ % 8 == 0 && !held_.empty()) {
      static_cast<void>(inner_.send(held_.front(), {}));
      held_.erase(held_.begin());
    }
    return inner_.flush() && held_.empty();
  }

  // Read while the bridge runs.
  std::atomic<uint64_t> frames = 0;
  std::atomic<uint64_t> lost = 0;
  std::atomic<uint64_t> reordered = 0;
  std::atomic<uint64_t> canaries = 0;

 private:
  bool happens(unsigned perMille) { return random_() % 1000 < perMille; }
  nic::Port& inner_;
  Faults faults_;
  std::mt19937_64 random_;
  std::string_view canary_;
  std::vector<std::vector<uint8_t>> held_;
  uint64_t flushes_ = 0;
};

}  // namespace faulty
