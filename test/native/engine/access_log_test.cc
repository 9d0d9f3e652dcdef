// The access log against real files, a full disk, a slow reader. Also run under ThreadSanitizer.
#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "engine/access_log.hpp"

using socrypt::engine::AccessLog;
using socrypt::http::LogFormat;

namespace {

struct Folder {
  std::string path;
  Folder() {
    std::string pattern = "/tmp/socrypt-log-XXXXXX";
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path = pattern;
  }
  ~Folder() {
    for (const char* name : {"/log", "/old", "/pipe"}) unlink((path + name).c_str());
    rmdir(path.c_str());
  }
};

std::shared_ptr<AccessLog> openLog(const std::string& path, size_t ring = AccessLog::kDefaultRingBytes) {
  int error = 0;
  auto log = AccessLog::open(path, LogFormat::Combined, error, ring);
  REQUIRE(error == 0);
  REQUIRE(log != nullptr);
  return log;
}

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream all;
  all << file.rdbuf();
  return all.str();
}

bool eventually(const std::function<bool()>& holds) {
  for (int i = 0; i < 1000; i++) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

std::string lineOf(size_t producer, size_t number) {
  return std::to_string(producer) + " " + std::to_string(number) + " " + std::string(number % 180, 'x') + "\n";
}

}  // namespace

TEST_CASE("lines reach the file, and close() writes what waits") {
  Folder folder;
  auto log = openLog(folder.path + "/log");
  CHECK(log->format() == LogFormat::Combined);
  auto* producer = log->producer();
  CHECK(producer->write("one\n"));
  CHECK(eventually([&] { return content(folder.path + "/log") == "one\n"; }));
  CHECK(producer->write("two\n"));
  log->close();
  log->close();
  CHECK(content(folder.path + "/log") == "one\ntwo\n");
  CHECK(log->counters().linesWritten == 2);
  CHECK_FALSE(producer->write("three\n"));
  CHECK(log->counters().linesDropped == 1);
  CHECK(log->lastError().empty());
}

TEST_CASE("a log is appended to and not for everyone to read") {
  Folder folder;
  const std::string path = folder.path + "/log";
  openLog(path)->producer()->write("one\n");
  openLog(path)->producer()->write("two\n");
  CHECK(content(path) == "one\ntwo\n");
  struct stat facts {};
  REQUIRE(stat(path.c_str(), &facts) == 0);
  CHECK((facts.st_mode & 07) == 0);
}

TEST_CASE("what cannot be opened is an errno") {
  int error = 0;
  CHECK(AccessLog::open("/nonexistent/log", LogFormat::Json, error) == nullptr);
  CHECK(error == ENOENT);
}

TEST_CASE("several engines at once: whole lines, each engine's in order, none lost uncounted") {
  Folder folder;
  constexpr size_t kProducers = 4, kLines = 20000;
  auto log = openLog(folder.path + "/log", 1 << 16);
  std::array<uint64_t, kProducers> taken{};
  std::vector<std::thread> threads;
  for (size_t p = 0; p < kProducers; p++) {
    threads.emplace_back([&log, &taken, p] {
      auto* producer = log->producer();
      for (size_t i = 0; i < kLines; i++) taken[p] += producer->write(lineOf(p, i)) ? 1 : 0;
    });
  }
  for (auto& thread : threads) thread.join();
  log->close();
  std::istringstream lines(content(folder.path + "/log"));
  std::map<size_t, size_t> next;
  std::array<uint64_t, kProducers> seen{};
  for (std::string line; std::getline(lines, line);) {
    size_t p = 0, i = 0;
    std::istringstream(line) >> p >> i;
    REQUIRE(p < kProducers);
    REQUIRE(line + "\n" == lineOf(p, i));
    REQUIRE(i >= next[p]);
    next[p] = i + 1;
    seen[p]++;
  }
  CHECK(seen == taken);
  const auto counters = log->counters();
  CHECK(counters.linesWritten == taken[0] + taken[1] + taken[2] + taken[3]);
  CHECK(counters.linesWritten + counters.linesDropped == kProducers * kLines);
}

TEST_CASE("a full disk: nobody waits, losses are counted, the error is told") {
  auto log = openLog("/dev/full", 4096);
  auto* producer = log->producer();
  CHECK(producer->write("one\n"));
  CHECK(eventually([&] { return log->counters().writeErrors != 0; }));
  CHECK(log->lastError() == "write /dev/full: No space left on device");
  // It does not spin: the next try is a second away.
  for (int i = 0; i < 2000; i++) producer->write("0123456789\n");
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  CHECK(log->counters().writeErrors < 50);
  CHECK(log->counters().linesDropped == 2000 - (4096 - 4) / 11);
  log->close();
  CHECK(log->counters().linesDropped == 2001);
  CHECK(log->counters().linesWritten == 0);
}

TEST_CASE("after an error the log recovers with a new file") {
  Folder folder;
  const std::string path = folder.path + "/log";
  REQUIRE(symlink("/dev/full", path.c_str()) == 0);
  auto log = openLog(path);
  auto* producer = log->producer();
  producer->write("one\n");
  CHECK(eventually([&] { return !log->lastError().empty(); }));
  REQUIRE(unlink(path.c_str()) == 0);
  CHECK(log->reopen() == 0);
  CHECK(eventually([&] { return content(path) == "one\n"; }));
  CHECK(eventually([&] { return log->lastError().empty(); }));
}

TEST_CASE("rotation: the old file keeps its lines, the new one gets the rest") {
  Folder folder;
  const std::string path = folder.path + "/log", old = folder.path + "/old";
  auto log = openLog(path);
  auto* producer = log->producer();
  producer->write("one\n");
  CHECK(eventually([&] { return content(path) == "one\n"; }));
  REQUIRE(rename(path.c_str(), old.c_str()) == 0);
  producer->write("two\n");
  CHECK(eventually([&] { return content(old) == "one\ntwo\n"; }));
  CHECK(log->reopen() == 0);
  CHECK(eventually([&] { return access(path.c_str(), F_OK) == 0; }));
  producer->write("three\n");
  log->close();
  // The writer may have met the line and the new file in either order; neither may be torn or lost.
  CHECK(content(old) + content(path) == "one\ntwo\nthree\n");
  CHECK(log->counters().linesWritten == 3);
}

TEST_CASE("a reopen that fails keeps the old file") {
  Folder folder;
  const std::string inner = folder.path + "/old";
  REQUIRE(mkdir(inner.c_str(), 0700) == 0);
  auto log = openLog(inner + "/log");
  auto* producer = log->producer();
  producer->write("one\n");
  CHECK(eventually([&] { return log->counters().linesWritten == 1; }));
  REQUIRE(rename((inner + "/log").c_str(), (folder.path + "/log").c_str()) == 0);
  REQUIRE(rmdir(inner.c_str()) == 0);
  CHECK(log->reopen() == ENOENT);
  CHECK(log->counters().writeErrors == 1);
  producer->write("two\n");
  log->close();
  CHECK(content(folder.path + "/log") == "one\ntwo\n");
}

TEST_CASE("a slow reader of a pipe delays neither engine nor close(), and gets whole lines") {
  Folder folder;
  const std::string path = folder.path + "/pipe";
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK);
  REQUIRE(reader >= 0);
  auto log = openLog(path, 1 << 20);
  auto* producer = log->producer();
  uint64_t taken = 0;
  for (size_t i = 0; i < 5000; i++) taken += producer->write(lineOf(0, i)) ? 1 : 0;  // more than a pipe holds
  CHECK(taken == 5000);
  std::string got;
  std::array<char, 1000> some;
  const auto readSome = [&] {
    const ssize_t n = read(reader, some.data(), some.size());
    if (n > 0) got.append(some.data(), static_cast<size_t>(n));
    return n;
  };
  for (int i = 0; i < 20; i++) readSome();
  const auto began = std::chrono::steady_clock::now();
  log->close();
  CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(20));  // it came back at all
  while (readSome() > 0) continue;
  const auto counters = log->counters();
  CHECK(counters.linesWritten + counters.linesDropped == 5000);
  CHECK(counters.linesDropped > 0);
  size_t at = 0;
  for (size_t i = 0; i < counters.linesWritten; i++) {
    REQUIRE(got.substr(at, lineOf(0, i).size()) == lineOf(0, i));
    at += lineOf(0, i).size();
  }
  ::close(reader);
}

TEST_CASE("a reader that went away is an error, not a signal") {
  Folder folder;
  const std::string path = folder.path + "/pipe";
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK);
  auto log = openLog(path);
  ::close(reader);
  log->producer()->write("one\n");
  CHECK(eventually([&] { return log->counters().writeErrors != 0; }));
  CHECK(log->lastError().find("Broken pipe") != std::string::npos);
}
