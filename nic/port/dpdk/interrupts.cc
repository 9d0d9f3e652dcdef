#include "nic/port/dpdk/interrupts.hpp"

#include <rte_alarm.h>

#include <atomic>
#include <chrono>
#include <future>
#include <shared_mutex>
#include <thread>

namespace socrypt::nic::interrupts {
namespace {

// How long bursts have the lock, and handlers at most wait.
constexpr std::chrono::milliseconds kBursts{2};
// Until the alarm comes again, in microseconds: not at once, since EAL calls all alarms that are due before it looks for
// other events.
constexpr uint64_t kHandlers = 20;

std::shared_mutex turn;
std::atomic<bool> wanted{false};  // by the interrupt thread; a shared_mutex may prefer those who share it
std::atomic<unsigned> turns{0};
// Of the interrupt thread alone.
unsigned users = 0;
bool held = false;

void alternate(void*);

void give() {
  held = false;
  turn.unlock();
}

void take() {
  wanted.store(true, std::memory_order_release);
  turn.lock();
  wanted.store(false, std::memory_order_release);
  held = true;
  // Without an alarm nothing would ever give it back.
  if (rte_eal_alarm_set(kHandlers, alternate, nullptr) != 0) give();
}

void alternate(void*) {
  turns.fetch_add(1, std::memory_order_release);
  give();
  if (users == 0) return;
  std::this_thread::sleep_for(kBursts);
  take();
}

}  // namespace

void run(std::function<void()> body) {
  std::packaged_task<void()> task(std::move(body));
  const std::future<void> done = task.get_future();
  const auto now = [](void* argument) {
    // Its own from here: nothing of the waiting thread's is touched once that may go on.
    std::packaged_task<void()> mine = std::move(*static_cast<std::packaged_task<void()>*>(argument));
    mine();
  };
  if (rte_eal_alarm_set(1, now, &task) != 0) return task();
  done.wait();
}

void settle() {
  // One more than one, should an alarm have come at once after all.
  for (const unsigned now = turns.load(std::memory_order_acquire); turns.load(std::memory_order_acquire) - now < 3;) std::this_thread::sleep_for(kBursts / 2);
}

Turns::Turns() {
  run([] {
    if (++users == 1 && !held) take();
  });
}

Turns::~Turns() { --users; }

Burst::Burst(bool needed) noexcept : needed_(needed) {
  if (!needed_) return;
  while (wanted.load(std::memory_order_acquire)) std::this_thread::yield();
  turn.lock_shared();
}

Burst::~Burst() {
  if (needed_) turn.unlock_shared();
}

}  // namespace socrypt::nic::interrupts
