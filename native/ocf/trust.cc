// What is kept of an op in place while a driver has it, and answers that are looked at twice.
#include <algorithm>
#include <memory>
#include <new>

#include "ocf/unit.hpp"

namespace socrypt::ocf {
namespace {

uint32_t tagInInput(const Op& op) noexcept { return op.kind == Kind::Open ? op.ses->tagLength() : 0; }
uint32_t tagInOutput(const Op& op) noexcept {
  return op.kind == Kind::Seal || op.kind == Kind::Mac ? op.ses->tagLength() : 0;
}

}  // namespace

// Without memory there is no copy, and no rescue after the driver has touched the data.
void Framework::keepInput(Op& op) noexcept {
  const uint32_t tag = tagInInput(op);
  op.fw.guard = new (std::nothrow) uint8_t[size_t{op.len} + tag];
  if (op.fw.guard == nullptr) return;
  copyFrom(op.in, op.nIn, op.skip, {op.fw.guard, op.len});
  if (tag != 0) copyFrom(op.in, op.nIn, op.tagAt, {op.fw.guard + op.len, tag});
}

void Framework::restoreInput(Op& op) noexcept {
  const uint32_t tag = tagInInput(op);
  copyTo(op.in, op.nIn, op.skip, {op.fw.guard, op.len});
  if (tag != 0) copyTo(op.in, op.nIn, op.tagAt, {op.fw.guard + op.len, tag});
}

void Framework::dropInput(Op& op) noexcept {
  wipe(op.fw.guard, size_t{op.len} + tagInInput(op));
  delete[] op.fw.guard;
  op.fw.guard = nullptr;
}

// Done again by a synchronous driver. What differs is put right, and its driver believed no more.
void Framework::spotCheck(Op& op, Unit& unit) noexcept {
  Session& session = *op.ses;
  refresh(session);
  const auto reference = std::find_if(session.class_->candidates.begin(), session.class_->candidates.end(),
                                      [&unit](const Candidate& each) { return each.unit->sync && each.unit != &unit && each.unit->state == UnitState::Running; });
  const size_t bytes = size_t{op.len} + tagInOutput(op);
  const std::unique_ptr<uint8_t[]> memory(new (std::nothrow) uint8_t[2 * bytes + 1]);
  Status status;
  Binding* binding = reference == session.class_->candidates.end() || memory == nullptr
                         ? nullptr
                         : bind(session, *reference->unit, &status);
  if (binding == nullptr || (op.inPlace() && op.fw.guard == nullptr)) {
    settle(op, op.status);
    return;
  }
  Seg kept{op.fw.guard, op.len + tagInInput(op)};
  Seg out{memory.get(), static_cast<uint32_t>(bytes)};
  Op again = op;
  again.flags = 0;
  if (op.fw.guard != nullptr) {
    again.in = &kept;
    again.nIn = 1;
    again.skip = 0;
  }
  again.out = &out;
  again.nOut = 1;
  again.outSkip = 0;
  if (tagInOutput(op) != 0 || op.fw.guard != nullptr) again.tagAt = op.len;
  again.fw.priv = binding->priv;
  Op* list[] = {&again};
  const bool done = reference->unit->driver->submit(list, 1, false) == 1;
  const uint32_t payload = op.kind == Kind::Mac || factsOf(session.alg_).family == Family::Mac ? 0 : op.len;
  const std::span<uint8_t> seen{memory.get() + bytes, bytes};
  copyFrom(op.out, op.nOut, op.outSkip, seen.first(payload));
  if (tagInOutput(op) != 0) copyFrom(op.out, op.nOut, op.tagAt, seen.subspan(op.len, tagInOutput(op)));
  const bool same = again.status == op.status && std::equal(seen.begin(), seen.begin() + payload, out.p) &&
                    std::equal(seen.begin() + op.len, seen.end(), out.p + op.len);
  if (done && !same) {
    ++unit.stats.wrong;
    if (unit.state == UnitState::Running) unit.state = UnitState::Quarantined;  // tend() moves its sessions
    copyTo(op.out, op.nOut, op.outSkip, {out.p, payload});
    if (tagInOutput(op) != 0) copyTo(op.out, op.nOut, op.tagAt, {out.p + op.len, tagInOutput(op)});
    op.status = again.status;
  }
  wipe(memory.get(), 2 * bytes);
  settle(op, op.status);
}

}  // namespace socrypt::ocf
