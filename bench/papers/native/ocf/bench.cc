#include "bench.hpp"

#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

namespace papers {

using namespace socrypt::ocf;

void fail(const std::string& what) {
  std::fprintf(stderr, "bench_papers: %s\n", what.c_str());
  std::exit(1);
}

std::string Arguments::word() {
  if (at_ == words_.size()) fail("usage: bench_papers " + usage_);
  return words_[at_++];
}

double Arguments::number() {
  const std::string text = word();
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != 0) fail("expected a number, received " + text + "; usage: bench_papers " + usage_);
  return value;
}

std::vector<uint32_t> Arguments::list() {
  std::vector<uint32_t> values;
  const std::string text = word();
  for (size_t from = 0; from <= text.size();) {
    const size_t comma = std::min(text.find(',', from), text.size());
    const std::string one = text.substr(from, comma - from);
    char* end = nullptr;
    const unsigned long value = std::strtoul(one.c_str(), &end, 10);
    if (one.empty() || *end != 0 || value > UINT32_MAX) fail("expected numbers with commas between, received " + text);
    values.push_back(static_cast<uint32_t>(value));
    from = comma + 1;
  }
  return values;
}

void Arguments::end() {
  if (at_ != words_.size()) fail("unexpected " + words_[at_] + "; usage: bench_papers " + usage_);
}

ModelCard readCard(const std::string& path) {
  std::ifstream file(path);
  if (!file) fail("cannot read the card " + path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::string why;
  ModelCard card = parseModelCard(text, why);
  if (!why.empty()) fail(path + ": " + why);
  return card;
}

uint32_t attach(Framework& framework, std::unique_ptr<Driver> driver) {
  Status status = Status::Ok;
  const uint32_t id = driver == nullptr ? 0 : framework.attach(std::move(driver), &status);
  if (id == 0) fail("a driver was refused: " + std::string(statusName(status)));
  return id;
}

SessionHandle open(Framework& framework, std::initializer_list<AlgId> chain, uint8_t salt) {
  std::vector<Alg> algs;
  // Three DES keys that differ, whatever the salt.
  std::vector<uint8_t> key(64);
  for (size_t i = 0; i < key.size(); ++i) key[i] = static_cast<uint8_t>(salt * 41 + i * 7 + 1);
  for (const AlgId id : chain) {
    const size_t length = factsOf(id).family == Family::Mac ? 20 : keyLength(id);
    algs.push_back(algOf(id, std::span(key).first(length)));
  }
  Status status = Status::Ok;
  SessionHandle session = framework.open({.chain = algs}, &status);
  if (session == nullptr) fail("no session: " + std::string(statusName(status)));
  return session;
}

Request::Request(Session* session, Kind kind, uint32_t length) : memory(size_t{length} + 64) {
  for (size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<uint8_t>(i * 31);
  segment = {memory.data(), static_cast<uint32_t>(memory.size())};
  op.ses = session;
  op.kind = kind;
  op.in = op.out = &segment;
  op.nIn = op.nOut = 1;
  op.len = op.tagAt = length;
}

namespace {
CpuTime usage(int who) {
  rusage now{};
  getrusage(who, &now);
  const auto seconds = [](const timeval& value) { return static_cast<double>(value.tv_sec) + static_cast<double>(value.tv_usec) / 1e6; };
  return {seconds(now.ru_utime), seconds(now.ru_stime)};
}
}  // namespace

CpuTime CpuTime::ofThread() { return usage(RUSAGE_THREAD); }
CpuTime CpuTime::ofProcess() { return usage(RUSAGE_SELF); }

void pin(unsigned cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  (void)sched_setaffinity(0, sizeof set, &set);
}

}  // namespace papers
