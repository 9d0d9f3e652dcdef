// exports.LabHostSeam: NativeLabHostSeam of src/native.ts: takes what the host's TCP sends off the way to the host port, and
// gives it back with a plan's faults. A program at the port's egress turns all frames aside but those that come from here;
// their mark tells.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <future>
#include <mutex>
#include <thread>

#include "addon/arguments.hpp"
#include "addon/lab_plan.hpp"
#include "addon/registry.hpp"
#include "nic/lab/host_seam.hpp"
#include "nic/port/bpf.hpp"
#include "nic/port/descriptor.hpp"

namespace socrypt::addon {
namespace {

using nic::Descriptor;
using nic::lab::HostFrame;
using nic::instruction;
using nic::lab::HostSeam;
using nic::systemError;

constexpr int32_t kMark = 0x50c7;
constexpr size_t kMostFrame = 70'000;
constexpr int kQueue = 64 << 20;
constexpr uint64_t kLook = 5000;  // microseconds from one look for a new host port to the next

uint64_t microseconds() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch()).count());
}

// Sends aside by `via` what has not our mark.
Descriptor load(unsigned via) {
  constexpr int kMove = BPF_ALU64 | BPF_MOV;
  const std::array<bpf_insn, 8> program{{
      instruction(BPF_LDX | BPF_MEM | BPF_W, 1, 1, offsetof(__sk_buff, mark), 0),
      instruction(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 4, kMark),
      instruction(kMove | BPF_K, 1, 0, 0, static_cast<int32_t>(via)),
      instruction(kMove | BPF_K, 2, 0, 0, 0),
      instruction(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect),
      instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
      instruction(kMove | BPF_K, 0, 0, 0, TC_ACT_OK),
      instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
  }};
  return nic::loadProgram({.type = BPF_PROG_TYPE_SCHED_CLS, .instructions = program});
}

sockaddr_ll at(unsigned interface) {
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(interface);
  return address;
}

class NativeLabHostSeam final : public Napi::ObjectWrap<NativeLabHostSeam> {
 public:
  static void announce(Napi::Env env, Napi::Object exports) {
    exports.Set("LabHostSeam", DefineClass(env, "NativeLabHostSeam",
                                           {InstanceMethod<&NativeLabHostSeam::state>("state"), InstanceMethod<&NativeLabHostSeam::close>("close")}));
  }

  explicit NativeLabHostSeam(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NativeLabHostSeam>(info) {
    nic::lab::Plan plan;
    if (!info[0].IsObject() || !info[1].IsObject()) {
      raise(info.Env(), "ERR_SOCRYPT_ARGUMENT", "NativeLabHostSeam: expected a plan, and where the host port is");
      return;
    }
    if (!readPlan(info[0].As<Napi::Object>(), plan)) return;
    const auto where = info[1].As<Napi::Object>();
    const auto text = [&](const char* name) { return where.Get(name).ToString().Utf8Value(); };
    seam_.emplace(plan, text("canary"));
    port_ = text("port");
    std::promise<std::string> opened;
    auto failed = opened.get_future();
    wake_ = Descriptor(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    thread_ = std::thread([this, opened = std::move(opened), space = text("namespace"), via = text("via"), from = text("from")]() mutable {
      pthread_setname_np(pthread_self(), "socrypt-seam");
      std::string why = open(space, via, from);
      const bool good = why.empty();
      opened.set_value(std::move(why));
      if (good) run();
    });
    if (const std::string why = failed.get(); !why.empty()) {
      stop();
      raise(info.Env(), "ERR_SOCRYPT_NIC", "the laboratory between TCP and the device: " + why);
    }
  }
  ~NativeLabHostSeam() override { stop(); }

 private:
  std::string open(const std::string& space, const std::string& via, const std::string& from) {
    const Descriptor there(::open(space.c_str(), O_RDONLY | O_CLOEXEC));
    if (!wake_ || !there || setns(there.get(), CLONE_NEWNET) != 0) return systemError("its network namespace cannot be entered");
    const unsigned aside = if_nametoindex(via.c_str()), back = if_nametoindex(from.c_str());
    if (aside == 0 || back == 0) return "there is no " + via + " or " + from;
    program_ = load(aside);
    if (!program_) return systemError("the egress program was refused");
    // Without a protocol until it is bound: nothing of other interfaces comes in between.
    in_ = Descriptor(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    out_ = Descriptor(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int one = 1;
    for (const Descriptor* each : {&in_, &out_})
      if (!*each || setsockopt(each->get(), SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one) != 0) return systemError("a packet socket with offloads");
    const sockaddr_ll address = at(back);
    if (setsockopt(out_.get(), SOL_SOCKET, SO_MARK, &kMark, sizeof kMark) != 0 || setsockopt(out_.get(), SOL_SOCKET, SO_SNDBUFFORCE, &kQueue, sizeof kQueue) != 0 ||
        setsockopt(in_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kQueue, sizeof kQueue) != 0 ||
        bind(in_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      return systemError("a packet socket");
    buffer_.resize(kMostFrame);
    return {};
  }

  // A device in the place of another has another host port of the same name.
  void attach() {
    const unsigned now = if_nametoindex(port_.c_str());
    if (now == interface_ && (now == 0 || link_)) return;
    interface_ = now;
    link_ = {};
    {
      // Nothing of another port comes before this one's program is there.
      const std::lock_guard lock(mutex_);
      while (receive(0) != 0) {
      }
      seam_->forget();
    }
    if (now == 0) return;
    link_ = nic::linkProgram(program_, now, nic::kTcxEgress);
    const std::lock_guard lock(mutex_);
    if (link_) ++attached_;
    else why_ = systemError("the egress program cannot be attached (Linux 6.6 is needed)");
  }

  size_t receive(uint64_t now) {
    for (size_t n = 0; n < 64; ++n) {
      sockaddr_ll from{};
      socklen_t length = sizeof from;
      const ssize_t got = recvfrom(in_.get(), buffer_.data(), buffer_.size(), 0, reinterpret_cast<sockaddr*>(&from), &length);
      if (got < static_cast<ssize_t>(sizeof(nic::lab::Offload))) return n;
      if (from.sll_pkttype == PACKET_OUTGOING) continue;
      HostFrame frame;
      std::memcpy(&frame.offload, buffer_.data(), sizeof frame.offload);
      frame.frame.assign(buffer_.begin() + sizeof frame.offload, buffer_.begin() + got);
      seam_->take(std::move(frame), now);
    }
    return 64;
  }

  void give(const HostFrame& frame) {
    if (interface_ == 0) return;
    iovec parts[2] = {{const_cast<nic::lab::Offload*>(&frame.offload), sizeof frame.offload}, {const_cast<uint8_t*>(frame.frame.data()), frame.frame.size()}};
    sockaddr_ll address = at(interface_);
    address.sll_protocol = htons(static_cast<uint16_t>(frame.frame[12] << 8 | frame.frame[13]));
    msghdr message{};
    message.msg_name = &address;
    message.msg_namelen = sizeof address;
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    // A queue that is full: TCP has to bring it again.
    if (sendmsg(out_.get(), &message, 0) < 0) ++refused_;
  }

  void run() {
    for (uint64_t looked = 0;;) {
      const uint64_t now = microseconds();
      if (now - looked >= kLook) {
        looked = now;
        attach();
      }
      uint64_t due = 0;
      {
        const std::lock_guard lock(mutex_);
        const size_t moved = receive(now);
        seam_->release(now, [this](const HostFrame& frame) { give(frame); });
        if (moved != 0) continue;
        due = seam_->due();
      }
      const uint64_t wait = std::min(kLook, due <= now ? 0 : due - now);
      std::array<pollfd, 2> list{{{in_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}}};
      const timespec time{0, static_cast<long>(wait) * 1000};
      ppoll(list.data(), list.size(), &time, nullptr);
      if (list[1].revents != 0) return;
    }
  }

  void stop() {
    if (!thread_.joinable()) return;
    const uint64_t one = 1;
    [[maybe_unused]] const auto written = write(wake_.get(), &one, sizeof one);
    thread_.join();
    link_ = {};
  }

  Napi::Value state(const Napi::CallbackInfo& info) {
    auto result = Napi::Object::New(info.Env());
    auto counts = Napi::Object::New(info.Env());
    const std::lock_guard lock(mutex_);
    const auto& all = seam_->counts();
#define COUNT(name, help) counts.Set(#name, Napi::Number::New(info.Env(), static_cast<double>(all.name)));
#include "nic/lab/host_counts.def"
#undef COUNT
    counts.Set("attached", Napi::Number::New(info.Env(), static_cast<double>(attached_)));
    counts.Set("refused", Napi::Number::New(info.Env(), static_cast<double>(refused_)));
    result.Set("counts", counts);
    result.Set("problem", Napi::String::New(info.Env(), why_));
    return result;
  }
  void close(const Napi::CallbackInfo&) { stop(); }

  std::string port_;
  Descriptor wake_, program_, link_, in_, out_;
  unsigned interface_ = 0;
  std::vector<uint8_t> buffer_;
  std::mutex mutex_;  // of what follows
  std::optional<HostSeam> seam_;
  uint64_t attached_ = 0, refused_ = 0;
  std::string why_;
  std::thread thread_;
};

const Registration registration(&NativeLabHostSeam::announce);

}  // namespace
}  // namespace socrypt::addon
