#pragma once
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <span>

namespace bench {

/**
 * CPU seconds (user + system) of all threads, living and dead, of `pids`, from /proc/PID/stat.
 * Resolution is one USER_HZ tick (10 ms) per process. A process that is gone counts as 0, which shows as
 * a negative difference and is reported by the caller.
 */
inline double process_seconds(std::span<const int> pids) {
  double seconds = 0;
  const double tick = static_cast<double>(sysconf(_SC_CLK_TCK));
  for (const int pid : pids) {
    char path[64];
    std::snprintf(path, sizeof path, "/proc/%d/stat", pid);
    std::FILE* file = std::fopen(path, "re");
    if (file == nullptr) continue;
    char text[1024];
    const size_t length = std::fread(text, 1, sizeof text - 1, file);
    std::fclose(file);
    text[length] = '\0';
    // The command name may hold spaces and parentheses: count fields from the last ')'. proc(5): 14, 15.
    const char* after = std::strrchr(text, ')');
    unsigned long user = 0;
    unsigned long system = 0;
    if (after != nullptr &&
        std::sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) == 2) {
      seconds += static_cast<double>(user + system) / tick;
    }
  }
  return seconds;
}

}  // namespace bench
