#include "provider/offload.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>

namespace socrypt::provider {

namespace {

// A daemon that is not there is not asked for with every op.
constexpr uint64_t kRetryNs = 1'000'000'000;
constexpr int kTimeoutMs = 2000;
// Source, destination, AAD and tag of the one op.
constexpr uint32_t kSourceAt = 0, kDestinationAt = Channel::kMaxPayload, kAadAt = 2 * Channel::kMaxPayload, kTagAt = kAadAt + Channel::kMaxAad;
constexpr size_t kArena = kTagAt + 64;

uint64_t nowNs() noexcept { return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count()); }

}  // namespace

bool Channel::connected() {
  if (client_ != nullptr && client_->alive()) return true;
  if (nowNs() < retryAtNs_) return false;
  std::string why;
  client_ = cryptod::Client::connect({.path = settings_.path, .arenaBytes = kArena, .timeoutMs = kTimeoutMs}, why);
  ++generation_;
  refused_.fill(false);
  keyless_.fill(0);
  if (client_ == nullptr) retryAtNs_ = nowNs() + kRetryNs;
  return client_ != nullptr;
}

uint32_t Channel::open(ocf::AlgId alg, Bytes key, uint8_t tagLength, uint64_t& generation) {
  const std::lock_guard lock(mutex_);
  const auto index = static_cast<size_t>(alg) % refused_.size();
  if (!connected() || refused_[index]) return 0;
  cryptod::OpenRequest request{};
  request.count = 1;
  request.chain[0] = {.id = static_cast<uint16_t>(alg), .ivLength = ocf::factsOf(alg).ivBytes, .tagLength = tagLength, .key = key};
  cryptod::OpenAnswer answer{};
  if (!client_->open(request, answer)) return 0;
  // EINVAL: nothing there has the algorithm. Full and the like may pass.
  refused_[index] = static_cast<ocf::Status>(answer.status) == ocf::Status::Invalid;
  generation = generation_;
  return answer.status == 0 ? answer.session : 0;
}

uint32_t Channel::openKeyless(ocf::AlgId alg, uint8_t tagLength, uint64_t& generation) {
  const auto index = static_cast<size_t>(alg) % keyless_.size();
  {
    const std::lock_guard lock(mutex_);
    if (!connected()) return 0;
    generation = generation_;
    if (keyless_[index] != 0) return keyless_[index];
  }
  const uint32_t session = open(alg, {}, tagLength, generation);
  const std::lock_guard lock(mutex_);
  if (session != 0 && generation == generation_) keyless_[index] = session;
  return session;
}

void Channel::close(uint32_t session, uint64_t generation) {
  const std::lock_guard lock(mutex_);
  if (generation == generation_ && client_ != nullptr && client_->alive()) (void)client_->close(session);
}

Channel::Outcome Channel::run(const Cipher& op, uint64_t generation) {
  if (op.in.size() > kMaxPayload || op.aad.size() > kMaxAad) return Outcome::Failed;
  const std::lock_guard lock(mutex_);
  if (generation != generation_ || client_ == nullptr || !client_->alive()) return Outcome::Failed;
  uint8_t* const arena = client_->arena().data();
  std::copy(op.in.begin(), op.in.end(), arena + kSourceAt);
  std::copy(op.aad.begin(), op.aad.end(), arena + kAadAt);
  if (op.kind == ocf::Kind::Open) std::copy(op.tag.begin(), op.tag.end(), arena + kTagAt);
  cryptod::OpRecord record{};
  record.session = op.session;
  record.kind = static_cast<uint8_t>(op.kind);
  record.ivLength = static_cast<uint8_t>(op.iv.size());
  std::copy(op.iv.begin(), op.iv.end(), record.iv);
  record.source = kSourceAt;
  record.destination = kDestinationAt;
  record.length = static_cast<uint32_t>(op.in.size());
  record.aad = kAadAt;
  record.aadLength = static_cast<uint32_t>(op.aad.size());
  record.mac = kTagAt;
  record.scheme = op.scheme;
  const bool signs = op.kind == ocf::Kind::Sign;
  if (signs) record.room = static_cast<uint32_t>(std::min<size_t>(op.tag.size(), kMaxPayload));
  cryptod::DoneRecord done{};
  if (!client_->run(record, done)) return Outcome::Failed;
  const auto status = static_cast<ocf::Status>(done.status);
  if (status == ocf::Status::Ok) {
    if (signs) {
      *op.produced = std::min<size_t>(done.produced, op.tag.size());
      std::memcpy(op.tag.data(), arena + kDestinationAt, *op.produced);
    }
    if (!op.in.empty() && op.out != nullptr) std::memcpy(op.out, arena + kDestinationAt, op.in.size());
    if (op.kind == ocf::Kind::Seal || op.kind == ocf::Kind::Mac) std::copy_n(arena + kTagAt, op.tag.size(), op.tag.begin());
  }
  // Plaintext does not lie around in shared memory.
  explicit_bzero(arena + kSourceAt, op.in.size());
  explicit_bzero(arena + kDestinationAt, op.in.size());
  return status == ocf::Status::Ok ? Outcome::Ok : status == ocf::Status::BadTag ? Outcome::BadTag : Outcome::Failed;
}

void Channel::abandon() noexcept {
  if (client_ != nullptr) client_->abandon();
}

void RemoteSession::forget() {
  // A parent's is its own, and its lock may never be free in this process.
  if (channel_ != nullptr && session_ != 0 && channel_->owner() == getpid()) channel_->close(session_, generation_);
  channel_.reset();
  session_ = 0;
}

Channel::Outcome RemoteSession::run(ocf::AlgId alg, Bytes key, uint8_t tagLength, Channel::Cipher op) {
  if (op.in.size() < settings().minBytes) return Channel::Outcome::Failed;
  // A session goes with its process's connections: after a fork there are none.
  const std::shared_ptr<Channel> mine = channel();
  if (channel_ != mine) {
    forget();
    channel_ = mine;
  }
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (session_ == 0) session_ = channel_->open(alg, key, tagLength, generation_);
    if (session_ == 0) break;
    op.session = session_;
    const Channel::Outcome outcome = channel_->run(op, generation_);
    if (outcome != Channel::Outcome::Failed) return outcome;
    // Another op may have lost the connection, and with it the session: once more, over a new one.
    channel_->close(session_, generation_);
    session_ = 0;
  }
  return Channel::Outcome::Failed;
}

Channel::Outcome runKeyless(ocf::AlgId alg, Channel::Cipher op) {
  if (op.in.size() < settings().digestMinBytes) return Channel::Outcome::Failed;
  const std::shared_ptr<Channel> mine = channel();
  Channel::Outcome outcome = Channel::Outcome::Failed;
  // Another thread's op may have lost the connection, and with it the session: once more, over a new one.
  for (int attempt = 0; attempt < 2 && outcome == Channel::Outcome::Failed; ++attempt) {
    uint64_t generation = 0;
    op.session = mine->openKeyless(alg, ocf::factsOf(alg).tagBytes, generation);
    if (op.session == 0) break;
    outcome = mine->run(op, generation);
  }
  return outcome;
}

// ── per process ──

namespace {

struct Pool {
  explicit Pool(const Settings& with) {
    for (auto& one : channels) one = std::make_shared<Channel>(with);
  }
  pid_t owner = getpid();
  std::array<std::shared_ptr<Channel>, kChannels> channels;
};

Settings& chosen() {
  static Settings settings;
  return settings;
}

std::atomic<Pool*> pool{nullptr};

}  // namespace

void configure(Settings with) {
  if (const char* path = std::getenv("SOCRYPT_CRYPTOD"); path != nullptr && *path != '\0') with.path = path;
  chosen() = std::move(with);
}

const Settings& settings() { return chosen(); }

size_t channelNumber() {
  static std::atomic<size_t> threads{0};
  thread_local const size_t mine = threads.fetch_add(1, std::memory_order_relaxed) % kChannels;
  return mine;
}

std::shared_ptr<Channel> channel() {
  Pool* now = pool.load(std::memory_order_acquire);
  while (now == nullptr || now->owner != getpid()) {
    auto fresh = std::make_unique<Pool>(chosen());
    Pool* const before = now;
    if (!pool.compare_exchange_strong(now, fresh.get(), std::memory_order_acq_rel)) continue;
    now = fresh.release();
    // The parent's: its locks may be held for ever here, so it is neither used nor freed, only closed.
    if (before != nullptr)
      for (const auto& one : before->channels) one->abandon();
  }
  return now->channels[channelNumber()];
}

}  // namespace socrypt::provider
