#include "cryptod/connection.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

namespace socrypt::cryptod {

using ocf::Status;

struct Connection::PendingOp {
  ocf::CryptOp op;
  uint64_t cookie = 0;
  PendingOp* next = nullptr;
};

// Owns copies of its parameters: the frame that brought them is gone when the op is done.
struct Connection::PendingKey {
  ocf::KeyOp op;
  uint64_t tag = 0;
  std::vector<uint8_t> parameters;
  std::span<const uint8_t> in[kMaxKeyInputs];
  std::vector<uint8_t> out;
  ~PendingKey() {
    ocf::wipe(parameters.data(), parameters.size());
    ocf::wipe(out.data(), out.size());
  }
};

Connection::Connection(Descriptor socket, ocf::Framework& framework, bool allowSoftware, const Limits& limits, Counters& counters)
    : socket_(std::move(socket)),
      framework_(framework),
      limits_(limits),
      counters_(counters),
      allowSoftware_(allowSoftware),
      in_(std::make_unique<uint8_t[]>(kMaxFrame)),
      device_(framework, allowSoftware, {.sessions = limits.sessions, .pending = limits.pending}) {}

Connection::~Connection() {
  ocf::wipe(in_.get(), kMaxFrame);
  device_.drain();
  while (ocf::KeyOp* key = device_.fetchKey()) delete static_cast<PendingKey*>(key->opaque);
}

void Connection::hangUp() noexcept {
  gone_ = true;
  hasWork_ = false;
  socket_.reset();
  out_.clear();
}

void Connection::offer(Descriptor fd) noexcept {
  if (!greeted_) offered_ = std::move(fd);
}

bool Connection::violation(std::string_view why) {
  Counters::add(counters_.protocolErrors);
  endReport();
  writeError(out_, why);
  (void)flush();
  return false;
}

bool Connection::receive() {
  iovec part{in_.get() + inUsed_, roomForInput()};
  if (part.iov_len == 0) return true;
  alignas(cmsghdr) char control[CMSG_SPACE(4 * sizeof(int))]{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  // Descriptors come with Hello alone; without room for them the kernel drops those of other messages.
  if (!greeted_) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
  }
  const ssize_t n = recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
  for (cmsghdr* c = greeted_ ? nullptr : CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
      offer(Descriptor(fd));
    }
  }
  if (n == 0) return false;
  inUsed_ += static_cast<size_t>(n);
  hasWork_ = true;
  return true;
}

bool Connection::feed(Bytes bytes) {
  if (bytes.size() > roomForInput()) return false;
  std::copy(bytes.begin(), bytes.end(), in_.get() + inUsed_);
  inUsed_ += bytes.size();
  hasWork_ = true;
  return true;
}

bool Connection::work(uint64_t budget) {
  size_t used = 0;
  bool good = true;
  hasWork_ = false;
  while (good && !clogged()) {
    Frame frame{};
    const Cut cut = cutFrame({in_.get() + used, inUsed_ - used}, frame);
    if (cut == Cut::Malformed) return violation("a frame of a length that no frame has");
    if (cut == Cut::NeedMore) break;
    if (budget == 0) {
      hasWork_ = true;
      break;
    }
    if (!greeted_ && frame.header.type != Type::Hello) return violation("expected Hello first");
    switch (frame.header.type) {
      case Type::Hello: good = greet(frame); break;
      case Type::Open: good = openSession(frame); break;
      case Type::Close: good = closeSession(frame); break;
      case Type::Key: good = keyOp(frame); break;
      case Type::Drivers: good = listDrivers(frame); break;
      case Type::Submit: good = submitFrom(frame, budget); break;
      default: good = violation("a frame of an unknown type");
    }
    if (!good) return false;
    if (nextOp_ != 0) {  // of this frame, some are left
      hasWork_ = true;
      break;
    }
    // Keys may have been in it.
    ocf::wipe(in_.get() + used, frame.header.length);
    used += frame.header.length;
  }
  if (clogged()) hasWork_ = inUsed_ != used;
  if (used != 0) {
    std::memmove(in_.get(), in_.get() + used, inUsed_ - used);
    inUsed_ -= used;
  }
  harvest();
  return good;
}

bool Connection::greet(const Frame& frame) {
  Hello hello{};
  if (greeted_) return violation("expected one Hello");
  if (!read(frame.body, hello)) return violation("expected Hello of this protocol");
  if (hello.version != kVersion) return violation("expected version " + std::to_string(kVersion));
  if (hello.arenaBytes > limits_.arenaBytes) return violation("expected an arena of at most " + std::to_string(limits_.arenaBytes) + " bytes");
  if (hello.arenaBytes != 0) {
    if (!offered_) return violation("expected the arena's descriptor with Hello");
    std::string_view why;
    std::optional<Arena> arena = Arena::adopt(std::move(offered_), hello.arenaBytes, why);
    if (!arena) return violation(why);
    arena_ = std::move(*arena);
  }
  offered_.reset();
  greeted_ = true;
  write(out_, frame.header.tag,
        HelloAnswer{.version = kVersion, .software = allowSoftware_, .maxSessions = limits_.sessions, .maxPending = limits_.pending, .maxArenaBytes = limits_.arenaBytes});
  return true;
}

bool Connection::openSession(const Frame& frame) {
  OpenRequest request{};
  if (!read(frame.body, request)) return violation("a malformed Open");
  ocf::Alg chain[kMaxChain];
  for (size_t i = 0; i < request.count; ++i) {
    const OpenAlg& alg = request.chain[i];
    chain[i] = {.id = static_cast<ocf::AlgId>(alg.id), .ivLen = alg.ivLength, .tagLen = alg.tagLength, .rounds = 0, .key = alg.key};
  }
  ocf::SessionParams params{};
  params.chain = {chain, request.count};
  params.where = request.place == Place::Hardware   ? ocf::SessionParams::Where::Accelerator
                 : request.place == Place::Software ? ocf::SessionParams::Where::Software
                                                    : ocf::SessionParams::Where::Any;
  OpenAnswer answer{};
  const Status status = device_.openSession(params, answer.session);
  Counters::add(status == Status::Ok ? counters_.sessionsOpened : counters_.sessionsRefused);
  answer.status = static_cast<int16_t>(status);
  write(out_, frame.header.tag, answer);
  return true;
}

bool Connection::closeSession(const Frame& frame) {
  uint32_t session = 0;
  if (!readSession(frame.body, session)) return violation("a malformed Close");
  writeClosed(out_, frame.header.tag, static_cast<int16_t>(device_.closeSession(session)));
  return true;
}

bool Connection::listDrivers(const Frame& frame) {
  if (!frame.body.empty()) return violation("a malformed Drivers");
  const std::vector<ocf::DriverInfo> drivers = framework_.drivers();
  std::vector<DriverRecord> records;
  for (const ocf::DriverInfo& driver : drivers) records.push_back({driver.id, driver.caps.flags, driver.name});
  write(out_, frame.header.tag, records);
  return true;
}

bool Connection::keyOp(const Frame& frame) {
  KeyRequest request{};
  if (!read(frame.body, request)) return violation("a malformed Key");
  Counters::add(counters_.keyOps);
  auto pending = std::make_unique<PendingKey>();
  pending->tag = frame.header.tag;
  pending->parameters.assign(frame.body.begin(), frame.body.end());
  // The same places, in the copy.
  const auto copied = [&](Bytes of) { return Bytes(pending->parameters).subspan(static_cast<size_t>(of.data() - frame.body.data()), of.size()); };
  for (size_t i = 0; i < request.inputs; ++i)
    if (!request.input[i].empty()) pending->in[i] = copied(request.input[i]);
  pending->out.resize(request.outputBytes);
  ocf::KeyOp& op = pending->op;
  op.kind = static_cast<ocf::Kind>(request.kind);
  op.alg = static_cast<ocf::AlgId>(request.alg);
  op.scheme = request.scheme;
  if (!request.key.empty()) op.key = copied(request.key);
  op.in = {pending->in, request.inputs};
  op.out = pending->out;
  op.opaque = pending.get();
  if (device_.submit(op)) {
    (void)pending.release();
  } else {
    Counters::add(counters_.opsFull);
    write(out_, frame.header.tag, KeyAnswer{.status = static_cast<int16_t>(Status::Full), .output = {}});
  }
  return true;
}

// What a record means in the arena. Everything is looked at in our copy of the record.
Status Connection::aim(const OpRecord& record, PendingOp& pending) const noexcept {
  ocf::CryptOp& op = pending.op;
  const std::span<uint8_t> arena = arena_.memory();
  op = {};
  pending.cookie = record.cookie;
  op.opaque = &pending;
  op.session = record.session;
  op.kind = static_cast<ocf::Kind>(record.kind);
  op.ivLength = record.ivLength;
  op.scheme = record.scheme;
  op.length = record.length;
  std::memcpy(op.iv, record.iv, sizeof op.iv);
  if (record.kind > static_cast<uint8_t>(ocf::Kind::ModExpCrt)) return Status::UnknownAlg;
  if (record.length > limits_.opBytes || record.aadLength > limits_.opBytes) return Status::TooBig;
  const bool key = ocf::isKeyKind(op.kind);
  const auto source = region(arena, record.source, record.length);
  const auto destination = region(arena, record.destination, key ? record.room : record.length);
  const auto aad = region(arena, record.aad, record.aadLength);
  if (!source || !destination || !aad) return Status::Range;
  op.source = source->data();
  op.destination = destination->data();
  op.aad = *aad;
  op.room = key ? record.room : 0;
  if (op.kind == ocf::Kind::Seal || op.kind == ocf::Kind::Open || op.kind == ocf::Kind::Mac) {
    uint32_t tag = 0;
    const Status status = device_.tagLength(record.session, tag);
    if (status != Status::Ok) return status;
    const auto mac = region(arena, record.mac, tag);
    if (!mac) return Status::Range;
    op.mac = mac->data();
  }
  return Status::Ok;
}

bool Connection::submitFrom(const Frame& frame, uint64_t& budget) {
  if (frame.header.count == 0) return frame.body.empty() || violation("a malformed Submit");
  size_t index = nextOp_;
  for (; index < frame.header.count && budget != 0; ++index) {
    OpRecord record{};
    if (!read(frame, index, record)) return violation("a malformed Submit");
    if (freeOp_ == nullptr) {
      ops_.push_back(std::make_unique<PendingOp>());
      freeOp_ = ops_.back().get();
    }
    PendingOp& pending = *freeOp_;
    const Status wrong = aim(record, pending);
    ocf::CryptOp* const list[] = {&pending.op};
    // What is complete makes room.
    if (wrong == Status::Ok && device_.pending() >= limits_.pending) harvest();
    if (wrong != Status::Ok || device_.submit(list, 1) == 0) {
      Counters::add(wrong == Status::Ok ? counters_.opsFull : counters_.opsFailed);
      report({.cookie = record.cookie, .status = static_cast<int16_t>(wrong == Status::Ok ? Status::Full : wrong), .produced = 0});
      continue;
    }
    freeOp_ = pending.next;
    Counters::add(counters_.ops);
    Counters::add(counters_.opBytes, record.length);
    // An op costs something however short it is.
    budget -= std::min<uint64_t>(budget, uint64_t{record.length} + 256);
  }
  nextOp_ = index < frame.header.count ? index : 0;
  endReport();
  return true;
}

void Connection::report(const DoneRecord& done) {
  if (gone_) return;
  constexpr uint16_t kPerFrame = (kMaxFrame - kHeaderBytes) / kDoneBytes;
  if (reported_ == kPerFrame) endReport();
  if (reported_ == 0) out_.begin(Type::Done, 0);
  out_.done(done);
  ++reported_;
}

void Connection::endReport() {
  if (reported_ != 0) out_.end(reported_);
  reported_ = 0;
}

void Connection::harvest() {
  // To ask for one kind may complete the other, and nobody is woken for that any more.
  do harvestOnce();
  while (device_.hasDone());
}

void Connection::harvestOnce() {
  ocf::CryptOp* done[64];
  for (size_t n = 64; n == 64;) {
    n = device_.fetch(done, 64);
    for (size_t i = 0; i < n; ++i) {
      auto& pending = *static_cast<PendingOp*>(done[i]->opaque);
      if (pending.op.status != Status::Ok) Counters::add(counters_.opsFailed);
      report({.cookie = pending.cookie, .status = static_cast<int16_t>(pending.op.status), .produced = pending.op.produced});
      pending.next = freeOp_;
      freeOp_ = &pending;
    }
  }
  endReport();
  while (ocf::KeyOp* key = device_.fetchKey()) {
    const std::unique_ptr<PendingKey> pending(static_cast<PendingKey*>(key->opaque));
    const size_t produced = std::min<size_t>(key->produced, pending->out.size());
    if (!gone_)
      write(out_, pending->tag, KeyAnswer{.status = static_cast<int16_t>(key->status), .output = Bytes(pending->out).first(produced)});
  }
}

bool Connection::flush() {
  while (out_.size() != 0) {
    const ssize_t n = send(socket_.get(), out_.view().data(), out_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
    out_.consume(static_cast<size_t>(n));
  }
  return true;
}

}  // namespace socrypt::cryptod
