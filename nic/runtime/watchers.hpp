// Who wants to know that a NIC has changed.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace socrypt::nic {

/// All calls from any thread.
class Watchers {
 public:
  /// `changed` is called until what this returns is gone. It must not call back.
  [[nodiscard]] std::shared_ptr<void> watch(std::function<void()> changed) {
    auto watcher = std::make_shared<Watcher>();
    watcher->changed = std::move(changed);
    const std::lock_guard lock(mutex_);
    std::erase_if(all_, [](const auto& one) {
      const std::lock_guard inner(one->mutex);
      return !one->changed;
    });
    all_.push_back(watcher);
    return {watcher.get(), [watcher](void*) {
              const std::lock_guard inner(watcher->mutex);
              watcher->changed = nullptr;
            }};
  }
  void tell() {
    std::vector<std::shared_ptr<Watcher>> all;
    {
      const std::lock_guard lock(mutex_);
      all = all_;
    }
    for (const auto& one : all) {
      const std::lock_guard lock(one->mutex);
      if (one->changed) one->changed();
    }
  }

 private:
  struct Watcher {
    std::mutex mutex;
    std::function<void()> changed;  // empty: nobody watches any more
  };
  std::mutex mutex_;
  std::vector<std::shared_ptr<Watcher>> all_;
};

}  // namespace socrypt::nic
