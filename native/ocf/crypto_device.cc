#include "ocf/crypto_device.hpp"

#include <poll.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <new>

namespace socrypt::ocf {

namespace {

// A session's id: the number of its device above, its own below. What another device gave out is told from what this
// one has closed.
constexpr uint32_t kDeviceBits = 12;
constexpr uint32_t kSessionBits = 32 - kDeviceBits;
constexpr uint32_t kSessionMask = (1u << kSessionBits) - 1;

uint32_t nextDevice() noexcept {
  static std::atomic<uint32_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) % ((1u << kDeviceBits) - 1) + 1;
}

bool overlap(const void* a, size_t n, const void* b, size_t m) noexcept {
  const auto x = reinterpret_cast<uintptr_t>(a);
  const auto y = reinterpret_cast<uintptr_t>(b);
  return n != 0 && m != 0 && x < y + m && y < x + n;
}

Seg segment(const uint8_t* p, size_t n) noexcept { return {const_cast<uint8_t*>(p), static_cast<uint32_t>(n)}; }

// Adds `blocks` to the big-endian counter of CTR mode.
void advance(uint8_t* counter, uint64_t blocks) noexcept {
  for (size_t i = 16; i-- > 0 && blocks != 0;) {
    blocks += counter[i];
    counter[i] = static_cast<uint8_t>(blocks);
    blocks >>= 8;
  }
}

bool isCtr(AlgId alg) noexcept { return alg == AlgId::Aes128Ctr || alg == AlgId::Aes256Ctr; }
// Ciphers alone: an AEAD or a MAC is of the whole.
bool inPieces(const Session& session) noexcept {
  const Family family = factsOf(session.alg()).family;
  return (family == Family::Cipher || family == Family::Null) && session.mac() == AlgId::Null;
}
bool isCbc(AlgId alg) noexcept { return factsOf(alg).family == Family::Cipher && !isCtr(alg); }

}  // namespace

struct CryptoDevice::Request {
  Op op{};
  Seg in[kMaxKeyInputs]{};
  Seg out[2]{};
  CryptoDevice* device = nullptr;
  CryptOp* crypt = nullptr;
  KeyOp* key = nullptr;
  SessionHandle own;      // of a key op, which has no other
  uint32_t offset = 0;    // of the piece that is being done
  uint8_t chain[16]{};    // CBC decryption: the last block of this piece's input, which is the next one's iv
  Request* next = nullptr;
};

template <class T>
void CryptoDevice::Queue<T>::push(T& item) noexcept {
  item.next = nullptr;
  (head == nullptr ? head : tail->next) = &item;
  tail = &item;
}

template <class T>
T* CryptoDevice::Queue<T>::pop() noexcept {
  T* item = head;
  if (item != nullptr) head = item->next;
  return item;
}

CryptoDevice::CryptoDevice(Framework& framework, bool allowSoftware, Limits limits) noexcept
    : framework_(framework), limits_(limits), allowSoftware_(allowSoftware), number_(nextDevice()) {}

// A driver may still write to the callers' memory.
CryptoDevice::~CryptoDevice() { drain(); }

void CryptoDevice::drain() noexcept {
  while (inFlight_ != 0) {
    poll();
    if (inFlight_ == 0) break;
    pollfd ready{framework_.wakeFd(), POLLIN, 0};
    ::poll(&ready, 1, 1);
  }
}

Status CryptoDevice::look(uint32_t id, Session*& session) const noexcept {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return id >> kSessionBits == number_ ? Status::Closed : Status::Foreign;
  session = found->second.get();
  return Status::Ok;
}

SessionParams::Where CryptoDevice::place(SessionParams::Where wanted) const noexcept {
  return !allowSoftware_ && wanted == SessionParams::Where::Any ? SessionParams::Where::Accelerator : wanted;
}

Status CryptoDevice::openSession(const SessionParams& params, uint32_t& session) noexcept {
  if (!allowSoftware_ && params.where == SessionParams::Where::Software) return Status::Invalid;
  if (sessions_.size() >= limits_.sessions) return Status::Full;
  SessionParams asked = params;
  asked.where = place(params.where);
  Status status = Status::Ok;
  SessionHandle handle = framework_.open(asked, &status);
  // EINVAL, as the paper has it: the caller falls back to his own software.
  if (status == Status::NoDriver) return Status::Invalid;
  if (handle == nullptr) return status;
  do {
    lastSession_ = (lastSession_ + 1) & kSessionMask;
    session = number_ << kSessionBits | lastSession_;
  } while (sessions_.contains(session));
  sessions_.emplace(session, std::move(handle));
  return Status::Ok;
}

Status CryptoDevice::closeSession(uint32_t id) noexcept {
  Session* session = nullptr;
  const Status status = look(id, session);
  if (status == Status::Ok) sessions_.erase(id);
  return status;
}

Status CryptoDevice::tagLength(uint32_t id, uint32_t& length) const noexcept {
  Session* session = nullptr;
  const Status status = look(id, session);
  if (status == Status::Ok) length = session->tagLength();
  return status;
}

Status CryptoDevice::find(std::string_view driver, uint32_t& id) const {
  for (const DriverInfo& info : framework_.drivers()) {
    if (info.name != driver) continue;
    id = info.id;
    return Status::Ok;
  }
  return Status::NoDriver;
}

// ── one op ──

namespace {

// Where payload and tag of one side are: one segment that spans both, which any driver takes, or two where they lie
// gigabytes apart. Drivers touch the regions, not what is between them.
struct Side {
  uint32_t skip = 0, tagAt = 0;
  uint16_t n = 1;
};
Side withTag(const uint8_t* payload, uint32_t length, const uint8_t* tag, uint32_t tagLength, Seg* segments) noexcept {
  constexpr uintptr_t kFar = 1u << 30;
  if (length == 0) payload = tag;
  const auto from = reinterpret_cast<uintptr_t>(payload);
  const auto at = reinterpret_cast<uintptr_t>(tag);
  const uintptr_t first = std::min(from, at);
  const uintptr_t end = std::max(from + length, at + tagLength);
  if (end - first <= kFar) {
    segments[0] = segment(from <= at ? payload : tag, end - first);
    return {.skip = static_cast<uint32_t>(from - first), .tagAt = static_cast<uint32_t>(at - first), .n = 1};
  }
  segments[0] = segment(payload, length);
  segments[1] = segment(tag, tagLength);
  return {.skip = 0, .tagAt = length, .n = 2};
}

bool writesTag(Kind kind) noexcept { return kind == Kind::Seal || kind == Kind::Mac; }
bool hasTag(Kind kind) noexcept { return writesTag(kind) || kind == Kind::Open; }

// What the framework cannot see, since it is told regions of segments.
Status vet(const CryptOp& op, const Session& session) noexcept {
  const AlgFacts& facts = factsOf(session.alg());
  if (op.ivLength != facts.ivBytes) return Status::BadIvLength;
  if ((op.length != 0 && op.source == nullptr) || (op.aad.size() != 0 && op.aad.data() == nullptr)) return Status::Range;
  if (isKeyKind(op.kind)) return op.room != 0 && op.destination == nullptr ? Status::Range : Status::Ok;
  const bool writes = op.kind != Kind::Mac && !(op.kind == Kind::Open && facts.family == Family::Mac);
  if (writes && op.length != 0 && op.destination == nullptr) return Status::Range;
  if (hasTag(op.kind) && op.mac == nullptr) return Status::Range;
  if (op.length % facts.blockBytes != 0) return Status::BadLength;
  if (writes && op.source != op.destination && overlap(op.source, op.length, op.destination, op.length)) return Status::Overlap;
  if (writes && overlap(op.aad.data(), op.aad.size(), op.destination, op.length)) return Status::Overlap;
  if (!hasTag(op.kind)) return Status::Ok;
  const size_t tag = session.tagLength();
  if (overlap(op.mac, tag, op.source, op.length) || (writes && overlap(op.mac, tag, op.destination, op.length)) ||
      (writesTag(op.kind) && overlap(op.mac, tag, op.aad.data(), op.aad.size())))
    return Status::Overlap;
  return Status::Ok;
}

}  // namespace

Status CryptoDevice::prepare(Request& request, CryptOp& user) noexcept {
  request.crypt = &user;
  user.status = Status::Pending;
  user.produced = 0;
  Session* session = nullptr;
  Status status = look(user.session, session);
  if (status == Status::Ok) status = vet(user, *session);
  if (status != Status::Ok) return status;
  Op& op = request.op;
  op.ses = session;
  op.kind = user.kind;
  op.scheme = user.scheme;
  std::memcpy(op.iv, user.iv, sizeof op.iv);
  op.nIn = op.nOut = 1;
  if (isKeyKind(user.kind)) {
    request.in[0] = segment(user.source, user.length);
    request.in[1] = segment(user.aad.data(), user.aad.size());
    op.nIn = user.kind == Kind::VerifySig ? 2 : 1;
    request.out[0] = {user.destination, user.room};
    op.nOut = user.kind == Kind::VerifySig ? 0 : 1;
    return Status::Ok;
  }
  const Family family = factsOf(session->alg()).family;
  op.aad = segment(user.aad.data(), user.aad.size());
  if (inPieces(*session)) {
    aimAtPiece(request);
    return Status::Ok;
  }
  op.len = user.length;
  request.in[0] = segment(user.source, user.length);
  request.out[0] = {user.destination, user.length};
  const uint32_t tag = session->tagLength();
  if (user.kind == Kind::Open) {
    const Side side = withTag(user.source, user.length, user.mac, tag, request.in);
    op.nIn = side.n;
    op.skip = side.skip;
    op.tagAt = side.tagAt;
    if (user.source == user.destination || family == Family::Mac) op.out = op.in, op.nOut = op.nIn, op.outSkip = op.skip;
  } else if (user.kind == Kind::Mac) {
    request.out[0] = {user.mac, tag};
  } else if (user.kind == Kind::Seal) {
    const Side side = withTag(user.destination, user.length, user.mac, tag, request.out);
    op.nOut = side.n;
    op.outSkip = side.skip;
    op.tagAt = side.tagAt;
    if (user.source == user.destination) op.in = op.out, op.nIn = op.nOut, op.skip = op.outSkip;
  }
  return Status::Ok;
}

// Pieces of a long cipher go one after the other: in CBC each begins with the last block before it.
void CryptoDevice::aimAtPiece(Request& request) noexcept {
  const CryptOp& user = *request.crypt;
  const AlgId alg = request.op.ses->alg();
  const uint32_t length = std::min(user.length - request.offset, piece_);
  request.in[0] = segment(user.source + request.offset, length);
  request.out[0] = {user.destination + request.offset, length};
  request.op.len = length;
  // In place, this is gone when the piece is done.
  const uint32_t block = factsOf(alg).blockBytes;
  if (isCbc(alg) && user.kind == Kind::Decipher && length != 0)
    std::memcpy(request.chain, user.source + request.offset + length - block, block);
}

// True: there is another piece, or the same again in smaller ones, and the request is aimed at it.
bool CryptoDevice::goesOn(Request& request) noexcept {
  Op& op = request.op;
  if (request.crypt == nullptr || !inPieces(*op.ses)) return false;
  // A driver with a lower limit than that of the paper's: nothing was touched.
  if (op.status == Status::TooBig && op.len > kMinPiece) {
    piece_ = std::max(std::min(piece_, op.len) / 2 / 16 * 16, kMinPiece);
    aimAtPiece(request);
    return true;
  }
  if (op.status != Status::Ok || request.offset + op.len >= request.crypt->length) return false;
  const AlgId alg = op.ses->alg();
  if (isCbc(alg)) {
    const uint32_t block = factsOf(alg).blockBytes;
    std::memcpy(op.iv, op.kind == Kind::Cipher ? op.out->p + op.len - block : request.chain, block);
  }
  if (isCtr(alg)) advance(op.iv, op.len / 16);
  request.offset += op.len;
  aimAtPiece(request);
  return true;
}

Status CryptoDevice::prepare(Request& request, KeyOp& user) noexcept {
  request.key = &user;
  user.status = Status::Pending;
  user.produced = 0;
  if (!isKeyKind(user.kind)) return Status::UnknownAlg;
  if (user.in.size() > kMaxKeyInputs) return Status::Invalid;
  Status status = Status::Ok;
  const Alg alg = algOf(user.alg, user.key);
  SessionParams params{};
  params.chain = {&alg, 1};
  params.where = place(SessionParams::Where::Any);
  request.own = framework_.open(params, &status);
  if (request.own == nullptr) return status == Status::NoDriver ? Status::Invalid : status;
  Op& op = request.op;
  op.ses = request.own.get();
  op.kind = user.kind;
  op.scheme = user.scheme;
  for (size_t i = 0; i < user.in.size(); ++i) request.in[i] = segment(user.in[i].data(), user.in[i].size());
  op.nIn = static_cast<uint16_t>(user.in.size());
  request.out[0] = {user.out.data(), static_cast<uint32_t>(user.out.size())};
  op.nOut = user.kind == Kind::VerifySig ? 0 : 1;
  return Status::Ok;
}

// ── waiting for one, or several pending ──

template <class T>
Status CryptoDevice::runAndWait(T& user) noexcept {
  Request& request = take();
  const Status wrong = prepare(request, user);
  if (wrong == Status::Ok) {
    request.op.done = nullptr;
    do (void)framework_.call(request.op);
    while (goesOn(request));
  }
  return settle(request, wrong == Status::Ok ? request.op.status : wrong);
}

template <class T>
void CryptoDevice::start(T& user) noexcept {
  Request& request = take();
  const Status wrong = prepare(request, user);
  if (wrong == Status::Ok) return dispatch(request);
  finish(request, wrong);
}

Status CryptoDevice::crypt(CryptOp& op) noexcept { return runAndWait(op); }
Status CryptoDevice::key(KeyOp& op) noexcept { return runAndWait(op); }

void CryptoDevice::dispatch(Request& request) noexcept {
  request.op.opaque = &request;
  request.op.done = &CryptoDevice::onDone;
  Op* const list[] = {&request.op};
  // Behind those that wait already: an ordered session keeps its order.
  if (waiting_.head != nullptr || framework_.dispatch(list, 1) == 0) waiting_.push(request);
}

void CryptoDevice::onDone(Op* op) {
  auto& request = *static_cast<Request*>(op->opaque);
  if (request.device->goesOn(request)) return request.device->dispatch(request);
  request.device->finish(request, op->status);
}

void CryptoDevice::finish(Request& request, Status status) noexcept {
  CryptOp* const crypt = request.crypt;
  KeyOp* const key = request.key;
  (void)settle(request, status);
  if (crypt != nullptr) done_.push(*crypt);
  if (key != nullptr) doneKeys_.push(*key);
}

// Tells the caller how it ended, and makes the request free for another.
Status CryptoDevice::settle(Request& request, Status status) noexcept {
  const uint32_t produced = status == Status::Ok && isKeyKind(request.op.kind) && request.op.nOut != 0 ? request.out[0].n : 0;
  if (request.crypt != nullptr) request.crypt->status = status, request.crypt->produced = produced;
  if (request.key != nullptr) request.key->status = status, request.key->produced = produced;
  request.own.reset();
  wipe(request.chain, sizeof request.chain);
  request.crypt = nullptr;
  request.key = nullptr;
  request.next = free_;
  free_ = &request;
  --inFlight_;
  return status;
}

CryptoDevice::Request& CryptoDevice::take() noexcept {
  if (free_ == nullptr) {
    requests_.push_back(std::make_unique<Request>());
    requests_.back()->next = nullptr;
    free_ = requests_.back().get();
  }
  Request& request = *free_;
  free_ = request.next;
  request.op = {};
  request.op.in = request.in;
  request.op.out = request.out;
  request.device = this;
  request.offset = 0;
  ++inFlight_;
  return request;
}

size_t CryptoDevice::submit(CryptOp* const* ops, size_t n) noexcept {
  size_t taken = 0;
  for (; taken < n && pending_ < limits_.pending; ++taken, ++pending_) start(*ops[taken]);
  return taken;
}

bool CryptoDevice::submit(KeyOp& op) noexcept {
  if (pending_ >= limits_.pending) return false;
  ++pending_;
  start(op);
  return true;
}

void CryptoDevice::poll() noexcept {
  // Ops of this device have done(), and so are not returned.
  (void)framework_.poll(nullptr, 0);
  while (waiting_.head != nullptr) {
    Op* const list[] = {&waiting_.head->op};
    if (framework_.dispatch(list, 1) == 0) break;
    (void)waiting_.pop();
  }
}

size_t CryptoDevice::fetch(CryptOp** done, size_t max) noexcept {
  poll();
  size_t n = 0;
  for (; n < max && done_.head != nullptr; ++n, --pending_) done[n] = done_.pop();
  return n;
}

KeyOp* CryptoDevice::fetchKey() noexcept {
  poll();
  KeyOp* const op = doneKeys_.pop();
  if (op != nullptr) --pending_;
  return op;
}

}  // namespace socrypt::ocf
