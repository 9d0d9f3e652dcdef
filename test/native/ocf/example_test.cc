// The example of docs/ocf.md is a driver like any other.
#include "example_driver.hpp"

#include <doctest/doctest.h>

#include <array>

#include "ocf/drivers/soft.hpp"

using namespace socrypt::ocf;

TEST_CASE("the example of a driver is admitted, measured, does what the software driver does, and counts by class") {
  const std::array<uint8_t, 16> key{9, 8, 7};
  const Alg alg = algOf(AlgId::Aes128Ctr, key);
  std::array<std::array<uint8_t, 1000>, 2> results{};
  for (const bool example : {false, true}) {
    Framework framework;
    Status status = Status::Ok;
    std::unique_ptr<Driver> driver = example ? std::make_unique<ExampleDriver>() : makeSoftDriver();
    const uint32_t id = framework.attach(std::move(driver), &status);
    REQUIRE(id != 0);
    CHECK(framework.cost(id, AlgId::Aes128Ctr).byteNs > 0);
    const SessionHandle session = framework.open({.chain = {&alg, 1}}, &status);
    REQUIRE(status == Status::Ok);
    auto& bytes = results[example ? 1 : 0];
    Seg segment{bytes.data(), static_cast<uint32_t>(bytes.size())};
    Op op{};
    op.ses = session.get();
    op.kind = Kind::Cipher;
    op.in = op.out = &segment;
    op.nIn = op.nOut = 1;
    op.iv[15] = 200;
    op.skip = op.outSkip = 3;
    op.len = 900;
    Op* list[] = {&op};
    for (int i = 0; i < 3; ++i) CHECK((framework.dispatch(list, 1) == 1 && op.status == Status::Ok));
    op.len = 2000;
    CHECK((framework.dispatch(list, 1) == 1 && op.status == Status::Range));
    const DriverInfo info = framework.drivers()[0];
    for (const auto& offer : info.offers) {
      const bool ours = offer.alg == AlgId::Aes128Ctr && offer.mac == AlgId::Null;
      CHECK(offer.ops == (ours ? 4 : 0));
      CHECK(offer.sessions == (ours ? 1 : 0));
      if (ours) CHECK(offer.bytes == 3 * 900 + 2000);
    }
  }
  CHECK(results[0] == results[1]);
}

TEST_CASE("the last resort is the driver that is named so, although others are of this processor as well") {
  const std::array<uint8_t, 16> key{9, 8, 7};
  const Alg alg = algOf(AlgId::Aes128Ctr, key);
  for (const bool straight : {false, true}) {
    Framework framework;
    Status status = Status::Ok;
    Policy policy;
    policy.smallMax = 0;
    policy.lastResort = framework.attach(makeSoftDriver(), &status);
    policy.spotEvery = 2;
    framework.setPolicy(policy);
    const uint32_t example = framework.attach(std::make_unique<ExampleDriver>(), &status);
    const SessionHandle session = framework.open({.chain = {&alg, 1}}, &status);
    REQUIRE(status == Status::Ok);
    std::array<uint8_t, 100> bytes{};
    Seg segment{bytes.data(), 100};
    Op op{};
    op.ses = session.get();
    op.kind = Kind::Cipher;
    op.in = op.out = &segment;
    op.nIn = op.nOut = 1;
    op.len = 100;
    if (!straight) op.done = [](Op*) {};
    Op* list[] = {&op};
    const auto run = [&] {
      REQUIRE(framework.dispatch(list, 1) == 1);
      (void)framework.poll(list, 0);
      CHECK(op.status == Status::Ok);
    };
    for (int i = 0; i < 4; ++i) run();
    CHECK(framework.drivers()[0].stats.ops == 0);
    CHECK(framework.drivers()[1].stats.ops == 4);
    CHECK(framework.drivers()[1].stats.wrong == 0);
    REQUIRE(framework.detach(example) == Status::Ok);
    run();
    CHECK(framework.drivers()[0].stats.ops == 1);
  }
}
