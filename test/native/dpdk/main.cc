// DPDK's virtual crypto devices as drivers, compared with the software driver. --can-run: exit status 0, or 1 with the reason
// why this machine cannot run these tests on standard output.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>
#include <cstring>

#include "ocf/drivers/dpdk.hpp"

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "--can-run") == 0) {
    std::string why;
    if (socrypt::ocf::makeDpdkDriver("crypto_null", why) != nullptr) return 0;
    std::puts(why.c_str());
    return 1;
  }
  return doctest::Context(argc, argv).run();
}
