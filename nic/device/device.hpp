// The seam between the record layer and an inline-crypto device, named as Linux names it
// (struct tlsdev_ops in include/net/tls.h; Documentation/networking/tls-offload.rst).
//
// The host's TCP stack sends framed plaintext records: header, plaintext, room for the tag. The device
// seals them inside the packets. What it must know of a record is a record::RecordRef: where the record
// starts in the stream, its length, its number and its epoch. The record layer makes these today, on
// every path, so that a connection can be moved to a device at any record boundary.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "record/record.hpp"

namespace socrypt::nic {

/// One direction of one TCP connection, as the device sees it in packets. Addresses are IPv6, or IPv4
/// mapped into it (RFC 4291 section 2.5.5.2); ports are in host byte order.
struct FlowKey {
  std::array<uint8_t, 16> localAddress;
  std::array<uint8_t, 16> remoteAddress;
  uint16_t localPort;
  uint16_t remotePort;
};

/// A device's own name for a flow; never reused while the device lives.
enum class FlowId : uint64_t {};

/// What a device needs to go on from a segment that did not come in order.
struct ResyncAnswer {
  record::RecordRef record;            // the record that holds the asked-for position
  std::span<const uint8_t> payload;    // its retained plaintext, or empty once the tag is retained
  std::span<const uint8_t, record::kTagLength> tag;
};

/// Asked by the device, answered by the record layer.
class RecordSource {
 public:
  virtual ~RecordSource() = default;
  /// The record that holds `streamOffset`; none: acknowledged already, or before the first record. Bytes
  /// of a position without a record must not leave the wire port (DESIGN rule 1).
  virtual std::optional<ResyncAnswer> recordAt(FlowId flow, uint64_t streamOffset) = 0;
};

class Device {
 public:
  virtual ~Device() = default;

  /// tls_dev_add: from `keys.streamOffset` on, segments of this flow carry records to be sealed with
  /// `keys`. `tcpSequence` is the raw sequence number of that position. NoDriver: the suite is not
  /// offered; Full: no flow context is free.
  virtual ocf::Status add(const FlowKey& key, const record::TrafficKeys& keys, uint32_t tcpSequence, RecordSource& source,
                          FlowId* flow) = 0;

  /// A further epoch of a flow (KeyUpdate). Both live until the last byte of the old one is acknowledged.
  virtual ocf::Status rekey(FlowId flow, const record::TrafficKeys& keys) = 0;

  /// Records are announced before their bytes are written to the socket.
  virtual ocf::Status push(FlowId flow, std::span<const record::RecordRef> records) = 0;

  /// Everything before `streamOffset` was acknowledged, as TCP itself says (TCP_INFO), never as an ACK on
  /// the wire says: state up to there is freed, keys of finished epochs are zeroised.
  virtual void acknowledged(FlowId flow, uint64_t streamOffset) = 0;

  /// tls_dev_resync: the device has lost its place; here is the record that holds `streamOffset`.
  virtual ocf::Status resync(FlowId flow, uint64_t streamOffset, const ResyncAnswer& answer) = 0;

  /// tls_dev_del: forget the flow. Unacknowledged positions are dropped from now on, not passed.
  virtual void remove(FlowId flow) = 0;
};

}  // namespace socrypt::nic
