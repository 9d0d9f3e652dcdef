// DPDK's virtual devices in tests.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

#include "nic/port/dpdk.hpp"

namespace dpdk {

/// Why no device of this kind can be tried: DPDK or its driver is not installed. Empty: it can, and what goes wrong is a
/// failure.
inline std::string whyNot(const std::string& device) {
  std::string why;
  socrypt::nic::DpdkPortFacts facts;
  if (socrypt::nic::openDpdkPort(device, facts, why) != nullptr) return "";
  return why.find("no DPDK plugin") != std::string::npos || why.find("has no driver") != std::string::npos ? why : "";
}

/// A directory that goes with this.
class Place {
 public:
  Place() {
    std::string name = std::filesystem::temp_directory_path() / "socrypt-dpdk-XXXXXX";
    if (mkdtemp(name.data()) != nullptr) path_ = name;
  }
  ~Place() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  [[nodiscard]] std::string at(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// The two ends of a memif. Its rings lie in a memfd of the client's; the socket is a file, since an abstract one belongs to
/// a network namespace.
struct Memif {
  explicit Memif(int number) : number_(number) {}
  [[nodiscard]] std::string server() const { return device(0, "server"); }
  [[nodiscard]] std::string client() const { return device(1, "client"); }

 private:
  [[nodiscard]] std::string device(int end, const std::string& role) const {
    return "net_memif" + std::to_string(2 * number_ + end) + ",role=" + role + ",socket-abstract=no,socket=" + place_.at("memif.sock");
  }
  int number_;
  Place place_;
};

}  // namespace dpdk
