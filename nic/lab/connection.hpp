// One connection of a world: its stream, TCP's two halves, and the driver's part, as an engine would do it.
#pragma once

#include "nic/lab/world.hpp"

namespace socrypt::nic::lab {

class Connection final : public SegmentSink {
 public:
  Connection(World& world, uint64_t id, const Path& path, uint32_t mss, bool tso, Random random);

  /// The first SYN has left; adds the flow and sends.
  void begin();
  void segment(uint64_t from, uint64_t to) override;
  /// Makes records, announces them and hands them to TCP, as long as there is room.
  void fill();
  /// The driver has waited for room.
  void retry() {
    waiting_ = false;
    report();
    fill();
  }
  void acknowledged(const Acknowledgement& answer);
  void onTimer();
  void keyUpdate() { updateWanted_ = true; }
  void migrate(bool software);
  void evict();
  /// The device has lost everything: hands it the flow again. `lost`: and the driver gives up.
  void reinstall(bool lost);
  /// The connection ends at once. `rst`: the host's TCP tells the peer.
  void abort(bool rst);
  /// Rules that hold at any time.
  void inspect();

  [[nodiscard]] bool alive() const noexcept { return alive_; }
  [[nodiscard]] bool offloaded() const noexcept { return offloaded_; }
  /// What is in front of this is acknowledged, and the device was told.
  [[nodiscard]] uint64_t floor() const noexcept { return floor_; }
  [[nodiscard]] uint32_t sequenceOf(uint64_t offset) const noexcept { return isn_ + static_cast<uint32_t>(offset); }
  /// Nearest to what is acknowledged.
  [[nodiscard]] uint64_t offsetOf(uint32_t sequence) const noexcept {
    return told_ + static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(sequence - sequenceOf(told_))));
  }

  World& world;
  const uint64_t id;
  const Path path;
  const Path back;
  Random random;
  Stream stream;
  TcpSender tcp;
  TcpReceiver peer;
  uint64_t highest = 0;    // behind the last byte that the device has sealed
  uint32_t references = 0; // events that name this connection
  uint64_t timerAt = UINT64_MAX;
  bool pausedPeer = false;

 private:
  [[nodiscard]] bool announce();
  [[nodiscard]] bool giveKeys(size_t keys);
  void report();
  void finish();
  void end();
  [[nodiscard]] bool guardSays();
  [[nodiscard]] ocf::Status add(const record::TrafficKeys& keys, uint64_t start);

  const uint32_t isn_;
  FlowId flow_{};
  bool offloaded_ = false;
  bool alive_ = true;
  bool begun_ = false;
  bool software_ = false;
  bool updateWanted_ = false;
  bool closed_ = false;
  bool waiting_ = false;
  size_t epochsGiven_ = 1;
  uint64_t announced_ = 0;  // behind the last record that the device knows
  uint64_t told_ = 0;       // what the device was told to be acknowledged, or where it began
  uint64_t floor_ = 0;
  uint64_t progressAt_ = 0;
};

}  // namespace socrypt::nic::lab
