#include "ocf/drivers/mailbox.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "ocf/regions.hpp"
#include "ocf/session.hpp"

namespace socrypt::ocf {
namespace {

size_t tagOf(const Op& op) noexcept {
  const bool tagged = op.kind == Kind::Seal || op.kind == Kind::Open || op.kind == Kind::Mac;
  return tagged ? op.ses->tagLength() : 0;
}

bool isMac(const Op& op) noexcept { return factsOf(op.ses->alg()).family == Family::Mac; }

}  // namespace

MailboxDriver::MailboxDriver(std::string name, const Caps& caps, std::vector<Offer> offers)
    : name_(std::move(name)), caps_(caps), offers_(std::move(offers)) {}

MailboxDriver::~MailboxDriver() {
  for (Opened& one : opened_)
    for (Opened::Part& part : one.chain) wipe(part.key.data(), part.key.size());
}

std::vector<MailboxDriver::Opened> MailboxDriver::opened() { return std::exchange(opened_, {}); }
std::vector<uint32_t> MailboxDriver::closed() { return std::exchange(closed_, {}); }

void MailboxDriver::take(std::vector<Taken>& into) {
  into.clear();
  for (; !queue_.empty(); queue_.pop_front()) {
    Op* const op = queue_.front();
    uint32_t session = 0;
    std::memcpy(&session, op->fw.priv, sizeof session);
    taken_.emplace_hint(taken_.end(), ++lastToken_, op);
    into.push_back({lastToken_, session, op});
  }
}

std::vector<uint8_t> MailboxDriver::inputOf(const Op& op) {
  const size_t tag = op.kind == Kind::Open ? tagOf(op) : 0;
  std::vector<uint8_t> bytes(op.len + tag);
  copyFrom(op.in, op.nIn, op.skip, std::span(bytes).first(op.len));
  copyFrom(op.in, op.nIn, op.tagAt, std::span(bytes).subspan(op.len));
  return bytes;
}

size_t MailboxDriver::resultLength(const Op& op) noexcept {
  if (isMac(op)) return op.kind == Kind::Mac ? tagOf(op) : 0;
  return op.len + (op.kind == Kind::Seal ? tagOf(op) : 0);
}

MailboxDriver::Answer MailboxDriver::answer(uint64_t token, Status status, std::span<const std::span<const uint8_t>> results) noexcept {
  const auto at = taken_.find(token);
  if (at == taken_.end()) return Answer::Unknown;
  Op& op = *at->second;
  taken_.erase(at);
  Answer answer = Answer::Taken;
  if (status == Status::Ok) {
    bool fits = true;
    if (isKeyKind(op.kind)) {
      fits = results.size() == op.nOut;
      for (size_t i = 0; fits && i < op.nOut; ++i) fits = results[i].size() <= op.out[i].n;
      for (size_t i = 0; fits && i < op.nOut; ++i) {
        std::copy(results[i].begin(), results[i].end(), op.out[i].p);
        op.out[i].n = static_cast<uint32_t>(results[i].size());
      }
    } else {
      fits = results.size() <= 1 && (results.empty() ? 0 : results[0].size()) == resultLength(op);
      const size_t payload = isMac(op) ? 0 : op.len;
      if (fits && !results.empty()) {
        copyTo(op.out, op.nOut, op.outSkip, results[0].first(payload));
        copyTo(op.out, op.nOut, op.tagAt, results[0].subspan(payload));
      }
    }
    if (!fits) {
      status = Status::Canceled;
      answer = Answer::WrongLength;
    }
  } else if (status == Status::BadTag && op.kind == Kind::Open && !isMac(op)) {
    static constexpr uint8_t kZeros[256] = {};
    for (uint32_t done = 0; done < op.len; done += sizeof kZeros)
      copyTo(op.out, op.nOut, op.outSkip + done, {kZeros, std::min<size_t>(sizeof kZeros, op.len - done)});
  }
  done_.push_back({&op, status});
  if (waker_ != nullptr) waker_->ready(this);
  return answer;
}

void MailboxDriver::abandon() noexcept {
  stopped_ = true;
  for (const auto& [token, op] : taken_) done_.push_back({op, Status::Canceled});
  taken_.clear();
  for (Op* const op : queue_) done_.push_back({op, Status::Canceled});
  queue_.clear();
  if (waker_ != nullptr) waker_->ready(this);
}

int MailboxDriver::probe(const SessionParams& params, Cost& cost) const noexcept {
  if (stopped_) return -ENODEV;
  const AlgId mac = params.chain.size() == 2 ? params.chain[1].id : AlgId::Null;
  for (const Offer& offer : offers_) {
    if (offer.alg != params.chain[0].id || offer.mac != mac) continue;
    cost = offer.cost;
    return offer.rank;
  }
  return -EOPNOTSUPP;
}

Status MailboxDriver::newSession(const SessionParams& params, std::span<std::byte> priv) noexcept {
  try {
    Opened session{++lastSession_, {}};
    for (const Alg& alg : params.chain) session.chain.push_back({alg.id, alg.tagLen, {alg.key.begin(), alg.key.end()}});
    opened_.push_back(std::move(session));
    std::memcpy(priv.data(), &lastSession_, sizeof lastSession_);
    return Status::Ok;
  } catch (const std::bad_alloc&) {
    return Status::NoMemory;
  }
}

void MailboxDriver::freeSession(std::span<std::byte> priv) noexcept {
  uint32_t number = 0;
  std::memcpy(&number, priv.data(), sizeof number);
  closed_.push_back(number);
}

size_t MailboxDriver::submit(Op* const* ops, size_t n, bool) noexcept {
  if (stopped_) return 0;
  const size_t held = queue_.size() + taken_.size() + done_.size();
  const size_t accepted = std::min<size_t>(n, caps_.queueDepth > held ? caps_.queueDepth - held : 0);
  const bool first = queue_.empty() && accepted > 0;
  for (size_t i = 0; i < accepted; ++i) queue_.push_back(ops[i]);
  // Whoever harvests looks for what is to be taken as well.
  if (first && waker_ != nullptr) waker_->ready(this);
  return accepted;
}

size_t MailboxDriver::poll(Op** done, size_t max, bool) noexcept {
  size_t n = 0;
  for (; n < max && !done_.empty(); done_.pop_front()) {
    done_.front().op->status = done_.front().status;
    done[n++] = done_.front().op;
  }
  return n;
}

// What was taken was not touched either: results are copied in with the answer.
size_t MailboxDriver::cancel(Op** back, size_t max) noexcept {
  size_t n = 0;
  while (n < max && !taken_.empty()) {
    back[n++] = taken_.begin()->second;
    taken_.erase(taken_.begin());
  }
  for (; n < max && !queue_.empty(); queue_.pop_front()) back[n++] = queue_.front();
  return n;
}

void MailboxDriver::stop() noexcept { stopped_ = true; }

}  // namespace socrypt::ocf
