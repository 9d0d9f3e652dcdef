// --can-run: exit status 0, or 1 with the reason why this machine cannot run these tests on standard output.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstring>

#include "../nic_port/can_run.hpp"

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "--can-run") == 0) return net::sayWhyNot();
  return doctest::Context(argc, argv).run();
}
