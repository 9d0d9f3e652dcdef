// Chains that no single driver has: their stages run one after the other, on whichever drivers have
// them, and complete as one op.
#include <algorithm>
#include <new>
#include <utility>

#include "ocf/unit.hpp"

namespace socrypt::ocf {

bool Framework::openStages(Session& session) noexcept {
  if (session.algs_ != 2) return false;
  OwnParams own;
  paramsOf(session, own);
  for (size_t i = 0; i < 2; ++i) {
    if (session.stages_[i] != nullptr) continue;
    SessionParams params = own.params;
    params.chain = {own.algs + i, 1};
    params.ordered = false;
    Status status;
    SessionHandle stage = open(params, &status);
    session.stages_[i] = std::exchange(stage.session_, nullptr);
    if (session.stages_[i] == nullptr) return false;
  }
  return true;
}

bool Framework::isStaged(Session& session) noexcept {
  if (session.algs_ != 2) return false;
  refresh(session);
  return session.class_->candidates.empty();
}

// Sealing encrypts and then authenticates what came of it; opening compares the tag before it decrypts.
void Framework::startStages(Op& op) noexcept {
  Session& session = *op.ses;
  op.fw.state = kInFlight;
  op.fw.at = nullptr;
  auto* stage = openStages(session) ? new (std::nothrow) Op{} : nullptr;
  if (stage == nullptr) {
    settle(op, Status::NoDriver);
    return;
  }
  *stage = op;
  stage->done = nullptr;
  stage->fw.parent = &op;
  const bool sealing = op.kind == Kind::Seal;
  stage->ses = session.stages_[sealing ? 0 : 1];
  stage->kind = sealing ? Kind::Cipher : Kind::Open;
  (void)begin(*stage, kStage, false);
}

void Framework::stageDone(Op& stage) noexcept {
  Op& op = *stage.fw.parent;
  Session& session = *op.ses;
  const bool sealing = op.kind == Kind::Seal;
  const bool last = stage.ses == session.stages_[sealing ? 1 : 0];
  const Status status = stage.status;
  if (status != Status::Ok || last) {
    if (status != Status::Ok && !sealing && !last) {
      // A forgery leaves zeros, as with every driver that has the whole chain.
      constexpr uint8_t kZeros[256] = {};
      for (uint32_t at = 0; at < op.len; at += sizeof kZeros)
        copyTo(op.out, op.nOut, op.outSkip + at, {kZeros, std::min<size_t>(sizeof kZeros, op.len - at)});
    }
    delete &stage;
    settle(op, status);
    return;
  }
  if (sealing) {
    stage.kind = Kind::Mac;
    stage.in = op.out;
    stage.nIn = op.nOut;
    stage.skip = op.outSkip;
    stage.flags = 0;
  } else {
    stage.kind = Kind::Decipher;
  }
  stage.ses = session.stages_[sealing ? 1 : 0];
  (void)begin(stage, kStage, false);
}

}  // namespace socrypt::ocf
