// The last frames of a run, as a pcap file (draft-ietf-opsawg-pcap, nanoseconds, Ethernet).
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

namespace socrypt::nic::lab {

class Capture {
 public:
  static constexpr size_t kMost = 20'000;

  void add(uint64_t microseconds, std::span<const uint8_t> frame) {
    if (frames_.size() == kMost) frames_.pop_front();
    frames_.push_back({microseconds, {frame.begin(), frame.end()}});
  }
  [[nodiscard]] size_t size() const noexcept { return frames_.size(); }
  [[nodiscard]] std::vector<uint8_t> pcap() const {
    std::vector<uint8_t> file;
    const auto put = [&](uint32_t v) {
      for (int shift = 0; shift < 32; shift += 8) file.push_back(static_cast<uint8_t>(v >> shift));
    };
    put(0xa1b23c4d);
    put(0x00040002);
    put(0);
    put(0);
    put(262144);
    put(1);
    for (const Frame& frame : frames_) {
      put(static_cast<uint32_t>(frame.at / 1'000'000));
      put(static_cast<uint32_t>(frame.at % 1'000'000 * 1000));
      put(static_cast<uint32_t>(frame.bytes.size()));
      put(static_cast<uint32_t>(frame.bytes.size()));
      file.insert(file.end(), frame.bytes.begin(), frame.bytes.end());
    }
    return file;
  }

 private:
  struct Frame {
    uint64_t at;
    std::vector<uint8_t> bytes;
  };
  std::deque<Frame> frames_;
};

}  // namespace socrypt::nic::lab
