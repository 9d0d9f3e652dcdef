// The experiments of the two papers about crypto hardware behind a framework that this machine, or simulated cards, can
// repeat. One experiment per call, one line of JSON per result; bench/papers/experiments says what the words are.
#include <string_view>

#include "bench.hpp"

int main(int argc, char** argv) {
  using namespace papers;
  struct {
    std::string_view name;
    const char* words;
    void (*run)(Arguments&);
  } constexpr kExperiments[] = {
      {"balance", "CARD-FILE CARDS HOST-OP-NS HOST-BYTE-NS THREADS SIZES REQUESTS", balance},
      {"short", "CARD-FILE BATCH-NS OP-NS LENGTH KEYS WRONG BATCHES", shortOperations},
      {"throughput", "DRIVER SIZES MILLISECONDS", throughput},
      {"keys", "RSA-BITS DSA-BITS MILLISECONDS", keys},
      {"hog", "LOAD [CARD-FILE] THREADS CALLS", hog},
      {"tls", "null|software|thread|processor|card SUITE [CARD-FILE] MEGABYTES", tls},
      {"sendfile", "device|in-process|sendfile MEGABYTES ROUNDS", papers::sendfile},
  };
  std::string usage;
  for (const auto& experiment : kExperiments) {
    if (argc > 1 && experiment.name == argv[1]) {
      Arguments arguments(argc, argv, std::string(experiment.name) + " " + experiment.words);
      experiment.run(arguments);
      return 0;
    }
    usage += "\n  bench_papers " + std::string(experiment.name) + " " + experiment.words;
  }
  fail("usage:" + usage);
}
