#include "nic/device/flow.hpp"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>

namespace socrypt::nic {
namespace {

using ocf::Status;
using record::MappedRecord;

// Each rekey costs the sender a round trip of control traffic; more than these unacknowledged is a fault.
constexpr size_t kMaxEpochs = 8;

// TLS 1.3 has at least its content type in the text.
uint32_t leastLength(const RecordCipher& cipher) noexcept {
  return cipher.facts().framing.before + static_cast<uint32_t>(record::kTagLength) + (cipher.facts().tls12 ? 0 : 1);
}

RecordShape shapeOf(const MappedRecord& record, const RecordCipher& cipher) noexcept {
  return {record.recordSeq(), static_cast<uint32_t>(record.length() - cipher.facts().framing.before - record::kTagLength), record.type()};
}

}  // namespace

std::shared_ptr<Flow> Flow::make(FlowId id, const FlowKey& key, const record::TrafficKeys& keys, Start start,
                                 const FlowOptions& options, Counters& counters, record::RetentionBudget& budget) {
  std::shared_ptr<Flow> flow(new Flow(id, key, keys, start, options, counters, budget));
  return flow->rekey(keys) == Status::Ok ? flow : nullptr;
}

Flow::Flow(FlowId id, const FlowKey& key, const record::TrafficKeys& keys, Start start, const FlowOptions& options,
           Counters& counters, record::RetentionBudget& budget)
    : id_(id),
      key_(key),
      start_(keys.streamOffset),
      startSequence_(start.tcpSequence),
      options_(options),
      counters_(counters),
      map_(keys.streamOffset, options.resync == Resync::OrderFree ? options.retention : record::Retention::UntilAcknowledged,
           options.limits, budget),
      floor_(static_cast<int64_t>(keys.streamOffset) - start.unacknowledged),
      acknowledged_(keys.streamOffset),
      expected_(keys.streamOffset),
      highest_(keys.streamOffset) {
  if (options.traceRecords != 0) trace_.emplace(options.traceRecords);
}

Status Flow::rekey(const record::TrafficKeys& keys) {
  const auto lock = enter();
  {
    const std::lock_guard at(door_.mutex);
    door_.least = 0;
  }
  if (!epochs_.empty() && keys.epoch <= epochs_.back().epoch) return Status::Invalid;
  // An epoch before the newest that has no records in flight gets no new ones.
  const uint32_t newest = epochs_.empty() ? 0 : epochs_.back().epoch;
  std::erase_if(epochs_, [newest](const Epoch& epoch) { return epoch.records == 0 && epoch.epoch != newest; });
  if (epochs_.size() == kMaxEpochs) return Status::Full;
  auto cipher = RecordCipher::make(keys);
  if (cipher == nullptr) return Status::NoDriver;
  epochs_.push_back({keys.epoch, 0, std::move(cipher)});
  return Status::Ok;
}

RecordCipher* Flow::cipherOf(uint32_t epoch) noexcept {
  for (auto it = epochs_.rbegin(); it != epochs_.rend(); ++it)
    if (it->epoch == epoch) return it->cipher.get();
  return nullptr;
}

bool Flow::makeGuardKey() {
  if (guardKey_) return true;
  std::array<uint8_t, 16> random;
  if (RAND_bytes(random.data(), random.size()) != 1) return false;
  guardKey_.emplace(random.data());
  ocf::wipe(random.data(), random.size());
  return true;
}

std::unique_lock<std::mutex> Flow::enter() {
  std::unique_lock lock(mutex_);
  if (arrived_.load(std::memory_order_acquire)) settle();
  return lock;
}

void Flow::settle() {
  const std::lock_guard at(door_.mutex);
  if (door_.records.empty()) return;
  // leaveAtDoor() let in only what is accepted. Were it not, its plaintext may be in the socket: nothing leaves any more.
  if (take(door_.records) != Status::Ok) broken_ = true;
  openDoor(door_.records);
  door_.records.clear();
  arrived_.store(false, std::memory_order_relaxed);
}

Status Flow::push(std::span<record::NewRecord> records) {
  std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock) {
    const std::lock_guard at(door_.mutex);
    if (leaveAtDoor(records)) return Status::Ok;
  }
  if (!lock) lock.lock();
  settle();
  const Status status = take(records);
  if (status == Status::Ok) {
    const std::lock_guard at(door_.mutex);
    openDoor(records);
  }
  return status;
}

/// False: only take() can tell whether these are accepted. Records with memory of their own are not so many.
bool Flow::leaveAtDoor(std::span<record::NewRecord> records) {
  if (door_.least == 0 || records.size() > door_.room) return false;
  uint64_t end = door_.end;
  uint64_t recordSeq = door_.recordSeq;
  for (const auto& record : records) {
    if (record.sealed || !record.guarded || !record.payload || record.ref.epoch != door_.epoch || record.ref.streamOffset != end ||
        record.ref.recordSeq <= recordSeq || record.ref.length < door_.least || record.ref.length - door_.least > kMaxText - 1)
      return false;
    end += record.ref.length;
    recordSeq = record.ref.recordSeq;
  }
  door_.records.insert(door_.records.end(), std::move_iterator(records.begin()), std::move_iterator(records.end()));
  door_.end = end;
  door_.recordSeq = recordSeq;
  door_.room -= records.size();
  arrived_.store(true, std::memory_order_release);
  return true;
}

void Flow::openDoor(std::span<const record::NewRecord> taken) {
  door_.least = 0;
  if (taken.empty() || taken.back().sealed || !guardKey_ || options_.resync != Resync::OrderFree) return;
  const record::RecordRef& last = taken.back().ref;
  const RecordCipher* cipher = cipherOf(last.epoch);
  const uint64_t window = map_.end() - acknowledged_;
  if (cipher == nullptr || window > kWindow) return;
  door_.end = map_.end();
  door_.recordSeq = last.recordSeq;
  door_.epoch = last.epoch;
  door_.least = leastLength(*cipher);
  door_.room = std::min<uint64_t>(options_.limits.records - map_.records(), (kWindow - window) / record::kMaxRecord);
}

Status Flow::take(std::span<record::NewRecord> records) {
  for (const auto& record : records) {
    if (record.ref.streamOffset + record.ref.length - acknowledged_ > kWindow) return Status::Full;
    if (record.sealed) continue;
    if (record.guarded && (options_.resync != Resync::OrderFree || !record.payload)) return Status::Invalid;
    if (record.guarded && !makeGuardKey()) return Status::NoMemory;
    const RecordCipher* cipher = cipherOf(record.ref.epoch);
    if (cipher == nullptr) return Status::Invalid;
    const uint32_t least = leastLength(*cipher);
    if (record.ref.length < least || record.ref.length - least > kMaxText - 1) return Status::Invalid;
  }
  const Status status = map_.push(records);
  if (status != Status::Ok) return status;
  for (const auto& record : records) {
    if (record.sealed) continue;
    if (record.guarded) Counters::add(counters_.tx_tls_guarded_records);
    for (auto& epoch : epochs_)
      if (epoch.epoch == record.ref.epoch) ++epoch.records;
  }
  if (resyncWanted_ && !records.empty()) {
    syncPoint_ = records.front().ref.streamOffset;
    resyncWanted_ = false;
  }
  return Status::Ok;
}

void Flow::acknowledged(uint64_t streamOffset) {
  const auto lock = enter();
  if (streamOffset > map_.end()) return;
  floor_ = std::max(floor_, static_cast<int64_t>(streamOffset));
  if (streamOffset <= acknowledged_) return;
  acknowledged_ = streamOffset;
  map_.release(streamOffset, [this](const MappedRecord& record) {
    if (record.context() != MappedRecord::kNoContext) closeContext(record.context());
    if (record.sealed()) return;
    for (auto& epoch : epochs_)
      if (epoch.epoch == record.epoch()) --epoch.records;
  });
  // RecordCipher's destructor wipes.
  while (epochs_.size() > 1 && epochs_.front().records == 0) epochs_.erase(epochs_.begin());
}

void Flow::resync(uint64_t streamOffset) {
  const auto lock = enter();
  const MappedRecord* record = map_.find(streamOffset);
  if (record == nullptr || record->streamOffset() != streamOffset || inStep_) return;
  syncPoint_ = streamOffset;
  resyncWanted_ = false;
}

void Flow::evict() {
  const auto lock = enter();
  for (auto& open : open_) {
    open.sum = {};
    open.seen.clear();
  }
  inOrder_ = {};
  if (options_.resync == Resync::NextRecord && inStep_) {
    inStep_ = false;
    resyncWanted_ = true;
    Counters::add(counters_.tx_tls_resync_req);
  }
}

Flow::Usage Flow::usage() {
  const auto lock = enter();
  return {map_.records(), static_cast<uint32_t>(open_.size() - freeContexts_.size()), map_.payloadBytes(),
          static_cast<uint32_t>(epochs_.size()), acknowledged_, broken_};
}

std::vector<RecordTrace> Flow::trace() {
  const auto lock = enter();
  return trace_ ? trace_->list() : std::vector<RecordTrace>();
}

void Flow::note(const MappedRecord& record, uint32_t from, size_t bytes, bool hadTag, bool left, uint64_t now) noexcept {
  RecordTrace& trace = trace_->of(record);
  if (record.guarded()) trace.guard = broken_ ? GuardVerdict::Changed : GuardVerdict::Same;
  if (!left) {
    ++trace.dropped;
    return;
  }
  if (trace.segments++ == 0) trace.firstSend = now;
  trace.lastSend = now;
  trace.bytes += bytes;
  if (from + bytes > record.length() - record::kTagLength && !record.sealed()) trace.tag = hadTag ? TagSource::Kept : TagSource::Computed;
}

int64_t Flow::unwrap(uint32_t sequence) const noexcept {
  const uint32_t reference = startSequence_ + static_cast<uint32_t>(acknowledged_ - start_);
  return static_cast<int64_t>(acknowledged_) + static_cast<int32_t>(sequence - reference);
}

Flow::Result Flow::seal(uint32_t sequence, std::span<uint8_t> payload, Circumstances circumstances) {
  const auto lock = enter();
  if (broken_) {
    Counters::add(counters_.tx_tls_drop_broken);
    return Result::Drop;
  }
  const int64_t first = unwrap(sequence);
  // What was sealed once, by us or by whoever had the connection before, may be plaintext here.
  if (first < floor_) {
    Counters::add(counters_.tx_tls_drop_acknowledged);
    return Result::Drop;
  }
  const auto start = static_cast<int64_t>(start_);
  if (first < start) {
    // The start is exact to the byte: what is before it was sealed, or needed no sealing, when it was written.
    const auto before = static_cast<uint64_t>(start - first);
    if (before >= payload.size()) {
      Counters::add(counters_.tx_tls_skip_no_sync_data);
      return Result::Untouched;
    }
    payload = payload.subspan(before);
  }
  const auto offset = static_cast<uint64_t>(std::max(first, start));
  const uint64_t end = offset + payload.size();
  if (circumstances.mayBeEarly && end > map_.end()) return Result::Unmapped;
  if (offset != expected_) {
    Counters::add(counters_.tx_tls_ooo);
    // As in Linux's nfp: a segment from behind is a retransmission and costs no step; one from ahead means
    // that some never arrived here.
    if (options_.resync == Resync::NextRecord && inStep_ && offset > expected_) {
      inStep_ = false;
      resyncWanted_ = true;
      Counters::add(counters_.tx_tls_resync_req);
    }
  }
  fellBack_ = false;
  bool touched = false;
  if (!sealRecords(offset, payload, circumstances.now, touched)) return Result::Drop;
  if (fellBack_) Counters::add(counters_.tx_tls_fallback_packets);
  if (offset < highest_) Counters::add(counters_.tx_tls_retransmitted_bytes, std::min(end, highest_) - offset);
  highest_ = std::max(highest_, end);
  // NextRecord moves it by itself, and only while it is in step.
  if (options_.resync != Resync::NextRecord) expected_ = end;
  if (!touched) return Result::Untouched;
  Counters::add(counters_.tx_tls_encrypted_bytes, payload.size());
  return Result::Sealed;
}

bool Flow::sealRecords(uint64_t streamOffset, std::span<uint8_t> payload, uint64_t now, bool& touched) {
  while (!payload.empty()) {
    MappedRecord* record = map_.find(streamOffset);
    if (record == nullptr) {
      Counters::add(counters_.tx_tls_drop_no_sync_data);
      return false;
    }
    const auto from = static_cast<uint32_t>(streamOffset - record->streamOffset());
    const size_t n = std::min<size_t>(payload.size(), record->length() - from);
    const bool hadTag = record->hasTag();
    const bool left = record->sealed() || sealPiece(*record, from, payload.first(n));
    if (trace_) note(*record, from, n, hadTag, left, now);
    if (!left) return false;
    if (!record->sealed()) {
      touched = true;
    } else if (options_.resync == Resync::NextRecord && inStep_ && streamOffset == expected_) {
      expected_ += n;
    }
    payload = payload.subspan(n);
    streamOffset += n;
  }
  return true;
}

/// What stands around the content is written, or compared, as it was announced. False: it is not what it should be.
bool Flow::frame(const Piece& piece, std::span<uint8_t> header) const noexcept {
  if (!header.empty()) {
    std::array<uint8_t, kMaxBefore> whole;
    piece.cipher.writeBefore(piece.shape, whole.data());
    const std::span<const uint8_t> own = std::span(whole).subspan(piece.from, header.size());
    if (piece.record.headerToWrite()) std::copy(own.begin(), own.end(), header.begin());
    else if (!std::equal(own.begin(), own.end(), header.begin())) return false;
  }
  // RFC 8446 5.2: the content type is the last byte of the text, there being no padding here.
  if (piece.cipher.facts().tls12 || piece.text.empty() || piece.position + piece.text.size() != piece.shape.textLength) return true;
  const auto type = static_cast<uint8_t>(piece.shape.type);
  if (piece.record.typeToWrite()) piece.text.back() = type;
  return piece.text.back() == type;
}

bool Flow::sealPiece(MappedRecord& record, uint32_t from, std::span<uint8_t> bytes) {
  RecordCipher* cipher = cipherOf(record.epoch());
  if (cipher == nullptr) {  // push() saw to it that there is one
    Counters::add(counters_.tx_tls_drop_no_sync_data);
    return false;
  }
  const RecordShape shape = shapeOf(record, *cipher);
  const uint32_t before = cipher->facts().framing.before;
  const uint32_t textEnd = before + shape.textLength;
  const uint32_t to = from + static_cast<uint32_t>(bytes.size());
  // The part of [from, to) that lies in [low, high).
  const auto part = [&](uint32_t low, uint32_t high) {
    const uint32_t a = std::clamp(from, low, high);
    const uint32_t b = std::clamp(to, low, high);
    return a < b ? bytes.subspan(a - from, b - a) : std::span<uint8_t>{};
  };
  const Piece piece{
      .record = record,
      .cipher = *cipher,
      .shape = shape,
      .from = from,
      .length = static_cast<uint32_t>(bytes.size()),
      .position = std::clamp(from, before, textEnd) - before,
      .tagFrom = std::max(from, textEnd) - textEnd,
      .text = part(before, textEnd),
      .tag = part(textEnd, record.length()),
  };
  if (!frame(piece, part(0, before))) {
    Counters::add(counters_.tx_tls_drop_header);
    return false;
  }
  switch (options_.resync) {
    case Resync::OrderFree: return sealOrderFree(piece);
    case Resync::PrefixReplay: return sealPrefixReplay(piece);
    case Resync::NextRecord: return sealNextRecord(piece);
  }
  return false;
}

bool Flow::encryptAdd(const Piece& piece, uint32_t at, std::span<uint8_t> text, RecordSum& sum) noexcept {
  Counters::add(counters_.tx_tls_crypto_bytes, text.size());
  return piece.cipher.seal(sum, piece.shape, at, text);
}

record::Reading Flow::readText(const Piece& piece, uint32_t at, std::span<uint8_t> to) noexcept {
  if (to.empty()) return record::Reading::Done;
  if (!piece.cipher.facts().tls12 && at + to.size() == piece.shape.textLength) {
    to.back() = static_cast<uint8_t>(piece.shape.type);
    to = to.first(to.size() - 1);
  }
  return piece.record.readPayload(at, to);
}

}  // namespace socrypt::nic
