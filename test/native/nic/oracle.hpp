// What the tests of the device share: the oracle, and random things from a printed seed.
#pragma once

#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "nic/lab/sealer.hpp"
#include "record/record_map.hpp"

namespace oracle {

using namespace socrypt;
using nic::lab::Bytes;
using nic::lab::Framed;
using nic::lab::frame;
using nic::lab::kSuites;
using Random = std::mt19937_64;

inline uint64_t seed() {
  static const uint64_t value = [] {
    const char* given = std::getenv("SOCRYPT_TEST_SEED");
    const uint64_t chosen = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::printf("seed: SOCRYPT_TEST_SEED=%llu\n", static_cast<unsigned long long>(chosen));
    return chosen;
  }();
  return value;
}

inline size_t below(Random& random, size_t n) { return n == 0 ? 0 : random() % n; }

inline Bytes randomBytes(Random& random, size_t n) {
  Bytes bytes(n);
  for (auto& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

inline record::TrafficKeys randomKeys(Random& random, record::Suite suite) {
  record::TrafficKeys keys;
  keys.suite = suite;
  for (auto& byte : keys.key) byte = static_cast<uint8_t>(random());
  for (auto& byte : keys.iv) byte = static_cast<uint8_t>(random());
  return keys;
}

}  // namespace oracle
