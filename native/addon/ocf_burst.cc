#include "addon/ocf_burst.hpp"

#include <algorithm>
#include <cstring>

namespace socrypt::addon {

using ocf::Kind;
using ocf::Status;

void Burst::read(const Find& find) {
  for (uint32_t row = 0; row < ops_.size(); ++row) {
    ocf::Op& op = ops_[row];
    op.status = Status::Pending;
    op.opaque = static_cast<OcfLoop::Waiter*>(this);
    if (!readRow(row, find) && op.status == Status::Pending) op.status = Status::Range;
  }
}

bool Burst::readRow(uint32_t row, const Find& find) {
  ocf::Op& op = ops_[row];
  // Read once: nothing here depends on a number being the same when it is read again.
  uint32_t columns[kColumns];
  std::memcpy(columns, columnsOf(row), sizeof columns);
  op.ses = find(columns[kSession]);
  if (op.ses == nullptr) {
    op.status = Status::Closed;
    return false;
  }
  const uint32_t kind = columns[kKind] & 0xffff;
  if (kind > static_cast<uint32_t>(Kind::ModExpCrt)) {
    op.status = Status::Invalid;
    return false;
  }
  op.kind = static_cast<Kind>(kind);
  op.scheme = static_cast<uint16_t>(columns[kKind] >> 16);
  ocf::Seg* const segments = &segments_[size_t{row} * kMaxSegments];
  if (ocf::isKeyKind(op.kind)) return readKey(op, columns, segments);

  const bool isMac = ocf::factsOf(op.ses->alg()).family == ocf::Family::Mac;
  const uint64_t tag = op.kind == Kind::Seal || op.kind == Kind::Open || op.kind == Kind::Mac ? op.ses->tagLength() : 0;
  const uint64_t length = columns[kLength];
  const bool inPlace = columns[kIn] == columns[kOut] && !isMac;
  // Payload and tag lie together.
  uint64_t in = length + (op.kind == Kind::Open ? tag : 0);
  uint64_t out = op.kind == Kind::Mac ? tag : isMac ? 0 : length + (op.kind == Kind::Seal ? tag : 0);
  if (inPlace) in = out = std::max(in, out);
  if (!within(columns[kIn], in) || !within(columns[kOut], out) || !within(columns[kAad], columns[kAadLength]) ||
      !within(columns[kIv], columns[kIvLength]) || columns[kIvLength] > sizeof op.iv)
    return false;
  uint8_t* const base = memory_->data();
  segments[0] = {base + columns[kIn], static_cast<uint32_t>(in)};
  segments[1] = {base + columns[kOut], static_cast<uint32_t>(out)};
  op.nIn = op.nOut = 1;
  op.in = segments;
  op.out = inPlace ? segments : segments + 1;
  op.aad = {base + columns[kAad], columns[kAadLength]};
  op.len = columns[kLength];
  op.tagAt = op.kind == Kind::Mac ? 0 : op.len;
  std::memcpy(op.iv, base + columns[kIv], columns[kIvLength]);
  return true;
}

bool Burst::readKey(ocf::Op& op, const uint32_t* columns, ocf::Seg* segments) {
  const uint32_t count = columns[kInputs] + columns[kOutputs];
  if (columns[kInputs] > kMaxSegments || columns[kOutputs] > kMaxResults || count > kMaxSegments) return false;
  if (!within(columns[kIn], uint64_t{count} * 8)) return false;
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t pair[2];
    std::memcpy(pair, memory_->data() + columns[kIn] + size_t{i} * 8, sizeof pair);
    if (!within(pair[0], pair[1])) return false;
    segments[i] = {memory_->data() + pair[0], pair[1]};
  }
  op.nIn = static_cast<uint16_t>(columns[kInputs]);
  op.nOut = static_cast<uint16_t>(columns[kOutputs]);
  op.in = segments;
  op.out = segments + op.nIn;
  return true;
}

uint32_t Burst::dispatch(ocf::Framework& framework) {
  const auto rows = static_cast<uint32_t>(ops_.size());
  uint32_t accepted = 0;
  while (accepted < rows) {
    if (ops_[accepted].status != Status::Pending) {
      write(accepted++);
      continue;
    }
    ocf::Op* list[64];
    uint32_t n = 0;
    while (n < std::size(list) && accepted + n < rows && ops_[accepted + n].status == Status::Pending) {
      list[n] = &ops_[accepted + n];
      ++n;
    }
    const auto taken = static_cast<uint32_t>(framework.dispatch(list, n));
    for (uint32_t i = 0; i < taken; ++i) {
      if (list[i]->status == Status::Pending) ++pending_;
      write(accepted + i);
    }
    accepted += taken;
    if (taken < n) break;
  }
  return accepted;
}

bool Burst::completed(Napi::Env, ocf::Op& op) {
  const auto row = static_cast<uint32_t>(&op - ops_.data());
  write(row);
  told_(id_, row);
  return --pending_ == 0;
}

void Burst::write(uint32_t row) noexcept {
  const ocf::Op& op = ops_[row];
  uint32_t* const columns = columnsOf(row);
  columns[kStatus] = static_cast<uint32_t>(static_cast<int32_t>(op.status));
  if (op.status != Status::Ok || !ocf::isKeyKind(op.kind)) return;
  // How long the results are.
  for (uint16_t i = 0; i < op.nOut; ++i) columns[kInputs + i] = op.out[i].n;
}

}  // namespace socrypt::addon
