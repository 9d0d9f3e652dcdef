#include "cryptod/wire.hpp"

#include <algorithm>
#include <bit>

namespace socrypt::cryptod {

static_assert(std::endian::native == std::endian::little, "both ends are on one machine, and are little-endian");

namespace {

// Reads from the front; `good` turns false for ever when something is not there.
class Reader {
 public:
  explicit Reader(Bytes bytes) noexcept : rest_(bytes) {}
  template <class T>
  T number() noexcept {
    T value{};
    const Bytes from = take(sizeof value);
    if (good_) std::memcpy(&value, from.data(), sizeof value);
    return value;
  }
  Bytes take(size_t n) noexcept {
    if (n > rest_.size()) good_ = false;
    if (!good_) return {};
    const Bytes taken = rest_.first(n);
    rest_ = rest_.subspan(n);
    return taken;
  }
  std::string_view text(size_t n) noexcept {
    const Bytes from = take(n);
    return {reinterpret_cast<const char*>(from.data()), from.size()};
  }
  /// Everything was there, and nothing is left.
  [[nodiscard]] bool done() const noexcept { return good_ && rest_.empty(); }
  [[nodiscard]] bool good() const noexcept { return good_; }

 private:
  Bytes rest_;
  bool good_ = true;
};

}  // namespace

Cut cutFrame(Bytes bytes, Frame& out) noexcept {
  if (bytes.size() < kHeaderBytes) return Cut::NeedMore;
  Reader reader(bytes);
  out.header.length = reader.number<uint32_t>();
  out.header.type = static_cast<Type>(reader.number<uint16_t>());
  out.header.count = reader.number<uint16_t>();
  out.header.tag = reader.number<uint64_t>();
  if (out.header.length < kHeaderBytes || out.header.length > kMaxFrame) return Cut::Malformed;
  if (bytes.size() < out.header.length) return Cut::NeedMore;
  out.body = bytes.subspan(kHeaderBytes, out.header.length - kHeaderBytes);
  return Cut::Whole;
}

bool read(Bytes body, Hello& out) noexcept {
  Reader reader(body);
  if (reader.number<uint32_t>() != kMagic) return false;
  out.version = reader.number<uint16_t>();
  (void)reader.number<uint16_t>();
  out.arenaBytes = reader.number<uint64_t>();
  return reader.done();
}

bool read(Bytes body, HelloAnswer& out) noexcept {
  Reader reader(body);
  if (reader.number<uint32_t>() != kMagic) return false;
  out.version = reader.number<uint16_t>();
  out.software = reader.number<uint16_t>() != 0;
  out.maxSessions = reader.number<uint32_t>();
  out.maxPending = reader.number<uint32_t>();
  out.maxArenaBytes = reader.number<uint64_t>();
  return reader.done();
}

bool read(Bytes body, OpenRequest& out) noexcept {
  Reader reader(body);
  const auto place = reader.number<uint8_t>();
  out.count = reader.number<uint8_t>();
  if (place > static_cast<uint8_t>(Place::Software) || out.count == 0 || out.count > kMaxChain) return false;
  out.place = static_cast<Place>(place);
  for (size_t i = 0; i < out.count; ++i) {
    OpenAlg& alg = out.chain[i];
    alg.id = reader.number<uint16_t>();
    alg.ivLength = reader.number<uint8_t>();
    alg.tagLength = reader.number<uint8_t>();
    const auto keyLength = reader.number<uint16_t>();
    if (keyLength > kMaxKey) return false;
    alg.key = reader.take(keyLength);
  }
  return reader.done();
}

bool read(Bytes body, OpenAnswer& out) noexcept {
  Reader reader(body);
  out.status = reader.number<int16_t>();
  out.session = reader.number<uint32_t>();
  out.driver = reader.text(reader.number<uint8_t>());
  return reader.done();
}

bool readSession(Bytes body, uint32_t& session) noexcept {
  Reader reader(body);
  session = reader.number<uint32_t>();
  return reader.done();
}

bool readStatus(Bytes body, int16_t& status) noexcept {
  Reader reader(body);
  status = reader.number<int16_t>();
  return reader.done();
}

bool read(Bytes body, KeyRequest& out) noexcept {
  Reader reader(body);
  out.kind = reader.number<uint8_t>();
  out.inputs = reader.number<uint8_t>();
  out.alg = reader.number<uint16_t>();
  out.scheme = reader.number<uint16_t>();
  out.outputBytes = reader.number<uint32_t>();
  // The answer is one frame, with a header of its own.
  if (out.inputs > kMaxKeyInputs || out.outputBytes > kMaxFrame / 2) return false;
  out.key = reader.take(reader.number<uint16_t>());
  for (size_t i = 0; i < out.inputs; ++i) out.input[i] = reader.take(reader.number<uint16_t>());
  return reader.done();
}

bool read(Bytes body, KeyAnswer& out) noexcept {
  Reader reader(body);
  out.status = reader.number<int16_t>();
  out.output = reader.take(reader.number<uint16_t>());
  return reader.done();
}

bool read(const Frame& frame, size_t index, OpRecord& out) noexcept {
  if (frame.body.size() != size_t{frame.header.count} * kOpBytes || index >= frame.header.count) return false;
  Reader reader(frame.body.subspan(index * kOpBytes, kOpBytes));
  out.cookie = reader.number<uint64_t>();
  out.session = reader.number<uint32_t>();
  out.kind = reader.number<uint8_t>();
  out.ivLength = reader.number<uint8_t>();
  out.scheme = reader.number<uint16_t>();
  const Bytes iv = reader.take(sizeof out.iv);
  out.source = reader.number<uint32_t>();
  out.destination = reader.number<uint32_t>();
  out.length = reader.number<uint32_t>();
  out.aad = reader.number<uint32_t>();
  out.aadLength = reader.number<uint32_t>();
  out.mac = reader.number<uint32_t>();
  out.room = reader.number<uint32_t>();
  (void)reader.number<uint32_t>();
  if (!reader.done() || out.ivLength > sizeof out.iv) return false;
  std::copy(iv.begin(), iv.end(), out.iv);
  return true;
}

bool read(const Frame& frame, size_t index, DoneRecord& out) noexcept {
  if (frame.body.size() != size_t{frame.header.count} * kDoneBytes || index >= frame.header.count) return false;
  Reader reader(frame.body.subspan(index * kDoneBytes, kDoneBytes));
  out.cookie = reader.number<uint64_t>();
  out.status = reader.number<int16_t>();
  (void)reader.number<uint16_t>();
  out.produced = reader.number<uint32_t>();
  return reader.done();
}

bool read(const Frame& frame, std::vector<DriverRecord>& out) {
  Reader reader(frame.body);
  out.clear();
  for (size_t i = 0; i < frame.header.count && reader.good(); ++i) {
    DriverRecord record{};
    record.id = reader.number<uint32_t>();
    record.flags = reader.number<uint32_t>();
    record.name = reader.text(reader.number<uint8_t>());
    out.push_back(record);
  }
  return reader.done();
}

void Writer::put(const void* p, size_t n) {
  if (bytes_.size() + n > bytes_.capacity()) {
    // std::vector would leave its old bytes, with keys among them, in the heap.
    std::vector<uint8_t> grown;
    grown.reserve(std::max<size_t>(2 * (bytes_.size() + n), 512));
    grown.assign(bytes_.begin(), bytes_.end());
    // A vector without bytes may be without memory.
    if (!bytes_.empty()) explicit_bzero(bytes_.data(), bytes_.size());
    bytes_.swap(grown);
  }
  const auto* from = static_cast<const uint8_t*>(p);
  bytes_.insert(bytes_.end(), from, from + n);
}

void Writer::begin(Type type, uint64_t tag) {
  frame_ = bytes_.size();
  u32(0);
  u16(static_cast<uint16_t>(type));
  u16(0);
  u64(tag);
}

void Writer::end(uint16_t count) {
  const auto length = static_cast<uint32_t>(bytes_.size() - frame_);
  std::memcpy(bytes_.data() + frame_, &length, sizeof length);
  std::memcpy(bytes_.data() + frame_ + 6, &count, sizeof count);
}

void Writer::op(const OpRecord& op) {
  u64(op.cookie);
  u32(op.session);
  u8(op.kind);
  u8(op.ivLength);
  u16(op.scheme);
  put(op.iv, sizeof op.iv);
  for (const uint32_t value : {op.source, op.destination, op.length, op.aad, op.aadLength, op.mac, op.room, 0u}) u32(value);
}

void Writer::done(const DoneRecord& done) {
  u64(done.cookie);
  u16(static_cast<uint16_t>(done.status));
  u16(0);
  u32(done.produced);
}

void Writer::consume(size_t n) noexcept {
  sent_ += n;
  if (sent_ == bytes_.size()) clear();
}

void Writer::clear() noexcept {
  if (!bytes_.empty()) explicit_bzero(bytes_.data(), bytes_.size());
  bytes_.clear();
  sent_ = frame_ = 0;
}

void write(Writer& to, uint64_t tag, const Hello& hello) {
  to.begin(Type::Hello, tag);
  to.u32(kMagic);
  to.u16(hello.version);
  to.u16(0);
  to.u64(hello.arenaBytes);
  to.end();
}

void write(Writer& to, uint64_t tag, const HelloAnswer& answer) {
  to.begin(Type::HelloAnswer, tag);
  to.u32(kMagic);
  to.u16(answer.version);
  to.u16(answer.software ? 1 : 0);
  to.u32(answer.maxSessions);
  to.u32(answer.maxPending);
  to.u64(answer.maxArenaBytes);
  to.end();
}

void write(Writer& to, uint64_t tag, const OpenRequest& request) {
  to.begin(Type::Open, tag);
  to.u8(static_cast<uint8_t>(request.place));
  to.u8(request.count);
  for (size_t i = 0; i < request.count; ++i) {
    const OpenAlg& alg = request.chain[i];
    to.u16(alg.id);
    to.u8(alg.ivLength);
    to.u8(alg.tagLength);
    to.u16(static_cast<uint16_t>(alg.key.size()));
    to.put(alg.key.data(), alg.key.size());
  }
  to.end();
}

void write(Writer& to, uint64_t tag, const OpenAnswer& answer) {
  const std::string_view driver = answer.driver.substr(0, 255);
  to.begin(Type::Opened, tag);
  to.u16(static_cast<uint16_t>(answer.status));
  to.u32(answer.session);
  to.u8(static_cast<uint8_t>(driver.size()));
  to.put(driver.data(), driver.size());
  to.end();
}

void write(Writer& to, uint64_t tag, const KeyRequest& request) {
  to.begin(Type::Key, tag);
  to.u8(request.kind);
  to.u8(request.inputs);
  to.u16(request.alg);
  to.u16(request.scheme);
  to.u32(request.outputBytes);
  to.u16(static_cast<uint16_t>(request.key.size()));
  to.put(request.key.data(), request.key.size());
  for (size_t i = 0; i < request.inputs; ++i) {
    to.u16(static_cast<uint16_t>(request.input[i].size()));
    to.put(request.input[i].data(), request.input[i].size());
  }
  to.end();
}

void write(Writer& to, uint64_t tag, const KeyAnswer& answer) {
  to.begin(Type::KeyDone, tag);
  to.u16(static_cast<uint16_t>(answer.status));
  to.u16(static_cast<uint16_t>(answer.output.size()));
  to.put(answer.output.data(), answer.output.size());
  to.end();
}

void writeClose(Writer& to, uint64_t tag, uint32_t session) {
  to.begin(Type::Close, tag);
  to.u32(session);
  to.end();
}

void writeClosed(Writer& to, uint64_t tag, int16_t status) {
  to.begin(Type::Closed, tag);
  to.u16(static_cast<uint16_t>(status));
  to.end();
}

void writeDrivers(Writer& to, uint64_t tag) {
  to.begin(Type::Drivers, tag);
  to.end();
}

void write(Writer& to, uint64_t tag, std::span<const DriverRecord> drivers) {
  to.begin(Type::DriverList, tag);
  for (const DriverRecord& driver : drivers) {
    const std::string_view name = driver.name.substr(0, 255);
    to.u32(driver.id);
    to.u32(driver.flags);
    to.u8(static_cast<uint8_t>(name.size()));
    to.put(name.data(), name.size());
  }
  to.end(static_cast<uint16_t>(drivers.size()));
}

void writeError(Writer& to, std::string_view why) {
  to.begin(Type::Error, 0);
  to.put(why.data(), why.size());
  to.end();
}

}  // namespace socrypt::cryptod
