#include "ocf/drivers/model.hpp"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "ocf/drivers/key.hpp"
#include "ocf/drivers/soft.hpp"

namespace socrypt::ocf {
namespace {

// Rings when the next op is due: what an interrupt is to a real card.
class Alarm {
 public:
  Alarm(Driver* driver, Waker* waker) : driver_(driver), waker_(waker), thread_([this] { watch(); }) {}
  ~Alarm() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }
  void set(uint64_t at) {
    {
      const std::lock_guard lock(mutex_);
      if (at >= at_) return;
      at_ = at;
    }
    changed_.notify_one();
  }

 private:
  void watch() {
    std::unique_lock lock(mutex_);
    while (!ending_) {
      const uint64_t now = steadyClock().now();
      if (at_ <= now) {
        at_ = UINT64_MAX;
        waker_->ready(driver_);
      } else if (at_ == UINT64_MAX) {
        changed_.wait(lock);
      } else {
        changed_.wait_for(lock, std::chrono::nanoseconds(at_ - now));
      }
    }
  }
  Driver* driver_;
  Waker* waker_;
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t at_ = UINT64_MAX;
  bool ending_ = false;
  std::thread thread_;
};

bool isKeyAlgorithm(const std::string& name) noexcept {
  AlgId id;
  return algByName(name, id) && factsOf(id).family == Family::Key;
}

std::unique_ptr<Driver> engineOf(const ModelCard& card) {
  return std::any_of(card.algorithms.begin(), card.algorithms.end(), isKeyAlgorithm) ? makeInlineKeyDriver() : makeSoftDriver();
}

class ModelDriver final : public Driver {
 public:
  ModelDriver(ModelCard card, Clock& clock, ModelFaults* faults, ModelBus* bus, std::unique_ptr<Driver> engine)
      : card_(std::move(card)), clock_(clock), virtual_(dynamic_cast<VirtualClock*>(&clock)), engine_(engine != nullptr ? std::move(engine) : engineOf(card_)),
        faults_(faults != nullptr ? faults : &ownFaults_), bus_(bus != nullptr ? bus : &ownBus_) {
    card_.cost.lanes = std::max<uint16_t>(card_.cost.lanes, 1);
    laneFreeAt_.resize(card_.cost.lanes);
    ownBus_.bytesPerNs = card_.busBytesPerNs;
    caps_.flags = Caps::Hardware | Caps::OutOfPlace | Caps::Sgl | Caps::Verify | (engine_->caps().flags & Caps::Asym);
    caps_.maxLen = card_.maxLen;
    caps_.queueDepth = std::max(card_.queueDepth, 1U);
    caps_.maxSessions = card_.maxSessions;
    jobs_.reserve(caps_.queueDepth);
  }
  ~ModelDriver() override { alarm_.reset(); }

  [[nodiscard]] std::string_view name() const noexcept override { return card_.name; }
  [[nodiscard]] const Caps& caps() const noexcept override { return caps_; }
  [[nodiscard]] int probe(const SessionParams& params, Cost& cost) const noexcept override {
    std::string name(factsOf(params.chain[0].id).name);
    if (params.chain.size() == 2) name.append("+").append(factsOf(params.chain[1].id).name);
    Cost ignored;
    const bool has = std::find(card_.algorithms.begin(), card_.algorithms.end(), name) != card_.algorithms.end();
    if (!has || faults_->unplugged || engine_->probe(params, ignored) < 0) return -EOPNOTSUPP;
    cost = card_.cost;
    return 400;
  }
  [[nodiscard]] size_t sessionBytes(const SessionParams& params) const noexcept override { return engine_->sessionBytes(params); }
  [[nodiscard]] Status newSession(const SessionParams& params, std::span<std::byte> priv) noexcept override {
    return engine_->newSession(params, priv);
  }
  void freeSession(std::span<std::byte> priv) noexcept override { engine_->freeSession(priv); }
  void attach(Waker* waker) noexcept override {
    if (virtual_ == nullptr) alarm_ = std::make_unique<Alarm>(this, waker);
  }
  void stop() noexcept override { alarm_.reset(); }

  size_t submit(Op* const* ops, size_t n, bool more) noexcept override {
    const bool continued = std::exchange(continued_, false);
    if (faults_->unplugged) return 0;
    if (faults_->refuseBursts != 0) {
      --faults_->refuseBursts;
      return 0;
    }
    const size_t given = n;
    n = std::min<size_t>(n, caps_.queueDepth - jobs_.size());
    const uint64_t now = clock_.now();
    for (size_t i = 0; i < n; ++i) accept(*ops[i], now, i == 0 && !continued);
    // What follows at once is of the same request to the card.
    continued_ = more && n == given;
    announce(now);
    return n;
  }

  size_t poll(Op** done, size_t max, bool) noexcept override {
    const uint64_t now = clock_.now();
    size_t n = 0;
    if (faults_->unplugged) {
      while (n < max && !jobs_.empty()) {
        const Job job = jobs_.back();
        jobs_.pop_back();
        job.op->status = job.start <= now ? Status::Gone : Status::Again;
        done[n++] = job.op;
      }
      return n;
    }
    if (noticeAt(now) > now) {
      announce(now);
      return 0;
    }
    ++faults_->interrupts;
    // In the order of completion, as lanes finish.
    std::sort(jobs_.begin(), jobs_.end(), [](const Job& a, const Job& b) { return a.finish < b.finish; });
    while (n < max && n < jobs_.size() && jobs_[n].finish <= now && !faults_->unplugged) {
      Op& op = *jobs_[n].op;
      Op* list[] = {&op};
      // What the answer takes is this processor's work, and not the card's; in real time it is part of what an op takes.
      const uint64_t start = clock_.now();
      if (engine_->submit(list, 1, false) == 0) op.status = Status::Gone;
      op.fw.serviceNs = jobs_[n].serviceNs + static_cast<float>(clock_.now() - start);
      // The framework queues what consumers want; known-answer tests come past it.
      if (op.fw.at != nullptr) ++served_;
      if (served_ > card_.lieAfterOps) faults_->wrongAnswers = std::max(faults_->wrongAnswers, 1U);
      if (served_ >= card_.unplugAfterOps) faults_->unplugged = true;
      if (faults_->wrongAnswers != 0 && op.status == Status::Ok) lie(op);
      done[n++] = &op;
    }
    jobs_.erase(jobs_.begin(), jobs_.begin() + static_cast<ptrdiff_t>(n));
    announce(now);
    return n;
  }

  size_t cancel(Op** back, size_t max) noexcept override {
    const uint64_t now = clock_.now();
    size_t n = 0;
    for (size_t i = 0; i < jobs_.size() && n < max;) {
      if (jobs_[i].start <= now) {
        ++i;
        continue;
      }
      back[n++] = jobs_[i].op;
      jobs_.erase(jobs_.begin() + static_cast<ptrdiff_t>(i));
    }
    return n;
  }

 private:
  struct Job {
    Op* op;
    uint64_t start, finish;
    float serviceNs;
  };

  void accept(Op& op, uint64_t now, bool first) noexcept {
    uint64_t ready = now;
    if (bus_->bytesPerNs > 0) {
      const auto crossing = static_cast<uint64_t>(2.0 * op.len / bus_->bytesPerNs);
      ready = bus_->freeAt = std::max(bus_->freeAt, now) + crossing;
      bus_->busyNs += crossing;
    }
    uint64_t& lane = *std::min_element(laneFreeAt_.begin(), laneFreeAt_.end());
    const float service = (first ? card_.cost.batchNs : 0) + card_.cost.opNs + static_cast<float>(op.len) * card_.cost.byteNs;
    Job job{&op, std::max(lane, ready), 0, service};
    job.finish = lane = job.start + static_cast<uint64_t>(service);
    jobs_.push_back(job);
  }

  // When the host notices that something is complete.
  [[nodiscard]] uint64_t noticeAt(uint64_t now) noexcept {
    uint64_t first = UINT64_MAX;
    size_t complete = 0;
    for (const Job& job : jobs_) {
      first = std::min(first, job.finish);
      complete += job.finish <= now ? 1 : 0;
    }
    if (first == UINT64_MAX) return first;
    const auto latency = static_cast<uint64_t>(card_.interruptNs);
    const bool all = complete == jobs_.size();
    if (card_.coalesceOps <= 1 || complete >= card_.coalesceOps || all) return first + latency;
    return first + latency + static_cast<uint64_t>(card_.coalesceNs);
  }

  // Tells the clock, or the alarm, when to look.
  void announce(uint64_t now) noexcept {
    const auto latency = static_cast<uint64_t>(card_.interruptNs);
    uint64_t next = UINT64_MAX;
    for (const Job& job : jobs_) {
      const uint64_t at = job.finish + latency;
      if (at > now) next = std::min(next, at);
    }
    if (const uint64_t notice = noticeAt(now); notice > now) next = std::min(next, notice);
    else if (notice != UINT64_MAX) next = now;
    if (next == UINT64_MAX) return;
    if (virtual_ != nullptr) virtual_->schedule(next > now ? next : now + 1);
    else if (alarm_ != nullptr) alarm_->set(next);
  }

  void lie(Op& op) noexcept {
    if (op.nOut == 0 || op.out->n == 0) return;
    --faults_->wrongAnswers;
    uint8_t* at = op.kind == Kind::Mac ? op.out->p + op.tagAt : op.out->p + op.outSkip;
    if (op.kind == Kind::Mac || op.len != 0) *at ^= 1;
  }

  ModelCard card_;
  Clock& clock_;
  VirtualClock* virtual_;
  std::unique_ptr<Driver> engine_;
  ModelFaults ownFaults_, *faults_;
  ModelBus ownBus_, *bus_;
  Caps caps_;
  std::vector<uint64_t> laneFreeAt_;
  std::vector<Job> jobs_;
  bool continued_ = false;
  uint64_t served_ = 0;  // ops of consumers
  std::unique_ptr<Alarm> alarm_;
};

// The subset of JSON that a card's description needs: one object of strings, numbers and lists of strings.
class Reader {
 public:
  Reader(std::string_view text, std::string& why) : text_(text), why_(why) {}

  void object(ModelCard& card) {
    if (!take('{')) return expected("an object");
    if (take('}')) return;
    do {
      const std::string name = string();
      if (!take(':')) return expected("':' after \"" + name + "\"");
      member(card, name);
    } while (why_.empty() && take(','));
    if (why_.empty() && !take('}')) expected("',' or '}'");
    skip();
    if (why_.empty() && at_ != text_.size()) expected("nothing after the object");
  }

 private:
  void member(ModelCard& card, const std::string& name) {
    if (name == "name") card.name = string();
    else if (name == "comment") (void)string();
    else if (name == "algorithms") list(card.algorithms);
    else if (name == "batchNs") card.cost.batchNs = static_cast<float>(number(1e12));
    else if (name == "opNs") card.cost.opNs = static_cast<float>(number(1e12));
    else if (name == "byteNs") card.cost.byteNs = static_cast<float>(number(1e9));
    else if (name == "lanes") card.cost.lanes = static_cast<uint16_t>(number(1024));
    else if (name == "queueDepth") card.queueDepth = static_cast<uint32_t>(number(65536));
    else if (name == "maxSessions") card.maxSessions = static_cast<uint32_t>(number(1e9));
    else if (name == "maxLen") card.maxLen = static_cast<uint32_t>(number(1e9));
    else if (name == "interruptNs") card.interruptNs = number(1e12);
    else if (name == "coalesceOps") card.coalesceOps = static_cast<uint32_t>(number(65536));
    else if (name == "coalesceNs") card.coalesceNs = number(1e12);
    else if (name == "busBytesPerNs") card.busBytesPerNs = number(1e6);
    else if (name == "unplugAfterOps") card.unplugAfterOps = static_cast<uint64_t>(number(1e15));
    else if (name == "lieAfterOps") card.lieAfterOps = static_cast<uint64_t>(number(1e15));
    else if (why_.empty()) why_ = "no card has a \"" + name + "\"";
  }
  void skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t')) ++at_;
  }
  bool take(char c) {
    skip();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expected(const std::string& what) {
    if (why_.empty()) why_ = "expected " + what + " at character " + std::to_string(at_);
  }
  std::string string() {
    if (!take('"')) return expected("a string"), std::string();
    const size_t end = text_.find_first_of("\"\\", at_);
    if (end == std::string_view::npos || text_[end] != '"') return expected("a string without escapes"), std::string();
    const std::string value(text_.substr(at_, end - at_));
    at_ = end + 1;
    return value;
  }
  double number(double most) {
    skip();
    const std::string rest(text_.substr(at_, 32));
    char* end = nullptr;
    const double value = std::strtod(rest.c_str(), &end);
    if (end == rest.c_str() || !(value >= 0) || value > most) {
      expected("a number from 0 to " + std::to_string(most));
      return 0;
    }
    at_ += static_cast<size_t>(end - rest.c_str());
    return value;
  }
  void list(std::vector<std::string>& out) {
    if (!take('[')) return expected("a list of strings");
    if (take(']')) return;
    do out.push_back(string());
    while (why_.empty() && take(','));
    if (why_.empty() && !take(']')) expected("',' or ']'");
  }

  std::string_view text_;
  std::string& why_;
  size_t at_ = 0;
};

}  // namespace

ModelCard parseModelCard(std::string_view json, std::string& why) {
  ModelCard card;
  why.clear();
  Reader(json, why).object(card);
  if (!why.empty()) return card;
  if (card.algorithms.empty()) why = "expected \"algorithms\": a card without any serves nobody";
  for (const std::string& chain : card.algorithms) {
    const size_t plus = chain.find('+');
    AlgId id;
    for (const std::string& name : {chain.substr(0, plus), plus == std::string::npos ? chain : chain.substr(plus + 1)})
      if (!algByName(name, id)) why = "no algorithm is called \"" + name + '"';
  }
  const auto keys = static_cast<size_t>(std::count_if(card.algorithms.begin(), card.algorithms.end(), isKeyAlgorithm));
  if (why.empty() && keys != 0 && keys != card.algorithms.size()) why = "expected key operations or other algorithms, and not both in one card";
  return card;
}

std::unique_ptr<Driver> makeModelDriver(ModelCard card, Clock& clock, ModelFaults* faults, ModelBus* bus, std::unique_ptr<Driver> engine) {
  return std::make_unique<ModelDriver>(std::move(card), clock, faults, bus, std::move(engine));
}

}  // namespace socrypt::ocf
