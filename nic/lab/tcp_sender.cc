#include "nic/lab/tcp_sender.hpp"

#include <algorithm>

namespace socrypt::nic::lab {
namespace {

constexpr uint64_t kMinRto = 200'000;  // TCP_RTO_MIN of Linux
constexpr uint64_t kMaxRto = 120'000'000;
constexpr uint64_t kMostTso = 60'000;  // payload of one frame from the host
constexpr uint32_t kInitialWindow = 10;  // segments, RFC 6928

}  // namespace

TcpSender::TcpSender(uint32_t mss, bool tso, Random random, SegmentSink& sink, SenderCounts& counts) noexcept
    : mss_(mss), tso_(tso), random_(random), sink_(sink), counts_(counts), cwnd_(uint64_t{mss} * kInitialWindow) {}

void TcpSender::write(uint64_t end, uint64_t now) {
  end_ = end;
  pump(now, false);
}

void TcpSender::close(uint64_t now) {
  closed_ = true;
  pump(now, false);
}

// RFC 6675 4, SetPipe: what is neither acknowledged, nor lost and not yet sent again.
uint64_t TcpSender::pipe() const noexcept {
  uint64_t bytes = nxt_ - una_ - sacked_.bytesIn(una_, nxt_);
  const uint64_t from = std::max(una_, resent_);
  if (from < lostEdge_) bytes -= lostEdge_ - from - sacked_.bytesIn(from, lostEdge_);
  return bytes;
}

bool TcpSender::nextLost(uint64_t& from, uint64_t& to) const noexcept {
  from = sacked_.coveredTo(std::max(una_, resent_));
  if (from >= lostEdge_) return false;
  to = std::min(sacked_.nextFrom(from, lostEdge_), lostEdge_);
  return true;
}

void TcpSender::send(uint64_t from, uint64_t to, uint64_t now) {
  ++counts_.segments;
  if (from < nxt_) {
    ++counts_.retransmissions;
    if (from < timedEnd_) timedEnd_ = 0;  // Karn: not of what was sent twice
  } else if (timedEnd_ == 0) {
    timedEnd_ = to;
    timedAt_ = now;
  }
  nxt_ = std::max(nxt_, to);
  sink_.segment(from, to);
}

void TcpSender::pump(uint64_t now, bool restart) {
  for (uint64_t from = 0, to = 0;;) {
    const uint64_t inFlight = pipe();
    if (inFlight >= cwnd_) break;
    if (nextLost(from, to)) {
      // Linux sends one skb again, which may be several segments; collapsed ones begin and end anywhere.
      const uint64_t most = tso_ ? mss_ * random_.between(1, 4) : mss_;
      to = std::min(to, from + most);
      resent_ = to;
      send(from, to, now);
      continue;
    }
    const uint64_t last = std::min(limit(), windowEnd_);
    if (nxt_ >= last) break;
    uint64_t n = std::min(last - nxt_, tso_ ? kMostTso / mss_ * mss_ : mss_);
    if (tso_ && n > mss_) n = std::min(n, std::max<uint64_t>(1, (cwnd_ - inFlight) / mss_) * mss_);
    n = std::max<uint64_t>(n, 1);
    send(nxt_, nxt_ + n, now);
  }
  // RFC 6298 5: new data starts the timer only when it does not run; an acknowledgement of new data restarts it.
  const bool runs = timer_ == Timer::Retransmit || timer_ == Timer::TailProbe;
  if (restart || !runs || nxt_ == una_) arm(now);
}

// RFC 6675 4, IsLost: more than two segments' worth was selectively acknowledged above.
uint64_t TcpSender::lostBelow() const noexcept {
  uint64_t above = 0;
  const auto& all = sacked_.all();
  for (size_t i = all.size(); i-- > 0;) {
    above += all[i].to - all[i].from;
    if (above > 2 * uint64_t{mss_}) return all[i].from;
  }
  return 0;
}

void TcpSender::enterRecovery(uint64_t now, bool timeout) {
  recovering_ = true;
  recoveryPoint_ = nxt_;
  resent_ = una_;
  ssthresh_ = std::max<uint64_t>(pipe() * 7 / 10, 2 * uint64_t{mss_});
  cwnd_ = timeout ? mss_ : ssthresh_;
  lostEdge_ = timeout ? nxt_ : std::max(lostBelow(), std::min(nxt_, una_ + mss_));
  timedEnd_ = 0;
  static_cast<void>(now);
}

void TcpSender::measure(uint64_t now) {
  if (timedEnd_ == 0 || una_ < timedEnd_) return;
  const uint64_t rtt = now - timedAt_;
  timedEnd_ = 0;
  if (srtt_ == 0) {
    srtt_ = rtt;
    rttvar_ = rtt / 2;
  } else {
    rttvar_ = (3 * rttvar_ + (srtt_ > rtt ? srtt_ - rtt : rtt - srtt_)) / 4;
    srtt_ = (7 * srtt_ + rtt) / 8;
  }
  rto_ = std::clamp(srtt_ + 4 * rttvar_, kMinRto, kMaxRto);
}

void TcpSender::acknowledge(uint64_t acknowledged, uint64_t window, std::span<const Range> blocks, uint64_t now) {
  // RFC 9293 3.10.7.4: of what was never sent, or of long ago.
  if (acknowledged > nxt_ || acknowledged < una_) return;
  const bool advanced = acknowledged > una_;
  const bool sameWindow = acknowledged + window == windowEnd_;
  windowEnd_ = acknowledged + window;
  bool news = false;
  for (const Range& block : blocks)
    if (block.from < block.to && block.to <= nxt_ && block.from >= acknowledged) news = sacked_.add(block.from, block.to) || news;
  if (acknowledged > una_) {
    const uint64_t bytes = acknowledged - una_;
    una_ = acknowledged;
    sacked_.removeBelow(una_);
    measure(now);
    backoff_ = 0;
    duplicates_ = 0;
    probed_ = false;
    if (recovering_ && una_ >= recoveryPoint_) recovering_ = false;
    if (!recovering_) cwnd_ += cwnd_ < ssthresh_ ? bytes : std::max<uint64_t>(1, uint64_t{mss_} * bytes / cwnd_);
    cwnd_ = std::min<uint64_t>(cwnd_, 4 << 20);
  } else if (news || (sameWindow && nxt_ > una_)) {
    ++duplicates_;
  }
  // Linux, tcp_check_sack_reneging: the first byte that is missing was once acknowledged selectively.
  if (sacked_.coveredTo(una_) > una_) {
    ++counts_.renegings;
    sacked_.clear();
    enterRecovery(now, true);
  } else if (!recovering_ && nxt_ > una_ && (duplicates_ >= 3 || lostBelow() > una_)) {
    ++counts_.fastRetransmits;
    enterRecovery(now, false);
  } else if (recovering_) {
    lostEdge_ = std::max(lostEdge_, lostBelow());
    // A partial acknowledgement: the segment behind it is lost as well (RFC 6582).
    if (una_ >= lostEdge_ && una_ < recoveryPoint_ && !blocks.empty()) lostEdge_ = std::min(recoveryPoint_, una_ + mss_);
  }
  pump(now, advanced);
}

void TcpSender::arm(uint64_t now) {
  if (nxt_ > una_) {
    const bool probe = !probed_ && !recovering_ && backoff_ == 0 && srtt_ != 0;
    timer_ = probe ? Timer::TailProbe : Timer::Retransmit;
    timerAt_ = now + (probe ? std::max<uint64_t>(2 * srtt_, 10'000) : std::min(rto_ << std::min(backoff_, 12u), kMaxRto));
  } else if (nxt_ < limit()) {
    timer_ = Timer::WindowProbe;
    timerAt_ = now + std::min(rto_ << std::min(backoff_, 12u), kMaxRto);
  } else {
    timer_ = Timer::None;
    timerAt_ = UINT64_MAX;
    return;
  }
  // No host's clock keeps step with the faults of its path.
  timerAt_ += random_.below((timerAt_ - now) / 8 + 1);
}

void TcpSender::onTimer(uint64_t now) {
  switch (timer_) {
    case Timer::None: return;
    case Timer::TailProbe: {
      // RFC 8985 7.3: new data if there is some, else the last segment again.
      ++counts_.tailProbes;
      probed_ = true;
      const uint64_t last = std::min(limit(), windowEnd_);
      if (nxt_ < last) {
        send(nxt_, std::min(last, nxt_ + mss_), now);
      } else {
        send(std::max(una_, nxt_ - std::min<uint64_t>(nxt_, mss_)), nxt_, now);
      }
      arm(now);
      return;
    }
    case Timer::WindowProbe:
      // Linux sends an empty segment of an old number (tcp_xmit_probe_skb), others the next byte.
      ++counts_.windowProbes;
      ++backoff_;
      if (random_.below(2) == 0) {
        sink_.segment(una_, una_);
      } else {
        send(nxt_, nxt_ + 1, now);
      }
      arm(now);
      return;
    case Timer::Retransmit:
      ++counts_.timeouts;
      ++backoff_;
      if (sacked_.coveredTo(una_) > una_) sacked_.clear();
      enterRecovery(now, true);
      pump(now, true);
      return;
  }
}

}  // namespace socrypt::nic::lab
