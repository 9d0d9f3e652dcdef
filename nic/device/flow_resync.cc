// The three ways to seal a piece of a record. All give the same bytes; they differ in what they need to
// know and in how much they encrypt for it.
#include <algorithm>
#include <array>

#include "nic/device/flow.hpp"

namespace socrypt::nic {
namespace {

using record::MappedRecord;

// Payload is read again in pieces of this size.
constexpr size_t kScratch = 2048;

}  // namespace

// Order-free. The text is encrypted where it stands. As long as the record has no tag, ciphertext that was
// not seen before is added to the record's sum; when all was seen, the tag is there and stays.

Flow::OpenRecord& Flow::openOf(MappedRecord& record) {
  if (record.context() == MappedRecord::kNoContext) {
    if (freeContexts_.empty()) {
      record.setContext(static_cast<uint32_t>(open_.size()));
      open_.emplace_back();
    } else {
      record.setContext(freeContexts_.back());
      freeContexts_.pop_back();
    }
  }
  OpenRecord& open = open_[record.context()];
  if (record.guarded() && open.guard == nullptr) {
    if (freeGuards_.empty()) {
      open.guard = std::make_unique<Guard>();
    } else {
      open.guard = std::move(freeGuards_.back());
      freeGuards_.pop_back();
      *open.guard = {};
    }
  }
  return open;
}

void Flow::closeContext(uint32_t context) noexcept {
  if (open_[context].guard != nullptr) freeGuards_.push_back(std::move(open_[context].guard));
  open_[context] = {};
  freeContexts_.push_back(context);
}

bool Flow::finish(MappedRecord& record, RecordCipher& cipher, const RecordShape& shape) {
  const OpenRecord& open = openOf(record);
  std::array<uint8_t, record::kTagLength> tag;
  if (!cipher.tag(open.sum, shape, tag)) {
    Counters::add(counters_.tx_tls_drop_failed);
    return false;
  }
  const uint64_t fingerprint = record.guarded() ? open.guard->whole(*guardKey_, shape.textLength) : 0;
  closeContext(record.context());
  map_.setTag(record, tag, fingerprint);
  Counters::add(counters_.tx_tls_tags);
  return true;
}

// What was sealed once is sealed the same again or not at all.
bool Flow::guarded(const Piece& piece, OpenRecord& open, uint32_t at, std::span<const uint8_t> text) {
  const auto verdict = open.guard->check(*guardKey_, at, text, [&](uint32_t from, std::span<uint8_t> to) { return readText(piece, from, to); });
  if (verdict == Guard::Verdict::Same) return true;
  if (verdict == Guard::Verdict::Changed) return changed();
  Counters::add(verdict == Guard::Verdict::NoRoom ? counters_.tx_tls_drop_hole : counters_.tx_tls_drop_not_resident);
  return false;
}

// The same once there is a tag, when the fingerprint of the whole record is all that is left: the rest of it is read again.
bool Flow::guardedWhole(const Piece& piece) {
  std::array<uint8_t, Guard::kMaxLength> bytes;
  const std::span<uint8_t> text = std::span(bytes).first(piece.shape.textLength);
  const size_t end = piece.position + piece.text.size();
  const std::span<uint8_t> front = text.first(piece.position), rest = text.subspan(end);
  record::Reading reading = readText(piece, 0, front);
  if (reading == record::Reading::Done) reading = readText(piece, static_cast<uint32_t>(end), rest);
  if (reading == record::Reading::Gone) return changed();
  if (reading == record::Reading::NotNow) {
    Counters::add(counters_.tx_tls_drop_not_resident);
    return false;
  }
  Counters::add(counters_.tx_tls_guard_reread_bytes, front.size() + rest.size());
  std::copy(piece.text.begin(), piece.text.end(), text.begin() + piece.position);
  return Guard::whole(*guardKey_, text) == piece.record.fingerprint() || changed();
}

bool Flow::changed() noexcept {
  broken_ = true;
  Counters::add(counters_.tx_tls_guard_changed);
  return false;
}

// Encrypts the piece's text, and adds what was not seen before to the record's sum.
bool Flow::sealUnseen(const Piece& piece, OpenRecord& open, uint32_t from, uint32_t to) {
  if (!open.seen.touches(from, to)) return encryptAdd(piece, from, piece.text, open.sum);
  Counters::add(counters_.tx_tls_crypto_bytes, piece.text.size());
  return piece.cipher.crypt(piece.shape, from, piece.text) && open.seen.holes(from, to, [&](uint32_t a, uint32_t b) {
    return piece.cipher.add(open.sum, piece.shape, a, piece.text.subspan(a - from, b - a));
  });
}

bool Flow::sealOrderFree(const Piece& piece) {
  MappedRecord& record = piece.record;
  if (record.guarded() && !piece.text.empty() &&
      !(record.hasTag() ? guardedWhole(piece) : guarded(piece, openOf(record), piece.position, piece.text)))
    return false;
  const uint32_t from = piece.position;
  const auto to = static_cast<uint32_t>(from + piece.text.size());
  if (!record.hasTag()) {
    OpenRecord& open = openOf(record);
    // After an eviction the missing byte that TCP repeats may be anywhere; dropped, it would come forever.
    if (!open.seen.fits(from, to) && !fillHoles(piece, open)) return false;
    if (!sealUnseen(piece, open, from, to)) {
      // The sum may hold a part of these bytes: begin anew with this record.
      open.sum = {};
      open.seen.clear();
      Counters::add(counters_.tx_tls_drop_failed);
      return false;
    }
    static_cast<void>(open.seen.add(from, to));
    if (!piece.tag.empty() && !open.seen.covers(0, piece.shape.textLength) && !fillHoles(piece, open)) return false;
    if (open.seen.covers(0, piece.shape.textLength) && !finish(record, piece.cipher, piece.shape)) return false;
  } else {
    Counters::add(counters_.tx_tls_crypto_bytes, piece.text.size());
    if (!piece.cipher.crypt(piece.shape, from, piece.text)) {
      Counters::add(counters_.tx_tls_drop_failed);
      return false;
    }
  }
  if (!piece.tag.empty()) std::copy_n(record.tag().data() + piece.tagFrom, piece.tag.size(), piece.tag.data());
  return true;
}

// The tag is wanted and bytes in front of it never came by: they were lost between TCP and here. Or there are
// more holes than there is room for. Only those are encrypted from the retained payload; TCP will send them again, with the same content.
bool Flow::fillHoles(const Piece& piece, OpenRecord& open) {
  if (!piece.record.hasPayload()) {
    // TCP has to bring the missing bytes first.
    Counters::add(counters_.tx_tls_drop_hole);
    return false;
  }
  record::Reading reading = record::Reading::Done;
  const bool added = open.seen.holes(0, piece.shape.textLength, [&](uint32_t a, uint32_t b) {
    std::array<uint8_t, kScratch> scratch;
    while (a < b) {
      const std::span<uint8_t> text(scratch.data(), std::min<size_t>(kScratch, b - a));
      reading = readText(piece, a, text);
      if (reading != record::Reading::Done || (open.guard != nullptr && !guarded(piece, open, a, text)) || !encryptAdd(piece, a, text, open.sum))
        return false;
      Counters::add(counters_.tx_tls_resync_bytes, text.size());
      a += static_cast<uint32_t>(text.size());
    }
    return true;
  });
  open.seen.clear();
  if (!added) {
    open.sum = {};  // it holds a part of a hole
    Counters::add(reading == record::Reading::NotNow ? counters_.tx_tls_drop_not_resident : counters_.tx_tls_drop_failed);
    return false;
  }
  static_cast<void>(open.seen.add(0, piece.shape.textLength));
  return true;
}

// In order, as a device does that keeps one place in one record. `state` stands where the piece begins.
bool Flow::sealInOrder(const Piece& piece, InOrder& state) {
  if (!encryptAdd(piece, piece.position, piece.text, state.sum)) {
    state = {};
    Counters::add(counters_.tx_tls_drop_failed);
    return false;
  }
  state.position += static_cast<uint32_t>(piece.text.size());
  if (piece.tag.empty()) return true;
  std::array<uint8_t, record::kTagLength> tag;
  if (!piece.cipher.tag(state.sum, piece.shape, tag)) {
    Counters::add(counters_.tx_tls_drop_failed);
    return false;
  }
  if (piece.tagFrom == 0) Counters::add(counters_.tx_tls_tags);
  std::copy_n(tag.data() + piece.tagFrom, piece.tag.size(), piece.tag.data());
  return true;
}

// Encrypts the record's text before `to` from the retained payload and throws it away.
bool Flow::replay(const Piece& piece, InOrder& state, uint32_t to) {
  state = {piece.record.streamOffset(), 0, {}};
  std::array<uint8_t, kScratch> scratch;
  while (state.position < to) {
    const std::span<uint8_t> text(scratch.data(), std::min<size_t>(kScratch, to - state.position));
    if (readText(piece, state.position, text) != record::Reading::Done) {
      state = {};
      Counters::add(counters_.tx_tls_drop_no_sync_data);
      return false;
    }
    if (!encryptAdd(piece, state.position, text, state.sum)) {
      state = {};
      Counters::add(counters_.tx_tls_drop_failed);
      return false;
    }
    state.position += static_cast<uint32_t>(text.size());
    Counters::add(counters_.tx_tls_resync_bytes, text.size());
  }
  return true;
}

// One context, as the paper's device and mlx5 have: what is retransmitted takes its place, so that a retransmission costs
// two replays. mlx5e_ktls_handle_tx_skb() sets expected_seq behind every segment, and the next new one is not there.
bool Flow::sealPrefixReplay(const Piece& piece) {
  if (inOrder_.record != piece.record.streamOffset() || inOrder_.position != piece.position) {
    if (!replay(piece, inOrder_, piece.position)) return false;
    const bool back = piece.record.streamOffset() + piece.from < highest_;
    Counters::add(back ? counters_.tx_tls_replay_back_bytes : counters_.tx_tls_replay_forward_bytes, piece.position);
    // As Linux's mlx5 does it: the prefix goes through the device in packets that are dumped behind it.
    Counters::add(counters_.tx_tls_dump_bytes, piece.position);
    Counters::add(counters_.tx_tls_dump_packets, (piece.position + options_.wireMtu - 1) / options_.wireMtu);
  }
  return sealInOrder(piece, inOrder_);
}

bool Flow::sealNextRecord(const Piece& piece) {
  const uint64_t at = piece.record.streamOffset();
  if (!inStep_ && piece.from == 0 && at == syncPoint_) {
    inStep_ = true;
    syncPoint_ = UINT64_MAX;
    expected_ = at;
    Counters::add(counters_.tx_tls_resync_ok);
  }
  if (inStep_ && at + piece.from == expected_ && (piece.from == 0 || inOrder_.record == at)) {
    if (piece.from == 0) inOrder_ = {at, 0, {}};
    if (!sealInOrder(piece, inOrder_)) return false;
    expected_ += piece.length;
    return true;
  }
  // tls_device_fallback.c: the prefix and the packet are encrypted by software, the prefix thrown away.
  InOrder own;
  fellBack_ = true;
  return replay(piece, own, piece.position) && sealInOrder(piece, own);
}

}  // namespace socrypt::nic
