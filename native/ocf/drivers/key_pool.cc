#include "ocf/drivers/key_pool.hpp"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <system_error>

#include "ocf/time_slice.hpp"

namespace socrypt::ocf {
namespace {

constexpr std::chrono::microseconds kSlice{3000};
constexpr int kNice = 10;

unsigned cpusOfProcess() noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  const int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  return static_cast<unsigned>(std::clamp(count, 1, static_cast<int>(KeyPool::kMaxLanes)));
}

}  // namespace

std::shared_ptr<KeyPool> KeyPool::shared() noexcept {
  static std::mutex mutex;
  static std::weak_ptr<KeyPool> running;
  const std::lock_guard lock(mutex);
  std::shared_ptr<KeyPool> pool = running.lock();
  if (pool == nullptr) {
    pool = make(cpusOfProcess());
    running = pool;
  }
  return pool;
}

std::shared_ptr<KeyPool> KeyPool::make(unsigned threads) noexcept {
  try {
    std::shared_ptr<KeyPool> pool(new KeyPool);
    threads = std::clamp(threads, 1u, kMaxLanes);
    pool->running_.resize(threads);
    pool->threads_.reserve(threads);
    for (unsigned lane = 0; lane < threads; ++lane) pool->threads_.emplace_back([raw = pool.get(), lane] { raw->work(lane); });
    return pool;
  } catch (const std::exception&) {
    return nullptr;  // its destructor has ended the threads that there were
  }
}

KeyPool::~KeyPool() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void KeyPool::add(Job* const* jobs, size_t count) noexcept {
  {
    const std::lock_guard lock(mutex_);
    for (size_t i = 0; i < count; ++i) {
      Job& job = *jobs[i];
      job.previous = last_;
      job.next = nullptr;
      job.queued = true;
      (last_ == nullptr ? first_ : last_->next) = &job;
      last_ = &job;
    }
    queued_ += count;
  }
  if (count == 1)
    wake_.notify_one();
  else
    wake_.notify_all();
}

void KeyPool::unlink(Job& job) noexcept {
  (job.previous == nullptr ? first_ : job.previous->next) = job.next;
  (job.next == nullptr ? last_ : job.next->previous) = job.previous;
  job.previous = job.next = nullptr;
  job.queued = false;
  --queued_;
}

bool KeyPool::takeBack(Job& job) noexcept {
  const std::lock_guard lock(mutex_);
  if (!job.queued) return false;
  unlink(job);
  return true;
}

KeyPool::Job* KeyPool::takeBackFirst(const Owner& owner) noexcept {
  const std::lock_guard lock(mutex_);
  for (Job* job = first_; job != nullptr; job = job->next) {
    if (job->owner != &owner) continue;
    unlink(*job);
    return job;
  }
  return nullptr;
}

void KeyPool::awaitIdle(const Owner& owner) noexcept {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [&] { return std::find(running_.begin(), running_.end(), &owner) == running_.end(); });
}

size_t KeyPool::queued() const noexcept {
  const std::lock_guard lock(mutex_);
  return queued_;
}

bool KeyPool::goesOnWith(const Owner& owner, size_t others) const noexcept {
  const std::lock_guard lock(mutex_);
  return queued_ > others && first_->owner == &owner;
}

void KeyPool::work(unsigned lane) noexcept {
  pthread_setname_np(pthread_self(), "socrypt-key");
  // Whoever waits for a signature is in no hurry beside whoever serves all connections: these threads use what the
  // event loops and engines leave. They do not pre-empt them when they wake up (sched(7), SCHED_BATCH), and give way
  // when those do. A share they keep, on a busy machine a tenth of what others have.
  askForSlice(kSlice, true);
  setpriority(PRIO_PROCESS, 0, kNice);  // of this thread: setpriority(2), "C library/kernel differences"
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return ending_ || first_ != nullptr; });
    if (first_ == nullptr) return;
    Job& job = *first_;
    unlink(job);
    running_[lane] = job.owner;
    lock.unlock();
    job.owner->run(job.index, lane);
    lock.lock();
    // The job itself may be in use again by now.
    running_[lane] = nullptr;
    idle_.notify_all();
  }
}

}  // namespace socrypt::ocf
