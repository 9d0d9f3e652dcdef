#include "nic/lab/stream.hpp"

#include <algorithm>
#include <cstring>

#include "nic/lab/frames.hpp"

namespace socrypt::nic::lab {
namespace {

// The dead front of the windows is cut off when it is this long.
constexpr size_t kTrim = 1u << 20;

class FilePages final : public record::Payload {
 public:
  FilePages(const File& file, uint64_t at) noexcept : file_(file), at_(at) {}
  [[nodiscard]] record::Reading read(uint64_t at, std::span<uint8_t> to) const noexcept override {
    return file_.read(at_ + at, to) ? record::Reading::Done : record::Reading::Gone;
  }

 private:
  const File& file_;
  uint64_t at_;
};

}  // namespace

Bytes canaryContent(Random& random, size_t n) {
  Bytes content(n);
  for (size_t at = 0; at < n; at += kCanary.size()) {
    const size_t part = std::min(kCanary.size(), n - at);
    if (at / kCanary.size() % 2 == 0) {
      std::memcpy(content.data() + at, kCanary.data(), part);
    } else {
      const uint64_t words[2] = {random(), random()};
      std::memcpy(content.data() + at, words, part);
    }
  }
  return content;
}

File::File(uint64_t bytes, Random random) : random_(random), bytes_(canaryContent(random_, bytes)), length_(bytes) {}

bool File::read(uint64_t at, std::span<uint8_t> to) const noexcept {
  if (at > length_ || to.size() > length_ - at) return false;
  pages(at, to);
  return true;
}

void File::pages(uint64_t at, std::span<uint8_t> to) const noexcept { std::copy_n(bytes_.begin() + static_cast<long>(at), to.size(), to.begin()); }

void File::rewrite(uint64_t bytes) {
  if (bytes_.size() < 32) return;  // all of it is canary
  for (uint64_t i = 0; i < bytes; ++i) {
    // The canaries stay, so that the search for them means something.
    const uint64_t at = random_.below(bytes_.size() / 32) * 32 + 16 + random_.below(16);
    bytes_[at] ^= static_cast<uint8_t>(random_.between(1, 255));
  }
  changed_ = true;
}

void File::shrink(uint64_t thousandths) {
  length_ = std::max<uint64_t>(1, bytes_.size() * std::min<uint64_t>(thousandths, 1000) / 1000);
  // The kernel clears the rest of the last page; pages behind it live on in what refers to them.
  const uint64_t pageEnd = std::min<uint64_t>(bytes_.size(), (length_ + 4095) / 4096 * 4096);
  std::fill(bytes_.begin() + static_cast<long>(length_), bytes_.begin() + static_cast<long>(pageEnd), 0);
  changed_ = true;
}

void File::grow() {
  if (length_ == bytes_.size()) return;
  const Bytes tail = canaryContent(random_, bytes_.size() - length_);
  std::copy(tail.begin(), tail.end(), bytes_.begin() + static_cast<long>(length_));
  length_ = bytes_.size();
  changed_ = true;
}

Stream::Stream(const Plan& plan, Random random, File& file)
    : plan_(plan),
      random_(random),
      file_(file),
      suite_(plan.suite != 0 ? static_cast<record::Suite>(plan.suite) : kSuites[random_.below(std::size(kSuites))]),
      tls12_(record::factsOf(suite_).tls12),
      prefix_(randomBytes(random_, random_.below(3000))),
      base_(prefix_.size()) {
  newEpoch(random_.chance(500000) ? 0 : random_() >> 1);
}

void Stream::newEpoch(uint64_t recordSeq) {
  record::TrafficKeys keys;
  keys.suite = suite_;
  for (auto& byte : keys.key) byte = static_cast<uint8_t>(random_());
  for (auto& byte : keys.iv) byte = static_cast<uint8_t>(random_());
  keys.epoch = epochs_.empty() ? static_cast<uint32_t>(random_.below(5)) : epochs_.back().epoch + 1 + static_cast<uint32_t>(random_.below(2));
  keys.recordSeq = recordSeq_ = recordSeq;
  keys.streamOffset = end();
  epochs_.push_back(keys);
}

void Stream::make(bool software) {
  const bool guarded = !software && plan_.resync == Resync::OrderFree && random_.below(100) < plan_.guardedPercent;
  size_t length = plan_.recordBytes;
  if (length == 0) length = random_.below(3) == 0 ? 1u << 14 : random_.below(2) == 0 ? random_.below(300) : random_.below((1u << 14) + 1);
  if (guarded) {
    if (fileAt_ >= file_.length()) fileAt_ = 0;
    length = std::min<uint64_t>(std::max<size_t>(length, 1), file_.length() - fileAt_);
    Bytes content(length);
    file_.pages(fileAt_, content);
    append(record::ContentType::ApplicationData, content, false, fileAt_);
    fileAt_ += length;
    return;
  }
  using enum record::ContentType;
  const auto type = random_.below(10) != 0 ? ApplicationData : random_.below(2) == 0 ? Alert : Handshake;
  append(type, canaryContent(random_, length), software, std::nullopt);
  // Numbers may leave gaps: what another path has sealed meanwhile, say.
  if (random_.below(20) == 0) recordSeq_ += random_.below(1000);
}

bool Stream::makeKeyUpdate(bool software) {
  if (tls12_) return false;
  // RFC 8446 4.6.3: update_not_requested, the last record under the old keys.
  append(record::ContentType::Handshake, {24, 0, 0, 1, 0}, software, std::nullopt);
  newEpoch(0);
  return true;
}

void Stream::append(record::ContentType type, const Bytes& content, bool software, std::optional<uint64_t> fileAt) {
  const uint64_t at = end();
  const auto& keys = epochs_.back();
  const Framed framed = frame(keys, recordSeq_, static_cast<uint8_t>(type), content);
  const Bytes& plain = software ? framed.sealed : framed.plain;
  plain_.insert(plain_.end(), plain.begin(), plain.end());
  sealed_.insert(sealed_.end(), framed.sealed.begin(), framed.sealed.end());
  records_.push_back({.ref = {at, static_cast<uint32_t>(plain.size()), keys.epoch, recordSeq_++},
                      .type = type,
                      .sealed = software,
                      .keys = epochs_.size() - 1,
                      .fileAt = fileAt.value_or(0)});
  if (!fileAt) return;
  Record& record = records_.back();
  record.emitted = std::make_unique<Record::Emitted>();
  record.emitted->bytes.resize(plain.size());
  ++guarded_;
  // As the engine has it: TCP gets what comes next in the file where the device writes.
  record.headerToWrite = random_.below(4) != 0;
  record.typeToWrite = random_.below(4) != 0;
  const auto [before, after] = record::factsOf(suite_).framing;
  const auto own = plain_.end() - static_cast<long>(plain.size());
  if (record.headerToWrite) std::copy_n(kCanary.begin(), before, own);
  if (record.typeToWrite && !tls12_) own[static_cast<long>(plain.size()) - after] = static_cast<uint8_t>(kCanary.front());
}

record::NewRecord Stream::announce(const Record& record) const {
  record::NewRecord announced{.ref = record.ref, .type = record.type, .sealed = record.sealed};
  if (record.emitted) {
    announced.payload = record::PayloadRef(std::make_unique<FilePages>(file_, record.fileAt));
    announced.guarded = true;
    announced.headerToWrite = record.headerToWrite;
    announced.typeToWrite = record.typeToWrite;
  } else if (plan_.payload && !record.sealed) {
    // Several records share one buffer in the engine; here each begins a little into its own.
    const Bytes own = content(record);
    Bytes buffer(record.ref.recordSeq % 9);
    announced.payloadAt = buffer.size();
    buffer.insert(buffer.end(), own.begin(), own.end());
    announced.payload = record::PayloadRef(std::make_unique<record::MemoryPayload>(std::move(buffer)));
  }
  return announced;
}

Bytes Stream::content(const Record& record) const {
  const auto framing = record::factsOf(suite_).framing;
  const auto from = plain_.begin() + static_cast<long>(record.ref.streamOffset - base_);
  return {from + framing.before, from + static_cast<long>(record.ref.length) - framing.after};
}

size_t Stream::indexOf(uint64_t offset) const noexcept {
  for (size_t i = hint_; i < std::min(hint_ + 2, records_.size()); ++i)
    if (records_[i].ref.streamOffset <= offset && offset < records_[i].end()) return hint_ = i;
  const auto it = std::upper_bound(records_.begin(), records_.end(), offset, [](uint64_t x, const Record& r) { return x < r.ref.streamOffset; });
  if (it == records_.begin()) return records_.size();
  const auto i = static_cast<size_t>(it - records_.begin()) - 1;
  if (offset >= records_[i].end()) return records_.size();
  return hint_ = i;
}

const Stream::Record* Stream::find(uint64_t offset) const noexcept {
  const size_t i = indexOf(offset);
  return i == records_.size() ? nullptr : &records_[i];
}

void Stream::plain(uint64_t from, std::span<uint8_t> to) const noexcept {
  if (from < start()) {
    const size_t n = std::min<uint64_t>(to.size(), start() - from);
    std::copy_n(prefix_.begin() + static_cast<long>(from), n, to.begin());
    to = to.subspan(n);
    from += n;
  }
  std::copy_n(plain_.begin() + static_cast<long>(from - base_), to.size(), to.begin());
  if (guarded_ == 0 || to.empty()) return;
  const auto framing = record::factsOf(suite_).framing;
  const uint64_t end = from + to.size();
  for (size_t i = indexOf(from); i < records_.size() && records_[i].ref.streamOffset < end; ++i) {
    if (!records_[i].emitted) continue;
    const uint64_t first = records_[i].ref.streamOffset + framing.before, last = records_[i].end() - framing.after;
    const uint64_t a = std::max(from, first), b = std::min(end, last);
    if (a < b) file_.pages(records_[i].fileAt + (a - first), to.subspan(a - from, b - a));
  }
}

std::optional<Violation> Stream::emitted(uint64_t from, std::span<const uint8_t> bytes) {
  if (from < start()) {
    const size_t n = std::min<uint64_t>(bytes.size(), start() - from);
    if (!std::equal(bytes.begin(), bytes.begin() + static_cast<long>(n), prefix_.begin() + static_cast<long>(from)))
      return Violation{"oracle", "bytes before the start marker were changed"};
    bytes = bytes.subspan(n);
    from += n;
  }
  if (bytes.empty()) return std::nullopt;
  const uint64_t end = from + bytes.size();
  if (records_.empty() || from < records_.front().ref.streamOffset || end > this->end())
    return Violation{"unmapped", "bytes left that no record is known for: stream offset " + std::to_string(from) + " to " + std::to_string(end)};
  const auto expected = sealed_.begin() + static_cast<long>(from - base_);
  if (guarded_ == 0) {
    const auto [mine, theirs] = std::mismatch(bytes.begin(), bytes.end(), expected);
    if (mine == bytes.end()) return std::nullopt;
    return Violation{"oracle", "the byte at stream offset " + std::to_string(from + static_cast<uint64_t>(mine - bytes.begin())) + " is not what a plain seal gives"};
  }
  for (size_t i = indexOf(from); i < records_.size() && records_[i].ref.streamOffset < end; ++i) {
    Record& record = records_[i];
    const uint64_t a = std::max(from, record.ref.streamOffset), b = std::min(end, record.end());
    const auto part = bytes.subspan(a - from, b - a);
    if (record.emitted) {
      if (auto violation = emittedOfFile(record, static_cast<uint32_t>(a - record.ref.streamOffset), part)) return violation;
    } else if (!std::equal(part.begin(), part.end(), sealed_.begin() + static_cast<long>(a - base_))) {
      return Violation{"oracle", "bytes of the record at stream offset " + std::to_string(record.ref.streamOffset) + " are not what a plain seal gives"};
    }
  }
  return std::nullopt;
}

std::optional<Violation> Stream::emittedOfFile(Record& record, uint32_t at, std::span<const uint8_t> bytes) {
  auto& emitted = *record.emitted;
  const auto sealed = sealed_.begin() + static_cast<long>(record.ref.streamOffset - base_);
  for (size_t i = at; i < std::min<size_t>(record::factsOf(suite_).framing.before, at + bytes.size()); ++i)
    if (bytes[i - at] != sealed[static_cast<long>(i)])
      return Violation{"header", "the header of the record at stream offset " + std::to_string(record.ref.streamOffset) + " is not as it should be"};
  for (size_t i = 0; i < bytes.size(); ++i) {
    // A range that was seen in whole or in part: what was seen must be seen again.
    if (emitted.seen.coveredTo(at + i) == at + i) continue;
    if (emitted.bytes[at + i] == bytes[i]) continue;
    const bool tag = at + i + record::kTagLength >= record.ref.length;
    return Violation{tag ? "one-tag" : "one-ciphertext", "two values have left for the byte at stream offset " + std::to_string(record.ref.streamOffset + at + i)};
  }
  std::copy(bytes.begin(), bytes.end(), emitted.bytes.begin() + at);
  emitted.seen.add(at, at + bytes.size());
  if (emitted.opened || !emitted.seen.covers(0, record.ref.length)) return std::nullopt;
  emitted.opened = true;
  if (open(epochs_[record.keys], record.ref.recordSeq, static_cast<uint8_t>(record.type), emitted.bytes)) return std::nullopt;
  return Violation{"opens", "the record at stream offset " + std::to_string(record.ref.streamOffset) + " has left in whole, and a receiver would refuse it"};
}

uint64_t Stream::textIn(uint64_t from, uint64_t to) const noexcept {
  const auto framing = record::factsOf(suite_).framing;
  from = std::max(from, records_.empty() ? to : records_.front().ref.streamOffset);
  uint64_t n = 0;
  for (size_t i = from < to ? indexOf(from) : records_.size(); i < records_.size() && records_[i].ref.streamOffset < to; ++i) {
    if (records_[i].sealed) continue;
    const uint64_t a = std::max(from, records_[i].ref.streamOffset + framing.before);
    const uint64_t b = std::min(to, records_[i].end() - record::kTagLength);
    if (a < b) n += b - a;
  }
  return n;
}

void Stream::forget(uint64_t offset) {
  while (!records_.empty() && records_.front().end() <= offset) {
    if (records_.front().emitted) --guarded_;
    records_.pop_front();
    hint_ = hint_ == 0 ? 0 : hint_ - 1;
  }
  const uint64_t keep = records_.empty() ? end() : records_.front().ref.streamOffset;
  if (keep - base_ < kTrim) return;
  const auto n = static_cast<long>(keep - base_);
  plain_.erase(plain_.begin(), plain_.begin() + n);
  sealed_.erase(sealed_.begin(), sealed_.begin() + n);
  base_ = keep;
}

}  // namespace socrypt::nic::lab
