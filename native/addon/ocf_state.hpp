// What the files behind exports.ocf share: the sessions, memory and mailboxes of one JavaScript environment.
#pragma once

#include <napi.h>

#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "addon/ocf_burst.hpp"
#include "addon/ocf_loop.hpp"
#include "ocf/drivers/mailbox.hpp"

namespace socrypt::addon {

struct OcfState {
  struct Mailbox {
    ocf::MailboxDriver* driver;  // the framework's
    std::weak_ptr<const bool> alive;
  };
  std::weak_ptr<OcfLoop> loop;
  std::unordered_map<uint32_t, ocf::SessionHandle> sessions;
  std::map<const void*, std::weak_ptr<BurstMemory>> memory;
  std::map<uint32_t, Mailbox> mailboxes;  // by driver
  Napi::FunctionReference told;
  std::vector<uint32_t> finished;  // burst, row, burst, row, …, until the next call of `told`
  uint32_t lastSession = 0, lastBurst = 0;

  /// The environment's loop; nullptr with an exception pending.
  std::shared_ptr<OcfLoop> use(Napi::Env env);
  /// nullptr: no such driver, or it is gone.
  [[nodiscard]] ocf::MailboxDriver* mailbox(uint32_t driver) const noexcept;
};

/// Drivers written in JavaScript: ocf_mailbox_binding.cc.
void addMailboxes(Napi::Env env, Napi::Object ocf, OcfState* state);

/// Throughput: ocf_measure_binding.cc.
void addMeasure(Napi::Env env, Napi::Object ocf);

}  // namespace socrypt::addon
