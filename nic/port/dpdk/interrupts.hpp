// DPDK's interrupt thread, on which drivers get their events.
//
// net_memif takes its rings and their memory away there when the other end goes, and asks no lock whether somebody is just
// sending: with DPDK 22.11 a peer that ends under load is a crash here soon. So while such a port is open, that thread works
// in turns: it holds a lock but for the time that it spends in an alarm of ours, and bursts share the lock.
#pragma once

#include <functional>

namespace socrypt::nic::interrupts {

/// Runs `body` on the thread, and waits for it.
void run(std::function<void()> body);

/// As long as there is one, handlers and what is done under a Burst keep each other out. Made on any other thread, ended in
/// run().
class Turns {
 public:
  Turns();
  ~Turns();
  Turns(const Turns&) = delete;
  Turns& operator=(const Turns&) = delete;
};

/// Waits until the thread has seen all events that were there, as long as there are Turns. One that it has fetched already
/// and whose descriptor run() has closed is else taken for one of the next descriptor of that number, on which net_memif
/// then waits for a message that nobody sends.
void settle();

/// To be held while a driver's burst runs.
class Burst {
 public:
  explicit Burst(bool needed) noexcept;
  ~Burst();
  Burst(const Burst&) = delete;
  Burst& operator=(const Burst&) = delete;

 private:
  bool needed_;
};

}  // namespace socrypt::nic::interrupts
