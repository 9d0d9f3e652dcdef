// Lends a NIC to other processes of this host, over a Unix socket.
//
// Additions of flows and keys are answered before the sender writes a byte that they are for. Records are not: they are
// in the socket's queue before their bytes are in TCP's, and the NIC's thread empties that queue before it gives up on a
// segment (CatchUp). So a burst of records costs its sender one system call and no waiting.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "nic/port/descriptor.hpp"
#include "nic/remote/wire.hpp"
#include "nic/runtime/inline_nic.hpp"
#include "nic/runtime/socket_owner.hpp"

namespace socrypt::nic::remote {

struct ServerOptions {
  std::string path;          // of the socket
  mode_t mode = 0600;        // the kernel checks it at connect(2)
  std::vector<uid_t> users;  // by SO_PEERCRED, besides root and this process's own
  size_t maxClients = 64;
  size_t maxFlows = 16384;   // of one client
};

class Server final : public CatchUp {
 public:
  /// Null: `why` says what was missing.
  [[nodiscard]] static std::unique_ptr<Server> open(std::shared_ptr<InlineNic> nic, ServerOptions options, std::string& why);
  /// Ends every client's flows, and removes the socket.
  ~Server() override;

  void catchUp() override;

  struct Counts {
    size_t clients = 0;
    uint64_t accepted = 0;
    uint64_t refused = 0;   // by user, or too many
    uint64_t violations = 0;  // clients that were ended for what they sent
  };
  [[nodiscard]] Counts counts();

 private:
  struct Client;
  Server(std::shared_ptr<InlineNic> nic, ServerOptions options);
  [[nodiscard]] bool listen(std::string& why);
  void run();
  void accept();
  [[nodiscard]] bool welcome(int socket, uid_t user);
  /// What waits, up to a bound that a client does not reach by itself; false: the client is to end.
  [[nodiscard]] bool drain(Client& client);
  [[nodiscard]] bool handle(Client& client, Message& message, Descriptor descriptor);
  [[nodiscard]] bool greet(Client& client, uint32_t version);
  [[nodiscard]] bool add(Client& client, const Message& message, int keys);
  [[nodiscard]] bool rekey(Client& client, const Message& message, int keys);
  [[nodiscard]] bool push(Client& client, Message& message, Descriptor file);
  void end(size_t index);
  void lookAtFlows();
  void lookAtOrphans();
  void sayHostPort();

  const std::shared_ptr<InlineNic> nic_;
  const ServerOptions options_;
  Descriptor listener_, events_, stop_, changed_;
  std::shared_ptr<void> watcher_;
  std::thread thread_;

  std::mutex mutex_;  // of what follows: the server's thread and the NIC's
  std::vector<std::unique_ptr<Client>> clients_;
  // Of flows that were removed; their sockets may still send what nobody seals. The client who had one may say that it
  // is done with; of one who is gone the kernel says so, and nobody else.
  struct Orphan {
    FlowKey key{};
    uint64_t client = 0;
  };
  std::vector<Orphan> orphans_;
  uint64_t lastClient_ = 0;
  SocketOwner owner_;
  Counts counts_;
};

}  // namespace socrypt::nic::remote
