// Records sealed and opened at once, by the engine's own thread, in place.
#pragma once

#include "engine/connection.hpp"
#include "engine/paths/path.hpp"

namespace socrypt::engine {

class SoftwarePath final : public OffloadPath {
 public:
  /// `buffer` is where records are built: room for `records` of full length.
  SoftwarePath(uint8_t* buffer, size_t records) noexcept : OffloadPath(PathKind::Software), room_{buffer, records} {}

  WhyNot take(Connection& c, Direction direction, const record::TrafficKeys& keys) override {
    const ocf::Status status = direction == Direction::Tx ? c.tx.install(keys) : c.rx.install(keys);
    return status == ocf::Status::Ok ? WhyNot::Taken : WhyNot::failed;
  }
  Room room(Connection&) override { return room_; }
  uint8_t* controlRoom(Connection&, size_t) override { return room_.at; }
  Made make(Connection& c, record::ContentType type, std::span<const record::Slot> slots) override {
    const size_t sealed = c.tx.seal(type, slots);
    if (sealed == 0) return {};
    return {sealed, {slots.front().at, wireLength(slots.first(sealed), c.tx.framing())}};
  }

 private:
  Room room_;
};

}  // namespace socrypt::engine
