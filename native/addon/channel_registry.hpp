// Handshake channels by number, which one environment tells another: a native object cannot be sent to a worker.
#pragma once

#include <cstdint>
#include <memory>

#include "engine/control_channel.hpp"

namespace socrypt::addon {

/// The same number for the same channel. From any thread.
uint64_t announceChannel(const std::shared_ptr<engine::ControlChannel>& channel);
/// nullptr: there is no such channel, or its engine has ended.
std::shared_ptr<engine::ControlChannel> findChannel(uint64_t number);

}  // namespace socrypt::addon
