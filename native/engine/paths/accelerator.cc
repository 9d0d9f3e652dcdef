#include "engine/paths/accelerator.hpp"

#include <poll.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace socrypt::engine {

namespace {

// Ops are handed on as soon as there are so many of them; fewer wait for the end of the turn.
constexpr size_t kDispatchAt = 16;
// Two bursts per connection: one is sealed while the next is built.
constexpr uint32_t kBurstsInFlight = 2;
constexpr uint32_t kNeeds = ocf::Caps::OutOfPlace | ocf::Caps::Verify;
// For review(): whatever was looked at a moment ago.
constexpr uint64_t kNow = UINT64_MAX;

uint32_t bitOf(ocf::AlgId alg) noexcept {
  switch (alg) {
    case ocf::AlgId::Aes128Gcm: return 1;
    case ocf::AlgId::Aes256Gcm: return 2;
    case ocf::AlgId::ChaCha20Poly1305: return 4;
    default: return 0;
  }
}

}  // namespace

AcceleratorPath::AcceleratorPath(ocf::Framework& framework, std::vector<uint32_t> drivers, Counters& counters, ocf::DriverReport& report, const AcceleratorOptions& options)
    : OffloadPath(PathKind::Accelerator),
      framework_(framework),
      drivers_(std::move(drivers)),
      inFlight_(std::max<uint32_t>(1, options.recordsInFlight)),
      perBurst_(std::clamp<uint32_t>((inFlight_ + kBurstsInFlight - 1) / kBurstsInFlight, 1, Burst::kRecords)),
      pool_(counters, perBurst_, options.memory),
      counters_(counters),
      inThread_(options.inThread),
      report_(report) {
  [[maybe_unused]] const bool any = review(kNow);
}

AcceleratorPath::~AcceleratorPath() {
  for (Burst* burst : {filling_, control_})
    if (burst != nullptr) pool_.release(burst);
}

// ── keys ──

// Whether one of the drivers has the suite now.
bool AcceleratorPath::offered(record::Suite suite) noexcept {
  static constexpr std::array<uint8_t, 32> kNoKey{};
  const auto facts = record::factsOf(suite);
  if (!facts.known) return false;
  const ocf::Alg alg{.id = facts.alg, .key = std::span(kNoKey).first(ocf::keyLength(facts.alg))};
  return std::any_of(drivers_.begin(), drivers_.end(), [&](uint32_t driver) {
    ocf::Status status = ocf::Status::Ok;
    return framework_.open({.chain = {&alg, 1}, .needs = kNeeds, .where = ocf::SessionParams::Where::Exact, .driver = driver}, &status) != nullptr;
  });
}

WhyNot AcceleratorPath::take(Connection& c, Direction direction, const record::TrafficKeys& keys) {
  // Once here it stays: what is under way has to come first, and the framework finds somebody for the rest.
  const OffloadPath* current = direction == Direction::Tx ? c.txPath : c.rxPath;
  const bool here = current == this || current == &bypass_;
  if (!here && !anybody()) return WhyNot::failed;
  if (!here && !inThread_ && !offered(keys.suite)) return WhyNot::suite;
  if (here && direction == Direction::Tx) {
    // A closed session takes no more ops. Those of the old keys that are not dispatched yet need theirs open.
    flush();
    if (waiting() != 0) retired_.push_back(c.tx.releaseSession());
  }
  const ocf::Status status = direction == Direction::Tx ? c.tx.install(keys, kNeeds) : c.rx.install(keys, kNeeds);
  return status == ocf::Status::Ok ? WhyNot::Taken : WhyNot::failed;
}

// Nobody waits for its bursts any more. Their memory is a driver's until their last op is complete.
void AcceleratorPath::forget(Connection& c, Direction direction) noexcept {
  BurstQueue& queue = queueOf(c, direction);
  // Only the first one may be in the list of what is done.
  if (queue.first != nullptr && queue.first->done()) unlist(*queue.first);
  while (queue.first != nullptr) {
    Burst* burst = queue.pop();
    burst->owner = nullptr;
    // What no driver has seen yet never will.
    const auto mine = [burst](const ocf::Op* op) { return op->opaque == burst; };
    const auto from = gathered_.begin() + static_cast<ptrdiff_t>(dispatched_);
    const auto kept = std::remove_if(from, gathered_.end(), mine);
    burst->left -= static_cast<uint32_t>(gathered_.end() - kept);
    gathered_.erase(kept, gathered_.end());
    if (burst->done()) pool_.release(burst);
  }
  if (direction == Direction::Tx) c.making = 0;
}

bool AcceleratorPath::serves(record::Suite suite) const noexcept {
  const auto facts = record::factsOf(suite);
  return inThread_ || (facts.known && (served_ & bitOf(facts.alg)) != 0);
}

bool AcceleratorPath::adopt(Connection& c, Direction direction) {
  return (direction == Direction::Tx ? c.tx.move(kNeeds) : c.rx.move(kNeeds)) == ocf::Status::Ok;
}

// ── drivers ──

bool AcceleratorPath::ours(uint32_t driver) const noexcept { return std::find(drivers_.begin(), drivers_.end(), driver) != drivers_.end(); }

void AcceleratorPath::add(uint32_t driver) {
  drivers_.push_back(driver);
  reviewedAt_ = 0;
}

ocf::Status AcceleratorPath::withdraw(uint32_t driver, uint64_t deadlineNs) noexcept {
  if (!ours(driver)) return ocf::Status::NoDriver;
  reviewedAt_ = 0;
  touched_ = true;
  return framework_.detach(driver, deadlineNs);
}

ocf::Status AcceleratorPath::withdraw(uint32_t driver, ocf::AlgId alg) noexcept {
  if (!ours(driver)) return ocf::Status::NoDriver;
  reviewedAt_ = 0;
  touched_ = true;
  return framework_.withdraw(driver, alg);
}

// ── sealing ──

OffloadPath::Room AcceleratorPath::room(Connection& c) {
  if (c.txBursts.records >= inFlight_) return {};  // its next completion brings it back
  if (filling_ == nullptr) filling_ = pool_.take();
  if (filling_ == nullptr) {
    starve(c);
    return {};
  }
  return {filling_->in.get(), std::min(perBurst_, inFlight_ - c.txBursts.records)};
}

uint8_t* AcceleratorPath::controlRoom(Connection&, size_t bytes) {
  if (control_ != nullptr && control_->capacity < bytes) pool_.release(std::exchange(control_, nullptr));
  if (control_ == nullptr) control_ = pool_.takeControl(bytes);
  return control_->in.get();
}

OffloadPath::Made AcceleratorPath::make(Connection& c, record::ContentType type, std::span<const record::Slot> slots) {
  Burst*& from = filling_ != nullptr && slots.front().at == filling_->in.get() ? filling_ : control_;
  Burst& burst = *std::exchange(from, nullptr);
  const size_t framed = c.tx.frame(type, slots, burst.framed.data());
  if (framed != slots.size()) {
    pool_.release(&burst);
    return {framed, {}};
  }
  pool_.use(burst, framed);
  const uint8_t before = c.tx.framing().before;
  for (size_t i = 0; i < framed; ++i) {
    uint8_t* to = burst.out.get() + burst.at(i);
    std::memcpy(to, slots[i].at, before);
    burst.from[i] = {slots[i].at + before, burst.framed[i].innerLength};
    burst.to[i] = {to + before, burst.framed[i].innerLength + static_cast<uint32_t>(record::kTagLength)};
  }
  ++c.making;
  begin(burst, c, Direction::Tx, c.tx.session());
  return {framed, {}};
}

// ── opening ──

OffloadPath::Later AcceleratorPath::openLater(Connection& c, std::span<const uint8_t> bytes) {
  Burst* burst = pool_.take();
  // Nothing is being built while records are received.
  if (burst == nullptr) burst = std::exchange(filling_, nullptr);
  if (burst == nullptr) {
    starve(c);
    return {0, Later::NoMemory};
  }
  size_t n = 0, taken = 0;
  bool bad = false;
  while (n < perBurst_) {
    record::Alert ignored;
    const auto found = c.rx.begin(bytes.subspan(taken), n, taken, burst->framed[n], ignored);
    bad = found == record::RecordReader::Result::Fail;
    if (found != record::RecordReader::Result::Record || taken + burst->framed[n].ref.length > burst->capacity) break;
    taken += burst->framed[n++].ref.length;
  }
  if (n == 0) {
    pool_.release(burst);
    return {0, bad ? Later::Bad : Later::NeedMore};
  }
  std::memcpy(burst->in.get(), bytes.data(), taken);
  pool_.use(*burst, n);
  const uint8_t before = c.rx.framing().before;
  for (size_t i = 0; i < n; ++i) {
    const size_t at = burst->at(i) + before;
    burst->from[i] = {burst->in.get() + at, burst->framed[i].innerLength + static_cast<uint32_t>(record::kTagLength)};
    burst->to[i] = {burst->out.get() + at, burst->framed[i].innerLength};
  }
  begin(*burst, c, Direction::Rx, c.rx.session());
  return {taken, Later::Begun};
}

// ── ops ──

void AcceleratorPath::begin(Burst& burst, Connection& c, Direction direction, ocf::Session* session) noexcept {
  burst.path = this;
  burst.owner = &c;
  burst.direction = direction;
  burst.failed = false;
  burst.left = burst.records;
  const record::RecordRef& last = burst.framed[burst.records - 1].ref;
  burst.length = burst.at(burst.records - 1) + last.length;
  for (size_t i = 0; i < burst.records; ++i) {
    ocf::Op& op = burst.ops[i];
    record::Framed& framed = burst.framed[i];
    op.ses = session;
    op.kind = direction == Direction::Tx ? ocf::Kind::Seal : ocf::Kind::Open;
    op.flags = 0;
    op.status = ocf::Status::Pending;
    op.nIn = op.nOut = 1;
    std::memcpy(op.iv, framed.nonce.data(), framed.nonce.size());
    op.in = &burst.from[i];
    op.out = &burst.to[i];
    op.aad = {framed.aad.data(), framed.aadLength};
    op.skip = op.outSkip = 0;
    op.len = op.tagAt = framed.innerLength;
    op.opaque = &burst;
    // Called by Framework::poll(), whoever did the op. To look at the status when dispatch() returns would not do: it
    // may be a driver's thread that writes it then.
    op.done = [](ocf::Op* done) { static_cast<Burst*>(done->opaque)->path->complete(*done); };
    gathered_.push_back(&op);
  }
  queueOf(c, direction).push(burst);
  if (waiting() >= kDispatchAt) flush();
}

void AcceleratorPath::flush() noexcept {
  if (waiting() == 0) return;
  touched_ = true;
  dispatched_ += framework_.dispatch(gathered_.data() + dispatched_, waiting());
  if (waiting() == 0) {
    gathered_.clear();
    dispatched_ = 0;
    retired_.clear();
  }
  // What software did is done.
  look();
}

void AcceleratorPath::look() noexcept {
  ocf::Op* none[1];  // all of ours have a callback
  framework_.poll(none, 0);
}

void AcceleratorPath::poll() noexcept {
  look();
  flush();
}

void AcceleratorPath::complete(ocf::Op& op) noexcept {
  Burst& burst = *static_cast<Burst*>(op.opaque);
  touched_ = true;
  if (op.status != ocf::Status::Ok) burst.failed = true;
  if (--burst.left != 0) return;
  if (burst.owner == nullptr) pool_.release(&burst);
  else if (queueOf(*burst.owner, burst.direction).first == &burst) list(burst);
}

void AcceleratorPath::list(Burst& burst) noexcept {
  burst.nextDone = nullptr;
  (doneLast_ != nullptr ? doneLast_->nextDone : doneFirst_) = &burst;
  doneLast_ = &burst;
}

void AcceleratorPath::unlist(Burst& burst) noexcept {
  Burst* before = nullptr;
  for (Burst* each = doneFirst_; each != &burst; each = each->nextDone) before = each;
  (before != nullptr ? before->nextDone : doneFirst_) = burst.nextDone;
  if (doneLast_ == &burst) doneLast_ = before;
}

Burst* AcceleratorPath::next() noexcept {
  Burst* burst = doneFirst_;
  if (burst == nullptr) return nullptr;
  doneFirst_ = burst->nextDone;
  if (doneFirst_ == nullptr) doneLast_ = nullptr;
  BurstQueue& queue = queueOf(*burst->owner, burst->direction);
  queue.pop();
  if (queue.first != nullptr && queue.first->done()) list(*queue.first);
  return burst;
}

// ── memory ──

void AcceleratorPath::starve(Connection& c) {
  if (c.starved) return;
  c.starved = true;
  starved_.push_back(c.id);
}

void AcceleratorPath::takeStarved(std::vector<uint64_t>& ids) noexcept {
  ids.clear();
  if (hasRoom()) ids.swap(starved_);
}

bool AcceleratorPath::review(uint64_t now) noexcept {
  constexpr uint64_t kReviewNs = kReviewMs * uint64_t{1'000'000};
  if (reviewedAt_ != 0 && now - reviewedAt_ < kReviewNs) return false;
  reviewedAt_ = now == kNow ? 0 : now;
  touched_ = false;
  size_t running = 0;
  uint32_t served = 0;
  std::vector<std::pair<uint32_t, Done>> done;
  std::vector<ocf::DriverInfo> drivers = framework_.drivers();
  for (const ocf::DriverInfo& driver : drivers) {
    if (!ours(driver.id)) continue;
    done.push_back({driver.id, {driver.stats.ops, driver.stats.rescued, driver.stats.wrong}});
    if (driver.state != ocf::UnitState::Running) continue;
    ++running;
    for (const auto& offer : driver.offers)
      if (!offer.withdrawn && offer.mac == ocf::AlgId::Null) served |= bitOf(offer.alg);
  }
  report_.publish(std::move(drivers));
  // What those did that are gone stays counted.
  const auto add = [](Done& to, const Done& from) {
    to.ops += from.ops;
    to.rescued += from.rescued;
    to.wrong += from.wrong;
  };
  for (const auto& [id, before] : done_) {
    if (std::any_of(done.begin(), done.end(), [id = id](const auto& each) { return each.first == id; })) continue;
    add(gone_, before);
    std::erase(drivers_, id);
  }
  done_ = std::move(done);
  Done all = gone_;
  for (const auto& [id, each] : done_) add(all, each);
  counters_.set(Counter::accelerator_ops, all.ops);
  counters_.set(Counter::accelerator_rescued, all.rescued);
  counters_.set(Counter::accelerator_wrong, all.wrong);
  counters_.set(Counter::accelerators_running, running);
  const bool changed = (running == 0) != (running_ == 0) || served != served_;
  running_ = running;
  served_ = served;
  return changed;
}

void AcceleratorPath::stop() noexcept {
  constexpr uint64_t kDeadlineNs = 1'000'000'000;
  for (const uint32_t driver : drivers_) [[maybe_unused]] const auto gone = framework_.detach(driver, kDeadlineNs);
  // Ops that no driver has yet are nobody's any more: their connections are gone, and forget() took them.
  while (framework_.pending() != 0) {
    poll();
    if (framework_.pending() == 0) break;
    pollfd wake{framework_.wakeFd(), POLLIN, 0};
    ::poll(&wake, 1, 10);
  }
}

}  // namespace socrypt::engine
