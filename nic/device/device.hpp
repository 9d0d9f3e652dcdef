// The seam between the record layer and an inline-crypto device, named as Linux names it
// (struct tlsdev_ops in include/net/tls.h; Documentation/networking/tls-offload.rst).
//
// The host's TCP stack sends framed plaintext records: header, plaintext, room for the tag. The device
// seals them inside the packets. What it must know of a record is a record::NewRecord, pushed before the
// record's bytes are written to the socket.
#pragma once

#include <cstdint>
#include <span>

#include "nic/device/packet.hpp"
#include "record/record_map.hpp"

namespace socrypt::nic {

/// A device's own name for a flow; never reused while the device lives.
enum class FlowId : uint64_t {};

/// Rebuilding what a segment needs that did not come in order. The bytes on the wire are the same in all.
enum class Resync : uint8_t {
  OrderFree,     // every range is encrypted by itself, a tag adds up from ranges in any order
  PrefixReplay,  // the paper's: the record's beginning is encrypted again and thrown away
  NextRecord,    // the kernel's other one: software seals until the next record begins
};

/// All calls from any thread.
class Device {
 public:
  virtual ~Device() = default;

  /// tls_dev_add: from `keys.streamOffset` on, segments of this flow carry records to be sealed with
  /// `keys`; what TCP sends of earlier positions leaves as it is, back to where it is acknowledged. `tcpSequence`
  /// is the raw sequence number of the first position, `unacknowledged` how many bytes TCP may still send in front of
  /// it. NoDriver: the suite is not offered; Full: no flow context is free; Invalid: there is a flow of this key, or
  /// no send queue is as long as that.
  [[nodiscard]] virtual ocf::Status add(const FlowKey& key, const record::TrafficKeys& keys, uint32_t tcpSequence, uint32_t unacknowledged, FlowId* flow) = 0;

  /// A further epoch of a flow (KeyUpdate); records say which epoch they belong to. Call it behind the push of
  /// the old epoch's last record: the old key is wiped when all that was pushed of it is acknowledged. Invalid: not a later epoch, or no such flow; Full: too
  /// many epochs with unacknowledged records.
  [[nodiscard]] virtual ocf::Status rekey(FlowId flow, const record::TrafficKeys& keys) = 0;

  /// Records are announced before their bytes are written to the socket. All or none, and with Ok their payloads are taken. Full: the sender has
  /// to wait for an acknowledgement. Invalid: see record::RecordMap::push; also a length that no record
  /// of the suite has, an epoch without keys, or a guarded record without payload or in a mode other than
  /// OrderFree.
  [[nodiscard]] virtual ocf::Status push(FlowId flow, std::span<record::NewRecord> records) = 0;

  /// Everything before `streamOffset` was acknowledged, as TCP itself says (TCP_INFO), never as an ACK on
  /// the wire says: state up to there is freed, keys of finished epochs are wiped, and no segment that begins before
  /// it leaves any more. TCP has no use for one: its retransmissions begin where it is acknowledged, its window probes and
  /// keepalives, one position before that, have no data (tcp_xmit_probe_skb()), and what a queue below it still holds of
  /// such positions, the peer has.
  virtual void acknowledged(FlowId flow, uint64_t streamOffset) = 0;

  /// tls_dev_resync: a record begins at `streamOffset` and the device is to be in step from there. Only
  /// NextRecord needs it, and push() does it by itself when the device has asked.
  virtual void resync(FlowId flow, uint64_t streamOffset) = 0;

  /// tls_dev_del: forget the flow and wipe its keys. Segments with data are dropped from now on, not
  /// passed: TCP may still hold plaintext, and so may the queues between TCP and the device, even of what
  /// is acknowledged. That ends a while after the host's stack has sent SYN or RST on this key, or after
  /// release(), once those queues were seen empty.
  virtual void remove(FlowId flow) = 0;

  /// The host's socket of this key is gone.
  virtual void release(const FlowKey& key) = 0;

  /// The flow's socket is bound to the host port that is there now: what the peer sends may come in by it.
  virtual void bound(FlowId /*flow*/) {}
};

}  // namespace socrypt::nic
