// The threads of the key driver: one set for the process, whoever has a driver. They end with the last driver.
//
// A job is linked into the queue where it lies, so that nothing is allocated per op. Public-key operations take
// from 20 microseconds to some milliseconds: one mutex around the queue costs nothing beside them.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace socrypt::ocf {

class KeyPool {
 public:
  /// Whose jobs they are. Both are called from a thread of the pool.
  class Owner {
   public:
    virtual void run(size_t job, unsigned lane) noexcept = 0;

   protected:
    ~Owner() = default;
  };
  struct Job {
    Owner* owner = nullptr;
    size_t index = 0;
    Job* previous = nullptr;
    Job* next = nullptr;
    bool queued = false;
  };
  static constexpr unsigned kMaxLanes = 32;

  /// The process's pool, started when nobody has it yet: one thread per CPU that the process may run on.
  /// nullptr: no thread could be started.
  [[nodiscard]] static std::shared_ptr<KeyPool> shared() noexcept;
  /// One of its own; for tests and measurements.
  [[nodiscard]] static std::shared_ptr<KeyPool> make(unsigned threads) noexcept;
  ~KeyPool();
  KeyPool(const KeyPool&) = delete;
  KeyPool& operator=(const KeyPool&) = delete;

  [[nodiscard]] unsigned lanes() const noexcept { return static_cast<unsigned>(threads_.size()); }
  /// Jobs are begun in the order in which they were added. `count` of them lie in a row.
  void add(Job* const* jobs, size_t count) noexcept;
  /// False: it has begun, or is over.
  [[nodiscard]] bool takeBack(Job& job) noexcept;
  /// The first of `owner`'s jobs that has not begun; nullptr: there is none.
  [[nodiscard]] Job* takeBackFirst(const Owner& owner) noexcept;
  /// Returns once none of `owner`'s jobs runs. None of them may be queued.
  void awaitIdle(const Owner& owner) noexcept;
  /// Jobs that wait for a thread.
  [[nodiscard]] size_t queued() const noexcept;
  /// Whether there are more than `others` jobs that wait, of which `owner` has the first.
  [[nodiscard]] bool goesOnWith(const Owner& owner, size_t others) const noexcept;

 private:
  KeyPool() = default;
  void work(unsigned lane) noexcept;
  void unlink(Job& job) noexcept;

  mutable std::mutex mutex_;
  std::condition_variable wake_, idle_;
  Job* first_ = nullptr;
  Job* last_ = nullptr;
  size_t queued_ = 0;
  bool ending_ = false;
  std::vector<const Owner*> running_;  // by lane
  std::vector<std::thread> threads_;
};

}  // namespace socrypt::ocf
