// RecordReader against bytes from a peer. The first byte picks suite, version and mode:
//   raw       the input is the stream, delivered in pieces whose sizes it also picks
//   crafted   the input becomes the inside of a record that is sealed properly, so that the code behind
//             the tag check (padding, types, limits) is reached, and may be damaged afterwards
// What must hold: no content before its tag verified, counters that agree with what was consumed, failure
// for good, and after sealing by RecordWriter the same content back.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "ocf/drivers/soft.hpp"
#include "record/record.hpp"

using namespace socrypt;
using record::RecordReader;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

ocf::Framework& framework() {
  static ocf::Framework instance;
  static const bool attached = [] {
    ocf::Status status = ocf::Status::Ok;
    return instance.attach(ocf::makeSoftDriver(), &status) != 0;
  }();
  require(attached);
  return instance;
}

record::TrafficKeys keysOf(record::Suite suite) {
  record::TrafficKeys keys;
  keys.suite = suite;
  for (size_t i = 0; i < keys.key.size(); ++i) keys.key[i] = static_cast<uint8_t>(i * 3 + 1);
  for (size_t i = 0; i < record::factsOf(suite).ivLength; ++i) keys.iv[i] = static_cast<uint8_t>(i * 5 + 2);
  return keys;
}

class Input {
 public:
  Input(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  uint8_t byte() {
    if (size_ == 0) return 0;
    --size_;
    return *data_++;
  }
  std::vector<uint8_t> take(size_t n) {
    n = std::min(n, size_);
    std::vector<uint8_t> out(data_, data_ + n);
    data_ += n;
    size_ -= n;
    return out;
  }
  [[nodiscard]] size_t left() const { return size_; }

 private:
  const uint8_t* data_;
  size_t size_;
};

// Feeds `stream` in pieces; returns how many records opened. Checks what must hold at each step.
size_t feed(RecordReader& reader, const record::Framing framing, const std::vector<uint8_t>& stream, Input pieces) {
  std::vector<uint8_t> buffer;
  size_t fed = 0;
  size_t records = 0;
  while (fed < stream.size()) {
    const size_t piece = std::min<size_t>(stream.size() - fed, pieces.left() > 0 ? size_t{pieces.byte()} * 67 + 1 : 20000);
    buffer.insert(buffer.end(), stream.begin() + static_cast<ptrdiff_t>(fed), stream.begin() + static_cast<ptrdiff_t>(fed + piece));
    fed += piece;
    for (;;) {
      // Exactly sized, so that a read past the end is seen.
      std::vector<uint8_t> exact(buffer);
      const size_t announced = reader.recordLength(exact);
      const uint64_t seq = reader.recordSeq();
      const uint64_t offset = reader.streamOffset();
      RecordReader::Opened opened{};
      const auto result = reader.open(exact, opened);
      if (result == RecordReader::Result::NeedMore) {
        require(exact == buffer && reader.recordSeq() == seq);
        require(announced == 0 ? exact.size() < record::kHeaderLength : exact.size() < announced);
        break;
      }
      if (result == RecordReader::Result::Fail) {
        require(!reader.ready() && reader.open(exact, opened) == RecordReader::Result::Fail);
        return records;
      }
      require(opened.consumed == announced && opened.consumed <= exact.size());
      require(reader.recordSeq() == seq + 1 && reader.streamOffset() == offset + opened.consumed);
      require(opened.content.size() <= record::kMaxPlaintext);
      require(opened.content.data() == exact.data() + framing.before);
      require(opened.content.size() + framing.overhead() <= opened.consumed);
      require(opened.type == record::ContentType::ApplicationData || !opened.content.empty());
      ++records;
      buffer.erase(buffer.begin(), buffer.begin() + static_cast<ptrdiff_t>(opened.consumed));
    }
  }
  return records;
}

// Seals `inner` as it is, in TLS 1.3 type and padding included: what RecordWriter would never do. `type` is
// what stands outside in TLS 1.2.
std::vector<uint8_t> sealInner(const record::TrafficKeys& keys, uint8_t type, const std::vector<uint8_t>& inner, uint64_t recordSeq) {
  const record::SuiteFacts facts = record::factsOf(keys.suite);
  const ocf::Alg alg{.id = facts.alg, .key = std::span(keys.key).first(ocf::keyLength(facts.alg))};
  ocf::Status status = ocf::Status::Ok;
  const ocf::SessionHandle session = framework().open({.chain = {&alg, 1}}, &status);
  require(session != nullptr);
  const size_t before = facts.framing.before;
  std::vector<uint8_t> out(before + inner.size() + record::kTagLength);
  const size_t length = out.size() - record::kHeaderLength;
  out[0] = facts.tls12 ? type : 23, out[1] = 3, out[2] = 3, out[3] = static_cast<uint8_t>(length >> 8), out[4] = static_cast<uint8_t>(length);
  std::copy(inner.begin(), inner.end(), out.begin() + static_cast<ptrdiff_t>(before));
  ocf::Seg segment{out.data() + before, static_cast<uint32_t>(inner.size() + record::kTagLength)};
  std::vector<uint8_t> aad(out.begin(), out.begin() + record::kHeaderLength);
  ocf::Op op{};
  op.ses = session.get();
  op.kind = ocf::Kind::Seal;
  op.nIn = op.nOut = 1;
  for (size_t i = 0; i < 12; ++i) op.iv[i] = keys.iv[i];
  for (size_t i = 0; i < 8; ++i) op.iv[11 - i] = static_cast<uint8_t>(op.iv[11 - i] ^ (recordSeq >> (8 * i)));
  if (facts.tls12) {
    std::copy(op.iv + 4, op.iv + 4 + before - record::kHeaderLength, out.begin() + record::kHeaderLength);
    aad = {0, 0, 0, 0, 0, 0, 0, static_cast<uint8_t>(recordSeq), type, 3, 3, static_cast<uint8_t>(inner.size() >> 8), static_cast<uint8_t>(inner.size())};
  }
  op.in = op.out = &segment;
  op.aad = {aad.data(), static_cast<uint32_t>(aad.size())};
  op.len = op.tagAt = static_cast<uint32_t>(inner.size());
  ocf::Op* list[] = {&op};
  require(framework().dispatch(list, 1) == 1 && op.status == ocf::Status::Ok);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  const uint8_t mode = input.byte();
  static constexpr record::Suite kSuites12[] = {record::Suite::EcdheEcdsaAes128GcmSha256, record::Suite::EcdheRsaAes256GcmSha384,
                                                record::Suite::EcdheRsaChaCha20Poly1305Sha256};
  const bool tls12 = (mode & 0x20) != 0;
  const auto suite = tls12 ? kSuites12[mode % 3] : static_cast<record::Suite>(0x1301 + mode % 3);
  const record::Framing framing = record::factsOf(suite).framing;
  const auto keys = keysOf(suite);
  RecordReader reader(framework());
  require(reader.install(keys) == ocf::Status::Ok);

  if ((mode & 0x80) == 0) {
    Input pieces(data, std::min<size_t>(size, 16));
    (void)feed(reader, framing, input.take(input.left()), pieces);
    return 0;
  }

  std::vector<uint8_t> stream;
  size_t intact = 0;
  bool damaged = false;
  const size_t count = 1 + input.byte() % 4;
  for (size_t i = 0; i < count; ++i) {
    const size_t length = input.byte() | size_t{input.byte()} << 8;
    const size_t padding = size_t{input.byte()} * ((mode & 0x40) != 0 ? 65 : 1);
    std::vector<uint8_t> inner = input.take(length % 16700);
    const size_t longest = tls12 ? record::kMaxCiphertext12 - record::kExplicitNonceLength : record::kMaxCiphertext13;
    inner.resize(std::min<size_t>(inner.size() + padding, longest - record::kTagLength), 0);
    const auto type = static_cast<uint8_t>(inner.empty() ? 23 : 19 + inner[0] % 7);
    std::vector<uint8_t> one = sealInner(keys, type, inner, i);
    // A fifth of the records loses one bit somewhere.
    const uint8_t damage = input.byte();
    if (damage >= 205) {
      one[(size_t{damage} * 7919 + inner.size()) % one.size()] ^= static_cast<uint8_t>(1u << (damage % 8));
      damaged = true;
    }
    if (!damaged) ++intact;
    stream.insert(stream.end(), one.begin(), one.end());
  }
  // Nothing at or behind the damage opens.
  require(feed(reader, framing, stream, Input(data, std::min<size_t>(size, 24))) <= intact);
  return 0;
}
