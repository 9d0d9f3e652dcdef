// A model of the sending half of TCP as Linux has it, in stream offsets: retransmission timer (RFC 6298), SACK
// scoreboard and fast retransmit (RFC 6675), tail loss probe (RFC 8985 7), zero-window probes, reneging.
#pragma once

#include <cstdint>
#include <span>

#include "nic/lab/random.hpp"
#include "nic/lab/ranges.hpp"

namespace socrypt::nic::lab {

struct SenderCounts {
  uint64_t segments = 0;
  uint64_t retransmissions = 0;
  uint64_t timeouts = 0;
  uint64_t fastRetransmits = 0;
  uint64_t tailProbes = 0;
  uint64_t windowProbes = 0;
  uint64_t renegings = 0;
};

class SegmentSink {
 public:
  virtual ~SegmentSink() = default;
  /// [from, to) goes out; the position behind the stream's end is the FIN. from == to: a probe without data.
  virtual void segment(uint64_t from, uint64_t to) = 0;
};

class TcpSender {
 public:
  /// All times in microseconds.
  TcpSender(uint32_t mss, bool tso, Random random, SegmentSink& sink, SenderCounts& counts) noexcept;

  void write(uint64_t end, uint64_t now);
  /// Nothing more will be written.
  void close(uint64_t now);
  /// The peer's, as TCP would believe it: what contradicts the connection is ignored here.
  void acknowledge(uint64_t acknowledged, uint64_t window, std::span<const Range> blocks, uint64_t now);
  void setMss(uint32_t mss) noexcept { mss_ = mss; }
  void onTimer(uint64_t now);

  [[nodiscard]] uint64_t una() const noexcept { return una_; }
  [[nodiscard]] uint64_t nxt() const noexcept { return nxt_; }
  [[nodiscard]] uint64_t end() const noexcept { return end_; }
  [[nodiscard]] uint32_t mss() const noexcept { return mss_; }
  [[nodiscard]] bool tso() const noexcept { return tso_; }
  [[nodiscard]] bool done() const noexcept { return closed_ && una_ == limit(); }
  /// UINT64_MAX: none.
  [[nodiscard]] uint64_t timerAt() const noexcept { return timerAt_; }

 private:
  enum class Timer : uint8_t { None, Retransmit, TailProbe, WindowProbe };
  [[nodiscard]] uint64_t limit() const noexcept { return end_ + (closed_ ? 1 : 0); }
  [[nodiscard]] uint64_t pipe() const noexcept;
  [[nodiscard]] bool nextLost(uint64_t& from, uint64_t& to) const noexcept;
  void pump(uint64_t now, bool restart);
  void send(uint64_t from, uint64_t to, uint64_t now);
  void enterRecovery(uint64_t now, bool timeout);
  [[nodiscard]] uint64_t lostBelow() const noexcept;
  void measure(uint64_t now);
  void arm(uint64_t now);

  uint32_t mss_;
  const bool tso_;
  Random random_;
  SegmentSink& sink_;
  SenderCounts& counts_;

  uint64_t una_ = 0;
  uint64_t nxt_ = 0;
  uint64_t end_ = 0;
  bool closed_ = false;
  uint64_t windowEnd_ = 1 << 16;
  uint64_t cwnd_;
  uint64_t ssthresh_ = UINT64_MAX;

  Ranges sacked_;
  bool recovering_ = false;
  uint64_t recoveryPoint_ = 0;
  uint64_t lostEdge_ = 0;  // what is before it and not acknowledged is lost
  uint64_t resent_ = 0;    // up to here it was sent again
  uint32_t duplicates_ = 0;

  uint64_t srtt_ = 0;
  uint64_t rttvar_ = 0;
  uint64_t rto_ = 200'000;
  uint32_t backoff_ = 0;
  uint64_t timedEnd_ = 0;  // one segment at a time is measured; none when 0
  uint64_t timedAt_ = 0;
  bool probed_ = false;
  Timer timer_ = Timer::None;
  uint64_t timerAt_ = UINT64_MAX;
};

}  // namespace socrypt::nic::lab
