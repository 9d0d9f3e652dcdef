#include "options.hpp"

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace bench {
namespace {

constexpr const char* kHelp =
    "usage: load --port N --path /FILE --length BYTES [options]\n"
    "  --mode keepalive|connect|idle  requests on open connections; one connection per request; open and hold\n"
    "  --host ADDRESS                 IPv4 (127.0.0.1)\n"
    "  --server-name NAME             SNI and Host (localhost)\n"
    "  --connections N                at once (16)\n"
    "  --seconds S, --warmup S        measured and discarded time (3, 0.5)\n"
    "  --requests N                   stop after N responses instead\n"
    "  --compare FILE                 compare every body byte with FILE\n"
    "  --reader records|openssl       open records ourselves (keepalive only, cheaper), or by SSL_read (openssl)\n"
    "  --group X25519|P-256           the only key exchange offered (X25519)\n"
    "  --tls 1.3|1.2                  the only version offered (1.3)\n"
    "  --resume no|yes                connect only: each connection offers the newest session it was given (no)\n"
    "  --cpu-of PID,PID…              also report the CPU seconds that these processes used while measured\n"
    "Offers AES-128-GCM alone (in TLS 1.2 with ECDHE and either kind of certificate), and resumes only when told to.\n"
    "Prints one JSON line.\n"
    "idle: prints when all are open, then holds them until stdin ends.\n";

[[noreturn]] void usage(std::string_view option, std::string_view expected, std::string_view value) {
  std::fprintf(stderr, "load: %.*s expects %.*s but received '%.*s'; see --help\n", static_cast<int>(option.size()),
               option.data(), static_cast<int>(expected.size()), expected.data(), static_cast<int>(value.size()),
               value.data());
  std::exit(2);
}

template <typename Number>
Number number(std::string_view option, std::string_view value) {
  Number result{};
  const auto parsed = std::from_chars(value.data(), value.data() + value.size(), result);
  if (parsed.ec != std::errc{} || parsed.ptr != value.data() + value.size() || result < Number{}) {
    usage(option, "a number", value);
  }
  return result;
}

std::vector<int> numbers(std::string_view option, std::string_view list) {
  std::vector<int> result;
  while (!list.empty()) {
    const size_t comma = list.find(',');
    result.push_back(number<int>(option, list.substr(0, comma)));
    list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
  }
  return result;
}

}  // namespace

Options parse_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    if (option == "--help") {
      std::fputs(kHelp, stdout);
      std::exit(0);
    }
    if (i + 1 == argc) usage(option, "a known option with a value", "");
    const std::string_view value = argv[++i];
    if (option == "--mode") {
      if (value != "keepalive" && value != "connect" && value != "idle") usage(option, "keepalive, connect or idle", value);
      options.mode = value;
    } else if (option == "--host") {
      options.host = value;
    } else if (option == "--port") {
      options.port = number<uint16_t>(option, value);
    } else if (option == "--server-name") {
      options.server_name = value;
    } else if (option == "--path") {
      options.path = value;
    } else if (option == "--length") {
      options.length = number<uint64_t>(option, value);
    } else if (option == "--connections") {
      options.connections = number<unsigned>(option, value);
    } else if (option == "--seconds") {
      options.seconds = number<double>(option, value);
    } else if (option == "--warmup") {
      options.warmup = number<double>(option, value);
    } else if (option == "--requests") {
      options.requests = number<uint64_t>(option, value);
    } else if (option == "--compare") {
      options.compare = value;
    } else if (option == "--reader") {
      if (value != "records" && value != "openssl") usage(option, "records or openssl", value);
      options.own_records = value == "records";
    } else if (option == "--group") {
      options.group = value;
    } else if (option == "--tls") {
      if (value != "1.3" && value != "1.2") usage(option, "1.3 or 1.2", value);
      options.tls = value;
    } else if (option == "--resume") {
      if (value != "no" && value != "yes") usage(option, "no or yes", value);
      options.resume = value == "yes";
    } else if (option == "--cpu-of") {
      options.cpu_of = numbers(option, value);
    } else {
      usage(option, "to be a known option", value);
    }
  }
  if (options.port == 0) usage("--port", "a port", "nothing");
  if (options.own_records && options.mode != "keepalive") usage("--reader records", "--mode keepalive", options.mode);
  if (options.own_records && options.tls != "1.3") usage("--reader records", "--tls 1.3", options.tls);
  if (options.resume && options.mode != "connect") usage("--resume yes", "--mode connect", options.mode);
  if (options.connections == 0) usage("--connections", "at least 1", "0");
  return options;
}

}  // namespace bench
