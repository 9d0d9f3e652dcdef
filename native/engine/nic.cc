// Connections that go through the NIC: what becomes of them when the device changes, when they are over, and the
// records around a file's pages.
#include <fcntl.h>
#include <linux/stat.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "engine/engine.hpp"
#include "record/file_payload.hpp"

namespace socrypt::engine {

namespace {

constexpr uint64_t kTickNs = 100'000'000;
constexpr uint64_t kWaitingTickNs = 2'000'000;
// When a connection that software seals for is offered to the NIC again; each takes some ten system calls.
constexpr uint64_t kFirstJoinNs = 250'000'000, kLastJoinNs = 32'000'000'000;
constexpr size_t kJoinsPerTurn = 64;
// A shorter rest is copied with what else there is to send.
constexpr uint64_t kLeastPages = 64 * 1024;
constexpr uint64_t kReservedRecords = 16;
const auto kPage = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));

/// Nobody can write to this file any more: memfd_create(2), and fs-verity (statx(2)).
bool unchangeable(int file) noexcept {
  const int seals = fcntl(file, F_GET_SEALS);
  if (seals >= 0 && (seals & (F_SEAL_WRITE | F_SEAL_SHRINK)) == (F_SEAL_WRITE | F_SEAL_SHRINK)) return true;
  struct statx facts {};
  return syscall(SYS_statx, file, "", AT_EMPTY_PATH, 0, &facts) == 0 && (facts.stx_attributes & STATX_ATTR_VERITY) != 0;
}

}  // namespace

void Engine::attachNic() {
  if (options_.nic == nullptr) return;
  nic_ = std::make_unique<NicPath>(options_.nic, options_.nicMustRetain);
  paths_ = {nic_.get(), &nic_->aside(), &software_};
  if (options_.zeroCopy == ZeroCopy::Guard && !options_.nicMustRetain) pagePipes_ = PagePipes::make();
  nicRoutes_.emplace();
  nicChanged_ = std::make_shared<std::atomic<bool>>(false);
  nicWatch_ = options_.nic->watch([changed = nicChanged_, doorbell = doorbell_] {
    changed->store(true, std::memory_order_release);
    doorbell->ring();
  });
}

void Engine::watchFlow(Connection& c) {
  if (c.nic->watched) return;
  c.nic->watched = true;
  nicWatched_.push_back(c.id);
  nicTickAt_ = std::min(nicTickAt_, now_ + kTickNs);
}

/// TCP still holds something that was sent, and nobody but the device could seal what it sends of it.
bool Engine::owesAcknowledgement(Connection& c) { return c.nic && !nic_->acknowledge(c, now_) && !nic::tcpClosed(c.fd); }

void Engine::nicTurn() {
  if (nicChanged_->exchange(false, std::memory_order_acquire)) onNicChanged();
  if (now_ >= nicRoutesAt_) lookAtRoutes();
  if (now_ >= nicJoinAt_) joinWaiting();
  if (now_ < nicTickAt_) return;
  nicTickAt_ = UINT64_MAX;
  std::vector<uint64_t> all;
  all.swap(nicWatched_);
  bool waiting = false;
  for (const uint64_t id : all) {
    Connection* c = find(id);
    if (c == nullptr || !c->nic || !c->nic->watched) continue;
    c->nic->watched = false;
    if (lookAtFlow(*c)) watchFlow(*c);
    if (!c->dead && c->nic && !c->nic->waiting.empty()) waiting = true;
  }
  if (waiting) nicTickAt_ = now_ + kWaitingTickNs;
}

/// True while it has to be looked at again.
bool Engine::lookAtFlow(Connection& c) {
  const bool all = !owesAcknowledgement(c);
  if (c.nic->guarded && nic_->nic().broken(c.nic->flow)) {
    counters_.add(Counter::guard_changed);
    notice(Notice::FileChanged, 0);
    if (c.response && c.response->entry) cache_.drop(*c.response->entry);
    destroy(c, Counter::closed_file_changed);
    return false;
  }
  if (!c.nic->waiting.empty()) serve(c, {});
  if (c.dead || !c.nic) return false;
  if (mayLeave(c)) {
    leaveNic(c, WhyNot::other_route);
    return false;
  }
  if (!all || !c.sent()) return true;
  c.nic->guarded = false;
  if (c.phase == Phase::Linger && c.endOfStream) {
    destroy(c, c.closeReason);
    return false;
  }
  if (c.phase == Phase::Open && nic_->dead()) leaveNic(c, WhyNot::device_dead);
  return false;
}

/// Nothing of this connection needs the device any more.
void Engine::leaveNic(Connection& c, WhyNot why) {
  setPath(c, Direction::Tx, &software_);
  nic_->leave(c);
  c.txWhyNot = why;
}

void Engine::movePath(Connection& c) {
  OffloadPath* const path = nic_->usable() && !c.nic->away ? static_cast<OffloadPath*>(nic_.get()) : &nic_->aside();
  if (c.txPath == path) return;
  setPath(c, Direction::Tx, path);
  counters_.add(Counter::path_moves);
}

void Engine::onNicChanged() {
  const bool wasDead = nic_->dead();
  nic_->refresh();
  if (nic_->dead() != wasDead) notice(nic_->dead() ? Notice::DeviceLost : Notice::DeviceBack, 0);
  for (auto& slot : connections_) {
    if (!slot || !slot->nic || slot->dead) continue;
    Connection& c = *slot;
    if (nic_->dead()) {
      if (options_.onDeviceLoss == OnDeviceLoss::Close) {
        destroy(c, Counter::closed_device_lost);
        continue;
      }
    } else if (!nic_->nic().has(c.nic->flow) || !nic_->rebind(c)) {
      destroy(c, Counter::closed_device_lost);
      continue;
    }
    movePath(c);
    watchFlow(c);
    enqueue(c);
  }
  if (nic_->usable()) joinNow();
}

// ── connections that came while the NIC could not take them ──

/// Software seals for `c` for now: other connections end, and so do markers of those that ended before. For a device that
/// is dead or paused nobody waits here, since it tells, and so do routes (nic_routes.cc); what suites and sockets are is asked
/// with the next keys.
void Engine::joinLater(Connection& c, WhyNot why) {
  if (c.nicWaiting || (why != WhyNot::no_room && why != WhyNot::key_in_use)) return;
  c.nicWaiting = true;
  nicWaiting_.push_back({c.id, now_ + kFirstJoinNs, kFirstJoinNs});
  nicJoinAt_ = std::min(nicJoinAt_, now_ + kFirstJoinNs);
}

void Engine::joinNow() {
  for (NicWaiting& each : nicWaiting_) each.at = now_;
  for (auto& slot : connections_) {
    if (slot && !slot->dead && (slot->txWhyNot == WhyNot::device_dead || slot->txWhyNot == WhyNot::paused)) joinSoon(*slot);
  }
  if (!nicWaiting_.empty()) nicJoinAt_ = now_;
}

void Engine::joinSoon(Connection& c) {
  if (c.nic || c.nicWaiting || c.txPath != &software_) return;
  c.nicWaiting = true;
  nicWaiting_.push_back({c.id, now_, kFirstJoinNs});
  nicJoinAt_ = now_;
}

void Engine::joinWaiting() {
  nicJoinAt_ = UINT64_MAX;
  size_t asked = 0;
  std::erase_if(nicWaiting_, [&](NicWaiting& each) {
    Connection* const c = find(each.id);
    if (c == nullptr) return true;
    if (each.at <= now_ && asked < kJoinsPerTurn) {
      ++asked;
      each.at = now_ + each.pause;
      each.pause = std::min(2 * each.pause, kLastJoinNs);
      if (!mayJoin(*c)) return c->nicWaiting = false, true;
    }
    nicJoinAt_ = std::min(nicJoinAt_, each.at);
    return false;
  });
}

/// False: it is on the NIC now, or there is no point in asking again soon.
bool Engine::mayJoin(Connection& c) {
  if (c.dead || c.closing || c.nic || c.phase != Phase::Open || c.txPath != &software_) return false;
  c.txWhyNot = nic_->join(c);
  if (c.txWhyNot == WhyNot::Taken) {
    setPath(c, Direction::Tx, nic_.get());
    counters_.add(Counter::path_moves);
  }
  return c.txWhyNot == WhyNot::no_room || c.txWhyNot == WhyNot::key_in_use;
}

void Engine::pauseNic(bool pause) {
  if (!nic_) return;
  nic_->setPaused(pause);
  for (auto& slot : connections_)
    if (slot && slot->nic && !slot->dead) movePath(*slot);
  if (nic_->usable()) joinNow();
}

/// What is left of the response is sent without copying it, as soon as a record can begin with a page.
bool Engine::pagesWanted(const Connection& c) const noexcept {
  if (!pagePipes_ || c.txPath != nic_.get() || !c.response || c.maxFragment < kPage) return false;
  const Response& response = *c.response;
  return response.headAt == response.head.size() && response.memory == nullptr && response.file != nullptr && response.left >= kLeastPages;
}

/// How much of the file is copied before its pages are sent: small records first, and then what there is before a page
/// begins. A record of whole pages has no more of them than it needs.
uint64_t Engine::copiedBeforePages(const Connection& c, uint64_t small) noexcept {
  const uint64_t from = c.response->offset + small;
  return small + (kPage - from % kPage) % kPage;
}

/// Begins records around the pages of the response's file. False: not now, they are to be copied.
bool Engine::beginPages(Connection& c) {
  if (!pagesWanted(c) || c.making != 0 || copiedBeforePages(c, c.smallRecords) != 0) return false;
  Response& response = *c.response;
  Variant& variant = *response.file;
  const int file = variant.fd.get();
  const auto payload = static_cast<uint32_t>(c.maxFragment - c.maxFragment % kPage);
  uint64_t records = std::min<uint64_t>(FileBurst::kMostRecords, response.left / payload);
  if (c.tx.recordsLeft() < records + kReservedRecords) return false;
  if (!unchanged(file, variant.identity)) {
    cache_.drop(*response.entry);
    abort(c, record::Alert::InternalError, Counter::closed_file_changed);
    return true;
  }
  if (!variant.window || !variant.window->holds(response.offset, payload)) {
    variant.window = FileWindow::of(file, variant.identity.size, response.offset);
    if (!variant.window) return false;
  }
  while (records != 0 && !variant.window->holds(response.offset, records * payload)) --records;
  const uint64_t length = records * payload;
  // vmsplice(2) would read the others from the disk, and wait. They are copied.
  if (records == 0 || !record::inMemory(file, response.offset, length)) return false;
  Pages& pages = response.pages;
  if (!pages.payload) {
    pages.file = fcntl(file, F_DUPFD_CLOEXEC, 0);
    if (pages.file < 0) return false;
    pages.payload = record::PayloadRef(std::make_unique<record::FilePayload>(pages.file, 0));
    pages.mayChange = !unchangeable(file);
  }
  FileBurst burst{.pages = pages, .window = variant.window, .pipe = pagePipes_->take()};
  if (!burst.pipe) return false;
  burst.offset = response.offset;
  burst.payload = payload;
  burst.records = static_cast<uint8_t>(records);
  burst.more = response.left != length;
  if (!nic_->beginBurst(c, std::move(burst))) {
    destroy(c, Counter::closed_error);
    return true;
  }
  watchFlow(c);
  response.offset += length;
  response.left -= length;
  counters_.add(Counter::records_sealed, PathKind::Nic, records);
  counters_.add(Counter::plaintext_bytes_out, PathKind::Nic, length);
  counters_.add(Counter::ciphertext_bytes_out, PathKind::Nic, c.nic->burst->wireLength());
  counters_.add(Counter::sendfile_bytes, length);
  counters_.add(Counter::zero_copy_bytes, length);
  return true;
}

/// False: the socket does not take more now, or the connection is gone.
bool Engine::writeBurst(Connection& c) {
  FileBurst& burst = *c.nic->burst;
  const uint64_t end = burst.wireLength();
  // False: none of what is left can be had (errno).
  const auto fill = [&] {
    std::array<iovec, FileBurst::kMostParts> parts;
    return burst.pipe->fill(std::span(parts).first(burst.parts(pagePipes_->frames(), parts)));
  };
  while (burst.written < end) {
    if (!burst.pipe) burst.pipe = pagePipes_->take();
    if (!burst.pipe || (burst.pipe->held() == 0 && !fill())) {
      // EFAULT: the file is shorter than it was, and the record cannot be finished.
      destroy(c, burst.pipe && errno == EFAULT ? Counter::closed_file_changed : Counter::closed_error);
      return false;
    }
    const size_t n = burst.pipe->drain(c.fd, burst.more || burst.written + burst.pipe->held() < end);
    const int why = errno;
    burst.written += n;
    c.bytesOut += n;
    if (burst.pipe->held() == 0) continue;
    if (why != EAGAIN) {
      destroy(c, Counter::closed_client);
      return false;
    }
    counters_.add(Counter::backpressure_eagain);
    if (!pagePipes_->mayKeep()) burst.pipe.reset();
    return false;
  }
  return true;
}

/// Goes on with what the device had no room for, and with what the socket did not take of a burst. False: not done.
bool Engine::flushNic(Connection& c) {
  NicFlow& flow = *c.nic;
  if (!flow.waiting.empty()) {
    if (!nic_->announceWaiting(c)) return false;
    if (flow.burst) flow.burst->announced = true;
  }
  if (flow.burst) {
    if (!writeBurst(c)) return false;
    flow.burst.reset();
    --c.making;
  }
  if (!flow.waitingWire.empty()) {
    const std::vector<uint8_t> wire = std::move(flow.waitingWire);
    flow.waitingWire.clear();
    --c.making;
    if (!transmit(c, wire)) return false;
  }
  return c.out.empty();
}

}  // namespace socrypt::engine
