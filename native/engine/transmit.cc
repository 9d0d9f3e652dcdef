// Responses -> records -> socket.
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "engine/engine.hpp"

namespace socrypt::engine {

namespace {

constexpr int kBatchesPerTurn = 4;
constexpr uint64_t kIdleRestartNs = 1'000'000'000;
// How far ahead a cold read goes, so that the next batches find their pages.
constexpr uint64_t kColdAhead = 1 << 20;
// Above this much ciphertext waiting in this engine, connections get smaller batches.
constexpr uint64_t kBufferBudget = 64u << 20;
constexpr uint64_t kRekeyAhead = 1024;
constexpr uint64_t kReservedRecords = 8;
constexpr size_t kMaxControl = 256;

}  // namespace

size_t Engine::batch() const noexcept {
  const uint64_t used = counters_.get(Counter::buffer_bytes_used);
  if (used < kBufferBudget / 2) return slots_.size();
  return used < kBufferBudget ? 4 : 1;
}

void Engine::pump(Connection& c) {
  for (int turn = 0; turn < kBatchesPerTurn; ++turn) {
    if (!flush(c)) return;
    if (c.dead || c.closing || c.phase != Phase::Open) return;
    if (c.cold) return;
    if (beginPages(c)) {
      if (!c.dead) checkUsage(c);
      c.activeAt = now_;
      continue;
    }
    const OffloadPath::Room room = c.txPath->room(c);
    if (room.records == 0) return;
    const size_t slots = fill(c, room);
    if (c.dead) return;
    if (slots == 0) {
      if (c.closing) return finishClose(c);
      if (c.response || c.waiting != 0 || c.cold) return;
      // What could not be asked yet, or not be answered under these keys, is still to be answered.
      if (!cursor_.empty() && (c.upBlocked || c.rekeyAsked)) return;
      // Nothing to send and nothing to answer.
      if (c.peerClosed || (draining_ && cursor_.empty() && !c.skipping))
        beginClose(c, true, draining_ ? Counter::closed_drain : Counter::closed_client);
      return;
    }
    const auto made = std::span(slots_).first(slots);
    const record::Framing framing = c.tx.framing();
    const size_t length = wireLength(made, framing);
    const PathKind path = c.txPath->kind();
    // The last response's end, close_notify and FIN share a segment.
    c.more = c.closing && c.notifyOnClose;
    if (!emit(c, record::ContentType::ApplicationData, made)) return destroy(c, Counter::closed_error);
    c.more = false;
    counters_.add(Counter::plaintext_bytes_out, path, length - slots * framing.overhead());
    counters_.add(Counter::ciphertext_bytes_out, path, length);
    checkUsage(c);
    c.activeAt = now_;
    if (c.closing) return finishClose(c);
    if (!c.out.empty()) return;
  }
  enqueue(c);
}

size_t Engine::fill(Connection& c, OffloadPath::Room place) {
  size_t slots = std::min(batch(), place.records);
  const record::Framing framing = c.tx.framing();
  // Some records stay reserved for the KeyUpdate, for tickets and for alerts under this key.
  const uint64_t left = c.tx.recordsLeft();
  if (left < slots + kReservedRecords) {
    checkUsage(c);
    if (left <= kReservedRecords) {
      // TLS 1.2 has no way out of a key but the end of the connection; a response that is cut off shows by its length.
      if (c.tx.tls12()) beginClose(c, true, Counter::closed_key_limit);
      return 0;
    }
    slots = static_cast<size_t>(left - kReservedRecords);
  }
  if (now_ - c.activeAt > kIdleRestartNs) c.smallRecords = kSmallBytes;

  size_t slot = 0;
  uint32_t used = 0;
  slots_[0] = {place.at, 0};
  const auto capacityWith = [&c](uint32_t small) { return small != 0 ? std::min(kSmallPayload, c.maxFragment) : c.maxFragment; };
  const auto capacity = [&] { return capacityWith(c.smallRecords); };
  uint32_t room = capacity();
  // Closes the current slot and opens the next one; false when the batch is full.
  const auto advance = [&] {
    slots_[slot].payloadLength = used;
    c.smallRecords -= std::min(c.smallRecords, used);
    uint8_t* next = slots_[slot].at + framing.overhead() + used;
    ++slot;
    used = 0;
    if (slot == slots) return false;
    slots_[slot] = {next, 0};
    room = capacity();
    return true;
  };

  while (slot < slots) {
    if (!c.response) {
      if (!nextResponse(c) && !c.response) break;
      continue;
    }
    Response& response = *c.response;
    if (!response.firstByte) {
      response.firstByte = true;
      counters_.observe(Counter::time_to_first_byte_first, kDurationBounds, now_ > response.startedAt ? now_ - response.startedAt : 0);
    }
    if (response.headAt < response.head.size()) {
      const auto n = static_cast<uint32_t>(std::min<size_t>(room - used, response.head.size() - response.headAt));
      std::memcpy(slots_[slot].at + framing.before + used, response.head.data() + response.headAt, n);
      response.headAt += n;
      used += n;
    } else if (response.left != 0 && response.memory != nullptr) {
      const auto n = static_cast<uint32_t>(std::min<uint64_t>(room - used, response.left));
      std::memcpy(slots_[slot].at + framing.before + used, response.memory, n);
      response.memory += n;
      response.left -= n;
      used += n;
      counters_.add(Counter::memory_bytes, n);
    } else if (response.left != 0) {
      uint64_t end = response.left;
      if (pagesWanted(c)) {
        const uint64_t copied = copiedBeforePages(c, c.smallRecords - std::min(c.smallRecords, used));
        if (copied != 0) end = copied;
        else if (slot != 0 || used != 0) break;
      }
      // A run of full slots is read with one call, straight to where it will be encrypted.
      iovec parts[16];
      size_t count = 0;
      uint64_t want = 0;
      uint8_t* at = slots_[slot].at;
      uint32_t begin = used, space = room;
      uint32_t small = c.smallRecords;
      for (size_t s = slot; s < slots && want < end; ++s) {
        const auto n = static_cast<uint32_t>(std::min<uint64_t>(space - begin, end - want));
        parts[count++] = {at + framing.before + begin, n};
        want += n;
        at += framing.overhead() + begin + n;
        small -= std::min(small, begin + n);
        begin = 0;
        space = capacityWith(small);
      }
      ssize_t n = preadv2(response.file->fd.get(), parts, static_cast<int>(count), static_cast<off_t>(response.offset), RWF_NOWAIT);
      if (n < 0 && errno == EOPNOTSUPP)
        n = preadv(response.file->fd.get(), parts, static_cast<int>(count), static_cast<off_t>(response.offset));
      // Looked at after the bytes were taken: a writer touches mtime before it touches a page.
      if ((n < 0 && errno != EAGAIN) || !unchanged(response.file->fd.get(), response.file->identity)) {
        cache_.drop(*response.entry);
        abort(c, record::Alert::InternalError, Counter::closed_file_changed);
        return 0;
      }
      if (n <= 0) {
        counters_.add(Counter::cold_reads);
        if (!coldReader_.submit(c.id, response.file->fd.get(), response.offset, std::min(response.left, kColdAhead))) {
          abort(c, record::Alert::InternalError, Counter::closed_error);
          return 0;
        }
        c.cold = true;
        break;
      }
      auto got = static_cast<uint64_t>(n);
      counters_.add(Counter::sendfile_bytes, got);
      response.offset += got;
      response.left -= got;
      while (got != 0) {
        const auto taken = static_cast<uint32_t>(std::min<uint64_t>(room - used, got));
        used += taken;
        got -= taken;
        if (got != 0 && !advance()) break;
      }
    } else if (response.entry && response.entry->kind == Entry::Kind::Segments && response.bodyBytes != 0 &&
               response.segment < response.entry->segments.size()) {
      const Segment& segment = response.entry->segments[response.segment++];
      response.left = segment.length;
      response.offset = segment.offset;
      response.memory = segment.bytes.empty() ? nullptr : reinterpret_cast<const uint8_t*>(segment.bytes.data());
      response.file = &response.entry->variants.front();
    } else {
      const bool close = response.closeAfter;
      const bool named = c.closeReason == Counter::closed_max_requests || c.closeReason == Counter::closed_key_limit;
      const Counter reason = named ? c.closeReason : draining_ ? Counter::closed_drain : Counter::closed_client;
      finishResponse(c);
      if (close) {
        c.closing = true;
        c.notifyOnClose = true;
        c.closeReason = reason;
        break;
      }
    }
    if (used == room && !advance()) break;
  }
  if (slot < slots && used != 0) advance();
  return slot;
}

bool Engine::flush(Connection& c) {
  if (!c.out.empty()) {
    const auto waiting = c.out.view();
    const ssize_t n = send(c.fd, waiting.data(), waiting.size(), MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EAGAIN || errno == EINTR) return false;
      destroy(c, Counter::closed_client);
      return false;
    }
    c.bytesOut += static_cast<uint64_t>(n);
    c.out.consume(static_cast<size_t>(n));
    if (!c.out.empty()) return false;
  }
  return c.making == 0 || !c.nic || flushNic(c);
}

bool Engine::transmit(Connection& c, std::span<const uint8_t> bytes) {
  if (!c.out.empty()) {
    c.out.append(bytes);
    return true;
  }
  while (!bytes.empty()) {
    const ssize_t n = send(c.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | (c.more ? MSG_MORE : 0));
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) {
        destroy(c, Counter::closed_client);
        return false;
      }
      counters_.add(Counter::backpressure_eagain);
      // What is sealed is sealed: these bytes, and no others, are sent when there is room.
      c.out.append(bytes);
      return true;
    }
    c.bytesOut += static_cast<uint64_t>(n);
    bytes = bytes.subspan(static_cast<size_t>(n));
    if (!bytes.empty() && n > 0) {
      counters_.add(Counter::backpressure_eagain);
      c.out.append(bytes);
      return true;
    }
  }
  return true;
}

bool Engine::sendControl(Connection& c, record::ContentType type, std::span<const uint8_t> content) {
  if (content.size() > kMaxControl) return false;
  const record::Framing framing = c.tx.framing();
  const record::Slot slot{c.txPath->controlRoom(c, framing.overhead() + content.size()), static_cast<uint32_t>(content.size())};
  std::memcpy(slot.at + framing.before, content.data(), content.size());
  if (emit(c, type, {&slot, 1})) return true;
  destroy(c, Counter::closed_error);
  return false;
}

// RFC 8446 5.5: a key that has sealed its share of records is replaced before it seals one too many.
// A few are kept back for the KeyUpdate itself and for alerts.
bool Engine::keyNearlyUsedUp(const Connection& c) const noexcept {
  const uint64_t limit = options_.recordLimit != 0 ? options_.recordLimit : record::kAesGcmRecordLimit;
  return c.tx.recordsLeft() <= std::min(kRekeyAhead, limit / 2);
}

void Engine::checkUsage(Connection& c) {
  // One exchange with the control plane at a time: two answers made from one state would make one key twice.
  if (c.rekeyAsked || c.receivePaused || c.tx.tls12() || !keyNearlyUsedUp(c)) return;
  const std::span<const uint8_t> blob{c.blob.data(), c.blobLength};
  c.rekeyAsked = c.receivePaused = true;
  if (!sendUp(Up::RekeyDue, c.id, 4 + blob.size(), [blob](MessageWriter& w) { w.bytes(blob); })) {
    c.rekeyBlocked = c.upBlocked = true;
    blocked_.push_back(c.id);
  }
}

}  // namespace socrypt::engine
