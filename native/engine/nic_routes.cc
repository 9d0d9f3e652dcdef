// Connections whose way to the peer changes while they are open: away from the host port, and back to it.
//
// On the NIC a socket is bound to the host port and has no other way out, whatever routes say. So it has to leave before
// it can follow them: records are sealed by software from the next one on, and when TCP has everything acknowledged that
// the device had to seal, the binding goes. Where the host port leads nowhere any more that does not come to pass, and the
// connection ends by its timeouts: plaintext that TCP holds is not sent by another way.
#include <sys/epoll.h>

#include <algorithm>

#include "engine/engine.hpp"

namespace socrypt::engine {

namespace {

// What comes and goes while routes have no rest of this length is not followed; where they never have, the longer one.
constexpr uint64_t kSettledNs = 500'000'000, kLongestUnsettledNs = 10 * kSettledNs;
constexpr size_t kLooksPerTurn = 64;

}  // namespace

void Engine::onRoutesChanged() {
  if (!nicRoutes_->changed()) return;
  nicLookedAt_ = 0;
  if (nicRoutesAt_ == UINT64_MAX) nicRoutesBy_ = now_ + kLongestUnsettledNs;
  nicRoutesAt_ = std::min(now_ + kSettledNs, nicRoutesBy_);
}

/// Asks for the ways of some connections; the rest of them in the next turn.
void Engine::lookAtRoutes() {
  size_t looks = 0;
  for (; nicLookedAt_ < connections_.size(); ++nicLookedAt_) {
    if (looks == kLooksPerTurn) {
      nicRoutesAt_ = now_;
      return;
    }
    const auto& slot = connections_[nicLookedAt_];
    if (!slot || slot->dead || slot->closing || slot->phase != Phase::Open) continue;
    Connection& c = *slot;
    if (c.nic) {
      ++looks;
      followRoute(c);
    } else if (c.txWhyNot == WhyNot::other_route || c.txWhyNot == WhyNot::same_host) {
      joinSoon(c);
    }
  }
  nicRoutesAt_ = UINT64_MAX;
}

void Engine::followRoute(Connection& c) {
  const NicPath::Way way = nic_->wayOf(c.nic->key);
  // Without a way there is nothing to gain; and who has become this host, as routes say, is not who is at the other end.
  const bool away = way == NicPath::Way::Elsewhere;
  if (away && c.nic->away) watchFlow(c);
  if (away == c.nic->away || (!away && way != NicPath::Way::HostPort)) return;
  c.nic->away = away;
  c.txWhyNot = away ? WhyNot::other_route : WhyNot::Taken;
  if (away) counters_.addNotTaken(WhyNot::other_route);
  movePath(c);
  watchFlow(c);
}

/// A connection whose way leads elsewhere has nothing in its socket that the device would have to seal: it goes that way.
bool Engine::mayLeave(Connection& c) {
  return c.nic->away && nicRoutesAt_ == UINT64_MAX && c.phase == Phase::Open && nic_->plainIsOver(c) && nic_->wayOf(c.nic->key) == NicPath::Way::Elsewhere;
}

}  // namespace socrypt::engine
