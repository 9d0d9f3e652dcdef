// The provider's way to cryptod: connections that are made when needed, given up when they break, and never shared with
// a forked process. Whatever goes wrong here, the caller does the work in software.
#pragma once

#include <unistd.h>

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "cryptod/client.hpp"

namespace socrypt::provider {

using Bytes = std::span<const uint8_t>;

struct Settings {
  std::string path = "/run/socrypt-cryptod.sock";
  size_t minBytes = 0;  // shorter ops are not worth the way
  // Of digests and MACs: a handshake has dozens of them over some bytes each, of which software needs a microsecond.
  size_t digestMinBytes = 4096;
};

/// One connection to the daemon. Ops take turns: an op costs two context switches, next to which a lock costs nothing.
class Channel {
 public:
  /// What one op may carry.
  static constexpr size_t kMaxPayload = 256 * 1024;
  static constexpr size_t kMaxAad = 4096;

  struct Cipher {
    uint32_t session = 0;
    ocf::Kind kind = ocf::Kind::Seal;
    Bytes iv, aad, in;
    uint8_t* out = nullptr;  // may be in.data(); written on success alone; of a MAC or a signature there is none
    std::span<uint8_t> tag = {};  // of a signature: room for it
    uint16_t scheme = 0;
    size_t* produced = nullptr;  // bytes of the signature
  };

  explicit Channel(const Settings& settings) : settings_(settings) {}
  /// A session for this algorithm and key; 0: the daemon is not there, or does not have the algorithm. What it has is found out
  /// by trying, once per connection.
  [[nodiscard]] uint32_t open(ocf::AlgId alg, Bytes key, uint8_t tagLength, uint64_t& generation);
  void close(uint32_t session, uint64_t generation);
  /// A session for an algorithm without a key, kept for as long as the connection; 0 as open().
  [[nodiscard]] uint32_t openKeyless(ocf::AlgId alg, uint8_t tagLength, uint64_t& generation);
  enum class Outcome : uint8_t { Ok, BadTag, Failed };
  [[nodiscard]] Outcome run(const Cipher& op, uint64_t generation);
  void abandon() noexcept;
  [[nodiscard]] pid_t owner() const noexcept { return owner_; }

 private:
  [[nodiscard]] bool connected();

  const Settings& settings_;
  const pid_t owner_ = getpid();
  std::mutex mutex_;
  std::unique_ptr<cryptod::Client> client_;
  uint64_t generation_ = 0;  // of connections; a session belongs to one
  uint64_t retryAtNs_ = 0;
  std::array<bool, 256> refused_{};  // by AlgId
  std::array<uint32_t, 256> keyless_{};
};

/// A session in the daemon for one key, opened with the first op and again when the connection was lost.
class RemoteSession {
 public:
  RemoteSession() = default;
  RemoteSession(const RemoteSession&) = delete;
  RemoteSession& operator=(const RemoteSession&) = delete;
  ~RemoteSession() { forget(); }
  /// The key changed.
  void forget();
  [[nodiscard]] Channel::Outcome run(ocf::AlgId alg, Bytes key, uint8_t tagLength, Channel::Cipher op);

 private:
  std::shared_ptr<Channel> channel_;
  uint64_t generation_ = 0;
  uint32_t session_ = 0;
};

/// A digest, by sessions that all share. Shorter than settings().digestMinBytes: Failed.
[[nodiscard]] Channel::Outcome runKeyless(ocf::AlgId alg, Channel::Cipher op);

/// Before the first op. The environment's SOCRYPT_CRYPTOD goes before `path`.
void configure(Settings settings);
[[nodiscard]] const Settings& settings();
inline constexpr size_t kChannels = 8;
/// The calling thread's: less than kChannels.
[[nodiscard]] size_t channelNumber();
/// Its channel, in this process.
[[nodiscard]] std::shared_ptr<Channel> channel();

}  // namespace socrypt::provider
