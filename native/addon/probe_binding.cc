// What this machine can do, asked by doing it: every probe makes the real system call and undoes it.
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "addon/registry.hpp"

#ifndef AF_XDP
#define AF_XDP 44
#endif
#ifndef TCP_ULP
#define TCP_ULP 31
#endif

namespace socrypt::addon {
namespace {

struct Found {
  bool ok;
  std::string detail;
};

class Descriptor {
 public:
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] bool valid() const noexcept { return fd_ >= 0; }

 private:
  int fd_;
};

std::string reason(int error, const std::string& meaning) {
  const char* name = strerrorname_np(error);
  return std::string(name != nullptr ? name : "errno") + ": " + meaning;
}

Found ioUring() {
  io_uring_params parameters{};
  const Descriptor ring(static_cast<int>(syscall(SYS_io_uring_setup, 4, &parameters)));
  if (ring.valid()) {
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), "io_uring_setup works (features 0x%x)", parameters.features);
    return {true, text.data()};
  }
  switch (errno) {
    case ENOSYS:
      return {false, reason(ENOSYS, "this kernel has no io_uring; Linux 5.1 with CONFIG_IO_URING is needed")};
    case EPERM:
    case EACCES:
      return {false, reason(errno, "forbidden here; set sysctl kernel.io_uring_disabled=0, and let the container's seccomp "
                                   "profile pass io_uring_setup")};
    default:
      return {false, reason(errno, std::strerror(errno))};
  }
}

// capabilities(7): the effective set as /proc shows it.
uint64_t effectiveCapabilities() {
  std::FILE* status = std::fopen("/proc/self/status", "re");
  if (status == nullptr) return 0;
  std::array<char, 256> line{};
  uint64_t set = 0;
  while (std::fgets(line.data(), line.size(), status) != nullptr)
    if (std::sscanf(line.data(), "CapEff: %" SCNx64, &set) == 1) break;
  std::fclose(status);
  return set;
}

Found afXdp() {
  const Descriptor socket_(socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (!socket_.valid()) {
    switch (errno) {
      case EAFNOSUPPORT:
        return {false, reason(EAFNOSUPPORT, "this kernel has no AF_XDP; Linux 4.18 with CONFIG_XDP_SOCKETS is needed")};
      case EPERM:
      case EACCES:
        return {false, reason(errno, "opening the socket needs CAP_NET_RAW; run as root or grant the capability")};
      default:
        return {false, reason(errno, std::strerror(errno))};
    }
  }
  // A socket alone moves no packet: attaching the XDP program needs these as well.
  const uint64_t have = effectiveCapabilities();
  std::string lacking;
  for (const auto& [bit, name] : {std::pair{CAP_NET_ADMIN, "CAP_NET_ADMIN"}, std::pair{CAP_BPF, "CAP_BPF"}})
    if ((have >> bit & 1) == 0 && (have >> CAP_SYS_ADMIN & 1) == 0) lacking += (lacking.empty() ? "" : " and ") + std::string(name);
  if (!lacking.empty()) return {false, "the socket opens, but attaching a program needs " + lacking + "; run as root or grant it"};
  return {true, "the socket opens, and programs may be attached"};
}

Found kernelTls() {
  // The upper layer protocol can be set only on an established connection (net/tls/tls_main.c, tls_init).
  const Descriptor listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const Descriptor client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (!listener.valid() || !client.valid() || bind(listener.get(), generic, length) != 0 || listen(listener.get(), 1) != 0 ||
      getsockname(listener.get(), generic, &length) != 0 || connect(client.get(), generic, length) != 0)
    return {false, reason(errno, std::string("a loopback connection to try it on could not be made: ") + std::strerror(errno))};
  if (setsockopt(client.get(), IPPROTO_TCP, TCP_ULP, "tls", sizeof "tls") == 0)
    return {true, "TCP_ULP \"tls\" can be set on a connection"};
  switch (errno) {
    case ENOENT:
      return {false, reason(ENOENT, "the kernel's tls module is not there; load it with `modprobe tls`, or use a kernel "
                                    "with CONFIG_TLS")};
    case ENOPROTOOPT:
      return {false, reason(ENOPROTOOPT, "this kernel has no TCP_ULP; Linux 4.13 with CONFIG_TLS is needed")};
    default:
      return {false, reason(errno, std::strerror(errno))};
  }
}

Found dpdk() {
  // The ABI's number counts yearly: 21 (20.11) to 26 (25.11).
  for (const char* name : {"librte_eal.so.26", "librte_eal.so.25", "librte_eal.so.24", "librte_eal.so.23", "librte_eal.so.22",
                           "librte_eal.so.21", "librte_eal.so"}) {
    void* library = dlopen(name, RTLD_LAZY | RTLD_LOCAL);
    if (library == nullptr) continue;
    // Stays loaded: the library's constructors leave references to it behind.
    const auto version = reinterpret_cast<const char* (*)()>(dlsym(library, "rte_version"));
    return {true, version != nullptr ? version() : name};
  }
  return {false, "librte_eal was not found; install DPDK (Debian: apt-get install librte-eal23)"};
}

Found openat2() {
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  const Descriptor directory(static_cast<int>(syscall(SYS_openat2, AT_FDCWD, ".", &how, sizeof how)));
  if (directory.valid()) return {true, "openat2(RESOLVE_BENEATH) works"};
  switch (errno) {
    case ENOSYS:
      return {false, reason(ENOSYS, "this kernel has no openat2; Linux 5.6 is needed, and without it nothing can be served")};
    case EPERM:
      return {false, reason(EPERM, "forbidden by a seccomp profile; update the container runtime")};
    default:
      return {false, reason(errno, std::string("the working directory could not be opened with it: ") + std::strerror(errno))};
  }
}

template <Found (*probe)()>
Napi::Value call(const Napi::CallbackInfo& info) {
  const Found found = probe();
  auto result = Napi::Object::New(info.Env());
  result.Set("ok", Napi::Boolean::New(info.Env(), found.ok));
  result.Set("detail", Napi::String::New(info.Env(), found.detail));
  return result;
}

const Registration registration([](Napi::Env env, Napi::Object exports) {
  auto probe = Napi::Object::New(env);
  probe.Set("ioUring", Napi::Function::New<call<ioUring>>(env, "ioUring"));
  probe.Set("afXdp", Napi::Function::New<call<afXdp>>(env, "afXdp"));
  probe.Set("kernelTls", Napi::Function::New<call<kernelTls>>(env, "kernelTls"));
  probe.Set("dpdk", Napi::Function::New<call<dpdk>>(env, "dpdk"));
  probe.Set("openat2", Napi::Function::New<call<openat2>>(env, "openat2"));
  exports.Set("probe", probe);
});

}  // namespace
}  // namespace socrypt::addon
