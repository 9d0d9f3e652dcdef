// Random numbers of drivers: mixed, and believed only as long as they look like any.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <set>

#include "ocf/drivers/soft.hpp"
#include "ocf/ocf.hpp"
#include "ocf/random.hpp"

using namespace socrypt::ocf;

namespace {

// A source and nothing else, that does what `give` says.
class Source final : public Driver {
 public:
  using Give = size_t (*)(std::span<uint8_t>);
  explicit Source(Give give) noexcept : give_(give) {}
  [[nodiscard]] std::string_view name() const noexcept override { return "source"; }
  [[nodiscard]] const Caps& caps() const noexcept override { return caps_; }
  [[nodiscard]] int probe(const SessionParams&, Cost&) const noexcept override { return -EOPNOTSUPP; }
  [[nodiscard]] size_t sessionBytes(const SessionParams&) const noexcept override { return 0; }
  [[nodiscard]] Status newSession(const SessionParams&, std::span<std::byte>) noexcept override { return Status::NoDriver; }
  void freeSession(std::span<std::byte>) noexcept override {}
  size_t submit(Op* const*, size_t, bool) noexcept override { return 0; }
  size_t random(std::span<uint8_t> out) noexcept override { return give_(out); }
  void setGive(Give give) noexcept { give_ = give; }

 private:
  const Caps caps_{.flags = Caps::Hardware | Caps::Sync | Caps::Rng};
  Give give_;
};

size_t counting(std::span<uint8_t> out) {
  static uint32_t x = 1;
  for (uint8_t& byte : out) {
    x = x * 1664525u + 1013904223u;
    byte = static_cast<uint8_t>(x >> 24);
  }
  return out.size();
}
size_t stuck(std::span<uint8_t> out) {
  std::fill(out.begin(), out.end(), uint8_t{0x5a});
  return out.size();
}
// Every fourth byte is the same: no run of it, but more than its share.
size_t biased(std::span<uint8_t> out) {
  counting(out);
  for (size_t i = 0; i < out.size(); i += 4) out[i] = 7;
  return out.size();
}
size_t nothing(std::span<uint8_t>) { return 0; }
size_t alittle(std::span<uint8_t> out) { return counting(out.first(std::min<size_t>(out.size(), 10))); }

}  // namespace

TEST_CASE("the software driver is a source; without one there are no random numbers") {
  Framework framework;
  std::array<uint8_t, 1000> bytes{};
  CHECK(framework.random(bytes) == Status::NoDriver);
  Status status = Status::Ok;
  for (const SoftBackend backend : {SoftBackend::Libcrypto, softBackend()}) {
    const uint32_t id = framework.attach(makeSoftDriver(backend), &status);
    REQUIRE(id != 0);
    REQUIRE(framework.random(bytes) == Status::Ok);
    CHECK(std::set<uint8_t>(bytes.begin(), bytes.end()).size() > 200);
    std::array<uint8_t, 1000> again{};
    REQUIRE(framework.random(again) == Status::Ok);
    CHECK(bytes != again);
    CHECK(framework.random({}) == Status::Ok);
    framework.detach(id);
  }
}

TEST_CASE("a source that is stuck, has a favourite byte or gives nothing is not published") {
  Status status = Status::Ok;
  for (const auto give : {stuck, biased}) {
    Framework framework;
    CHECK(framework.attach(std::make_unique<Source>(give), &status) == 0);
    CHECK(status == Status::Invalid);
  }
  Framework framework;
  // A source alone is a driver, too.
  REQUIRE(framework.attach(std::make_unique<Source>(alittle), &status) != 0);
  std::array<uint8_t, 5> few{};
  CHECK(framework.random(few) == Status::Ok);
  CHECK(few != std::array<uint8_t, 5>{});
}

TEST_CASE("sources are mixed: one that gives zeros changes nothing, one that fails later is not believed any more") {
  Status status = Status::Ok;
  Framework framework;
  auto made = std::make_unique<Source>(counting);
  Source& source = *made;
  const uint32_t id = framework.attach(std::move(made), &status);
  REQUIRE(id != 0);
  REQUIRE(framework.attach(makeSoftDriver(SoftBackend::Libcrypto), &status) != 0);
  std::array<uint8_t, 64> bytes{};
  REQUIRE(framework.random(bytes) == Status::Ok);
  source.setGive(stuck);
  REQUIRE(framework.random(bytes) == Status::Ok);  // the other one's
  CHECK(std::set<uint8_t>(bytes.begin(), bytes.end()).size() > 40);
  Op* none[1];
  framework.poll(none, 1);
  for (const DriverInfo& driver : framework.drivers()) {
    CHECK((driver.state == UnitState::Quarantined) == (driver.id == id));
    CHECK(driver.stats.wrong == (driver.id == id ? 1 : 0));
  }
  REQUIRE(framework.random(bytes) == Status::Ok);
}

TEST_CASE("a source that has too few bytes now is Full, and nothing is given out") {
  Status status = Status::Ok;
  Framework framework;
  auto made = std::make_unique<Source>(counting);
  Source& source = *made;
  REQUIRE(framework.attach(std::move(made), &status) != 0);
  source.setGive(nothing);
  std::array<uint8_t, 100> bytes;
  bytes.fill(9);
  CHECK(framework.random(bytes) == Status::Full);
  CHECK(std::all_of(bytes.begin(), bytes.end(), [](uint8_t b) { return b == 0; }));
}

TEST_CASE("the health tests: a run of nine, seventy of 512; good sources pass a megabyte") {
  RandomHealth run;
  std::array<uint8_t, 8> same{};
  CHECK(run.take(same));
  CHECK_FALSE(run.take(std::array<uint8_t, 1>{}));
  CHECK_FALSE(run.take(std::array<uint8_t, 1>{5}));  // once failed, for good
  RandomHealth share;
  std::array<uint8_t, 512> window{};
  for (size_t i = 0; i < window.size(); ++i) window[i] = static_cast<uint8_t>(1 + i % 200);
  window[0] = 0;
  for (size_t i = 0; i < 68; ++i) window[2 + 7 * i] = 0;
  CHECK(share.take(window));
  window[1] = 0;
  CHECK_FALSE(share.take(window));
  RandomHealth good;
  Framework framework;
  Status status = Status::Ok;
  framework.attach(makeSoftDriver(), &status);
  std::array<uint8_t, 4096> bytes;
  for (int i = 0; i < 256; ++i) {
    REQUIRE(framework.random(bytes) == Status::Ok);
    REQUIRE(good.take(bytes));
  }
}
