#pragma once

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace socrypt::nic {

inline long bpf(bpf_cmd command, bpf_attr& attributes) noexcept { return syscall(SYS_bpf, command, &attributes, sizeof attributes); }

}  // namespace socrypt::nic
