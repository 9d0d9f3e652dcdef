#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace bench {

struct Options {
  std::string mode = "keepalive";
  std::string host = "127.0.0.1";
  uint16_t port = 0;
  std::string server_name = "localhost";
  std::string path = "/";
  uint64_t length = 0;
  unsigned connections = 16;
  double seconds = 3;
  double warmup = 0.5;
  /** Stop after so many responses instead of after `seconds`; 0: by time. */
  uint64_t requests = 0;
  std::string compare;
  bool own_records = false;
  std::string group = "X25519";
  /** The only protocol version offered: "1.3" or "1.2". */
  std::string tls = "1.3";
  /** Every connection keeps the newest session that it was given and offers it the next time. */
  bool resume = false;
  std::vector<int> cpu_of;
};

/** Exits with 2 and one line on stderr when the arguments are wrong; prints the help and exits with 0 on --help. */
Options parse_options(int argc, char** argv);

}  // namespace bench
