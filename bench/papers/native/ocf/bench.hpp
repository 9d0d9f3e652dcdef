// What the experiments on the crypto framework share: cards from their files, requests, time.
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ocf/drivers/model.hpp"
#include "ocf/ocf.hpp"

namespace papers {

[[noreturn]] void fail(const std::string& what);

/// The words behind the experiment's name; each is asked for in turn.
class Arguments {
 public:
  Arguments(int argc, char** argv, std::string usage) : words_(argv + 2, argv + argc), usage_(std::move(usage)) {}
  std::string word();
  double number();
  /// "1,2,32"
  std::vector<uint32_t> list();
  void end();

 private:
  std::vector<std::string> words_;
  std::string usage_;
  size_t at_ = 0;
};

/// A card of native/ocf/cards, or of any path.
socrypt::ocf::ModelCard readCard(const std::string& path);

/// Attaches or ends the program.
uint32_t attach(socrypt::ocf::Framework& framework, std::unique_ptr<socrypt::ocf::Driver> driver);

/// A session with keys that are nobody's.
socrypt::ocf::SessionHandle open(socrypt::ocf::Framework& framework, std::initializer_list<socrypt::ocf::AlgId> chain, uint8_t salt = 0);

/// One op over memory of its own, which stays where it is.
struct Request {
  std::vector<uint8_t> memory;
  socrypt::ocf::Seg segment{};
  socrypt::ocf::Op op{};
  Request(socrypt::ocf::Session* session, socrypt::ocf::Kind kind, uint32_t length);
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;
};

inline double secondsNow() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
/// Of this thread, user and system; and of those alone that are the kernel's.
struct CpuTime {
  double user = 0, system = 0;
  static CpuTime ofThread();
  static CpuTime ofProcess();
  CpuTime operator-(const CpuTime& earlier) const { return {user - earlier.user, system - earlier.system}; }
  [[nodiscard]] double both() const { return user + system; }
};

/// One processor; where there is no such one, any.
void pin(unsigned cpu);

// The experiments, each in a file of its name.
void balance(Arguments& arguments);
void shortOperations(Arguments& arguments);
void throughput(Arguments& arguments);
void keys(Arguments& arguments);
void hog(Arguments& arguments);
void tls(Arguments& arguments);
void sendfile(Arguments& arguments);

}  // namespace papers
