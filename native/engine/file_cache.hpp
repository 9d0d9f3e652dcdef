// Resolved entries: what the control plane said a path means, served again without asking for as long
// as every fact it rested on (a Dependency) still holds. One cache per engine, one thread.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/beneath.hpp"
#include "engine/counters.hpp"
#include "engine/http/http.hpp"
#include "engine/messages.hpp"

namespace socrypt::engine {

/// Owns a file descriptor.
class Descriptor {
 public:
  Descriptor() noexcept = default;
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  ~Descriptor() { reset(); }
  [[nodiscard]] int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  int release() noexcept {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void reset(int fd = -1) noexcept;

 private:
  int fd_ = -1;
};

FileIdentity identityOf(const struct stat& st) noexcept;
/// Does the open file still have this identity?
bool unchanged(int fd, const FileIdentity& identity) noexcept;

class FileWindow;

struct Variant {
  http::Encoding encoding = http::Encoding::Identity;
  Descriptor fd;
  FileIdentity identity;
  std::string etag;
  int64_t lastModified = -1;
  std::string head200;   // "HTTP/1.1 200 OK" … every field of a full response but Date and Connection
  std::string fields;    // fields shared by 200 and 206, validators included
  std::string fields304;
  std::unique_ptr<uint8_t[]> content;  // the whole file when it is small and was read once
  std::shared_ptr<const FileWindow> window;  // where its pages were last sent from
};

/// A slice of a multipart response.
struct Segment {
  std::string bytes;  // sent as they are when not empty
  uint64_t offset = 0, length = 0;
};

struct Dependency {
  std::string path;
  bool present = false;
  FileIdentity identity;
};

/// Reference-counted without atomics: an entry belongs to one engine thread.
class Entry {
 public:
  enum class Kind : uint8_t { File = 1, Fixed = 2, Segments = 3 };
  Kind kind = Kind::Fixed;
  uint16_t status = 500;
  bool cacheable = false;
  bool appendQuery = false;
  uint32_t encodings = 0;  // bit 1 << Encoding per variant
  uint64_t checkedAt = 0;  // monotonic nanoseconds
  std::string headers;     // Fixed, Segments
  std::string body;        // Fixed
  std::vector<Variant> variants;
  std::vector<Segment> segments;
  uint64_t segmentsLength = 0;
  std::vector<Dependency> dependencies;
  std::string key;                        // of a cached entry
  std::list<Entry*>::iterator position;   // in the recency list
  size_t weight = 0;
  uint32_t descriptors = 0;

  [[nodiscard]] Variant* variant(http::Encoding encoding) noexcept {
    for (auto& candidate : variants)
      if (candidate.encoding == encoding) return &candidate;
    return nullptr;
  }

 private:
  friend class EntryRef;
  uint32_t references_ = 0;
};

class EntryRef {
 public:
  EntryRef() noexcept = default;
  explicit EntryRef(Entry* entry) noexcept : entry_(entry) { hold(); }
  EntryRef(const EntryRef& other) noexcept : entry_(other.entry_) { hold(); }
  EntryRef(EntryRef&& other) noexcept : entry_(other.entry_) { other.entry_ = nullptr; }
  EntryRef& operator=(EntryRef other) noexcept {
    std::swap(entry_, other.entry_);
    return *this;
  }
  ~EntryRef() {
    if (entry_ != nullptr && --entry_->references_ == 0) delete entry_;
  }
  Entry* operator->() const noexcept { return entry_; }
  Entry& operator*() const noexcept { return *entry_; }
  [[nodiscard]] Entry* get() const noexcept { return entry_; }
  explicit operator bool() const noexcept { return entry_ != nullptr; }

 private:
  void hold() noexcept {
    if (entry_ != nullptr) ++entry_->references_;
  }
  Entry* entry_ = nullptr;
};

/// Decodes a Resolve message. Descriptors in it are owned by the result, also when it is bad (then
/// they are closed and the result is empty).
EntryRef decodeResolution(MessageReader& reader);

struct CacheLimits {
  size_t entries;
  size_t bytes;
  size_t descriptors;
  uint64_t revalidateNs;
};

class FileCache {
 public:
  FileCache(const CacheLimits& limits, Counters& counters) : limits_(limits), counters_(counters) {}
  FileCache(const FileCache&) = delete;
  FileCache& operator=(const FileCache&) = delete;
  ~FileCache() { flush(); }

  /// A fresh entry, or none: absent, or one of its facts no longer holds (it is dropped then).
  EntryRef find(std::string_view key, uint64_t now);
  void insert(std::string_view key, const EntryRef& entry, uint64_t now);
  /// Drops `entry` if it is cached: its file turned out to be another.
  void drop(Entry& entry);
  void flush();
  void setRoot(int fd) noexcept { root_.reset(fd); }
  /// Accounts `bytes` of file content kept with `entry`; false when the cache may not hold them.
  bool charge(Entry& entry, size_t bytes);
  void uncharge(Entry& entry, uint32_t descriptors);

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
  };
  [[nodiscard]] bool holds(const Entry& entry) const noexcept;
  void evict();
  void remove(Entry& entry);

  CacheLimits limits_;
  Counters& counters_;
  Descriptor root_;
  std::unordered_map<std::string, EntryRef, Hash, std::equal_to<>> entries_;
  std::list<Entry*> recency_;  // most recent first
  size_t bytes_ = 0;
  size_t descriptors_ = 0;
};

}  // namespace socrypt::engine
