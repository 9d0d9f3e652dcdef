// Handshakes by libssl on both sides. The server's side gives up its keys afterwards, so that records can be
// framed for the device; the client's side knows of nothing.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "record/record.hpp"

namespace tls {

using namespace socrypt;

struct FreeSsl {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using Ssl = std::unique_ptr<SSL, FreeSsl>;

/// The server's sending direction after a handshake.
struct Sending {
  record::TrafficKeys keys;
  bool tls12 = false;
  /// TLS 1.3: makes the next epoch's keys (RFC 8446 7.2).
  void update();

  std::vector<uint8_t> secret;
  bool sha384 = false;
};

/// Accepts on `socket`. `suite`: as OpenSSL calls it, of TLS 1.3 or 1.2. Null: the handshake failed.
[[nodiscard]] Ssl accept(int socket, const std::string& suite, Sending& sending);
/// Connects on `socket`, whatever the server likes.
[[nodiscard]] Ssl connect(int socket);

}  // namespace tls
