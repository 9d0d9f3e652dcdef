// Figure 13 of "Cryptography as an Operating System Service" by the data plane itself. A program of its own, since it is
// the only experiment that needs an engine.
#include "../ocf/bench.hpp"
#include "../ocf/link.hpp"
#include "engine.hpp"

int main(int argc, char** argv) {
  using namespace papers;
  if (argc < 2) fail("usage: bench_papers_engine sendfile MEGABYTES ROUNDS");
  Arguments arguments(argc, argv, "sendfile MEGABYTES ROUNDS");
  const std::vector<uint32_t> megabytes = arguments.list();
  const auto rounds = static_cast<int>(arguments.number());
  arguments.end();
  const EnginePeer peer;
  pin(0);
  for (const uint32_t size : megabytes) {
    const uint64_t bytes = uint64_t{size} * 1'000'000;
    const EngineSender sender(bytes);
    reportTransfers(size, rounds, [&] { peer.connect(sender.port(), bytes); }, [&] { peer.fetch(); });
  }
  return 0;
}
