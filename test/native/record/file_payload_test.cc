// Payload that is a file: what is there, what is not there any more, and what would have to be waited for.
#include "record/file_payload.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <vector>

using namespace socrypt::record;

namespace {

constexpr size_t kLength = 64 * 4096;

std::vector<uint8_t> content() {
  std::vector<uint8_t> bytes(kLength);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * 7 + i / 4096);
  return bytes;
}

void check(int file) {
  const auto bytes = content();
  REQUIRE(write(file, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  const FilePayload payload(dup(file), 100);
  CHECK(payload.descriptor() == -1);  // position 0 is not the file's
  std::vector<uint8_t> read(5000);
  REQUIRE(payload.read(9000, read) == Reading::Done);
  CHECK(std::equal(read.begin(), read.end(), bytes.begin() + 9100));
  CHECK(payload.read(kLength - 100 - 4999, read) == Reading::Gone);
  CHECK(payload.read(kLength, read) == Reading::Gone);
  CHECK(inMemory(file, 0, kLength));
  REQUIRE(ftruncate(file, 10000) == 0);
  CHECK(payload.read(9000, read) == Reading::Gone);
}

}  // namespace

TEST_CASE("a file's payload: on a disk, and in memory, where the file system promises nothing about waiting") {
  const int memory = memfd_create("payload", MFD_CLOEXEC);
  REQUIRE(memory >= 0);
  check(memory);
  close(memory);
  FILE* const disk = std::tmpfile();
  REQUIRE(disk != nullptr);
  check(fileno(disk));
  std::fclose(disk);
}

TEST_CASE("what of a file is not in memory is asked for, and there later") {
  FILE* const disk = std::tmpfile();
  REQUIRE(disk != nullptr);
  const int file = fileno(disk);
  const auto bytes = content();
  REQUIRE(write(file, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  REQUIRE(fsync(file) == 0);
  REQUIRE(posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) == 0);
  const FilePayload payload(dup(file), 0);
  CHECK(payload.descriptor() >= 0);
  if (inMemory(file, 0, kLength)) {
    MESSAGE("skipped: this file system keeps its files in memory");
  } else {
    std::vector<uint8_t> read(20000);
    Reading reading = payload.read(40000, read);
    CHECK(reading == Reading::NotNow);
    for (int i = 0; i < 2000 && reading == Reading::NotNow; ++i) {
      usleep(5000);
      reading = payload.read(40000, read);
    }
    REQUIRE(reading == Reading::Done);
    CHECK(std::equal(read.begin(), read.end(), bytes.begin() + 40000));
  }
  std::fclose(disk);
}
