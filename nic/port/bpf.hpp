// BPF programs, written down instruction by instruction: no compiler of them is needed, and no library.
#pragma once

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <span>

#include "nic/port/descriptor.hpp"

namespace socrypt::nic {

/// Newer than some systems' headers: BPF_TCX_INGRESS and BPF_TCX_EGRESS (Linux 6.6).
inline constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);
inline constexpr auto kTcxEgress = static_cast<bpf_attach_type>(47);

inline long bpf(bpf_cmd command, bpf_attr& attributes) noexcept { return syscall(SYS_bpf, command, &attributes, sizeof attributes); }

constexpr bpf_insn instruction(int code, int to, int from, int16_t off, int32_t imm) {
  bpf_insn made{};
  made.code = static_cast<uint8_t>(code);
  made.dst_reg = to & 0xf;
  made.src_reg = from & 0xf;
  made.off = off;
  made.imm = imm;
  return made;
}

struct BpfProgram {
  bpf_prog_type type;
  std::span<const bpf_insn> instructions;
  uint32_t expectedAttachType = 0;
  uint32_t flags = 0;
};
/// None: the kernel refused it (errno).
[[nodiscard]] inline Descriptor loadProgram(const BpfProgram& program) noexcept {
  static constexpr char kLicense[] = "Apache-2.0";
  bpf_attr load{};
  load.prog_type = program.type;
  load.expected_attach_type = program.expectedAttachType;
  load.prog_flags = program.flags;
  load.insns = reinterpret_cast<uint64_t>(program.instructions.data());
  load.insn_cnt = static_cast<uint32_t>(program.instructions.size());
  load.license = reinterpret_cast<uint64_t>(kLicense);
  return Descriptor(static_cast<int>(bpf(BPF_PROG_LOAD, load)));
}

/// Attaches a program to an interface, or to what else `target` is for that type, for as long as what this returns is
/// open. None: refused (errno).
[[nodiscard]] inline Descriptor linkProgram(const Descriptor& program, unsigned target, bpf_attach_type type, uint32_t flags = 0) noexcept {
  bpf_attr link{};
  link.link_create.prog_fd = static_cast<uint32_t>(program.get());
  link.link_create.target_fd = target;  // or target_ifindex: a union
  link.link_create.attach_type = type;
  link.link_create.flags = flags;
  return Descriptor(static_cast<int>(bpf(BPF_LINK_CREATE, link)));
}

}  // namespace socrypt::nic
