#include "engine/file_cache.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>

namespace socrypt::engine {

void Descriptor::reset(int fd) noexcept {
  if (fd_ >= 0) close(fd_);
  fd_ = fd;
}

FileIdentity identityOf(const struct stat& st) noexcept {
  // Unsigned, as in beneath.cc: times past 2262 wrap.
  const auto nanoseconds = [](const struct timespec& time) {
    return static_cast<int64_t>(static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec));
  };
  return {static_cast<uint64_t>(st.st_dev), static_cast<uint64_t>(st.st_ino), static_cast<uint64_t>(st.st_size),
          nanoseconds(st.st_mtim), nanoseconds(st.st_ctim)};
}

bool unchanged(int fd, const FileIdentity& identity) noexcept {
  struct stat st;
  if (fstat(fd, &st) != 0) return false;
  const FileIdentity now = identityOf(st);
  // Not the whole identity: unlinking or renaming the open file changes its ctime and nothing else,
  // and its content is still the one that the transfer began with.
  return now.size == identity.size && now.mtimeNs == identity.mtimeNs;
}

namespace {

FileIdentity readIdentity(MessageReader& reader) noexcept {
  FileIdentity identity;
  identity.dev = reader.number<uint64_t>();
  identity.ino = reader.number<uint64_t>();
  identity.size = reader.number<uint64_t>();
  identity.mtimeNs = reader.number<int64_t>();
  identity.ctimeNs = reader.number<int64_t>();
  return identity;
}

void appendNumber(std::string& out, uint64_t value) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, end);
}

void renderVariant(Variant& variant, uint16_t status, std::string_view headers) {
  if (!variant.etag.empty()) variant.fields.append("ETag: ").append(variant.etag).append("\r\n");
  if (variant.lastModified >= 0) {
    char date[29];
    http::formatDate(variant.lastModified, date);
    variant.fields.append("Last-Modified: ").append(date, sizeof date).append("\r\n");
  }
  if (status == 200) variant.fields.append("Accept-Ranges: bytes\r\n");
  variant.fields.append(headers);
  variant.head200.append("HTTP/1.1 ");
  appendNumber(variant.head200, status);
  variant.head200.append(" ").append(http::reasonPhrase(status)).append("\r\nContent-Length: ");
  appendNumber(variant.head200, variant.identity.size);
  variant.head200.append("\r\n").append(variant.fields);
}

constexpr uint32_t kMaxParts = 64;

}  // namespace

EntryRef decodeResolution(MessageReader& reader) {
  EntryRef entry(new Entry);
  const auto kind = reader.number<uint8_t>();
  if (kind < 1 || kind > 3) return {};
  entry->kind = static_cast<Entry::Kind>(kind);
  entry->cacheable = reader.number<uint8_t>() != 0;
  entry->appendQuery = reader.number<uint8_t>() != 0;
  reader.number<uint8_t>();
  entry->status = static_cast<uint16_t>(reader.number<uint32_t>());

  switch (entry->kind) {
    case Entry::Kind::File: {
      const auto count = reader.number<uint32_t>();
      for (uint32_t i = 0; i < count && i < kMaxParts && !reader.bad(); ++i) {
        Variant variant;
        if (const int fd = reader.number<int32_t>(); !reader.bad()) variant.fd.reset(fd);
        const auto encoding = reader.number<uint32_t>();
        if (encoding > static_cast<uint32_t>(http::Encoding::Zstd)) return {};
        variant.encoding = static_cast<http::Encoding>(encoding);
        variant.identity = readIdentity(reader);
        variant.lastModified = reader.number<int64_t>();
        variant.etag = reader.string();
        const auto headers = reader.string();
        variant.fields304 = reader.string();
        renderVariant(variant, entry->status, headers);
        entry->encodings |= 1u << encoding;
        entry->descriptors += 1;
        entry->variants.push_back(std::move(variant));
      }
      if (entry->variants.empty()) return {};
      break;
    }
    case Entry::Kind::Fixed:
      entry->headers = reader.string();
      entry->body = reader.string();
      break;
    case Entry::Kind::Segments: {
      Variant variant;
      if (const int fd = reader.number<int32_t>(); !reader.bad()) variant.fd.reset(fd);
      variant.identity = readIdentity(reader);
      entry->variants.push_back(std::move(variant));
      entry->descriptors = 1;
      entry->headers = reader.string();
      const auto count = reader.number<uint32_t>();
      for (uint32_t i = 0; i < count && !reader.bad(); ++i) {
        Segment segment;
        if (reader.number<uint32_t>() == 0) {
          segment.bytes = reader.string();
          segment.length = segment.bytes.size();
        } else {
          segment.offset = reader.number<uint64_t>();
          segment.length = reader.number<uint64_t>();
          const uint64_t size = entry->variants[0].identity.size;
          if (segment.offset > size || segment.length > size - segment.offset) return {};
        }
        entry->segmentsLength += segment.length;
        entry->segments.push_back(std::move(segment));
      }
      break;
    }
  }
  const auto count = reader.number<uint32_t>();
  for (uint32_t i = 0; i < count && !reader.bad(); ++i) {
    Dependency dependency;
    dependency.path = reader.string();
    if (dependency.path.empty()) dependency.path = ".";
    dependency.present = reader.number<uint32_t>() != 0;
    if (dependency.present) dependency.identity = readIdentity(reader);
    entry->dependencies.push_back(std::move(dependency));
  }
  if (reader.bad()) return {};
  return entry;
}

EntryRef FileCache::find(std::string_view key, uint64_t now) {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return {};
  Entry& entry = *found->second;
  if (now - entry.checkedAt > limits_.revalidateNs) {
    if (!holds(entry)) {
      counters_.add(Counter::cache_invalidations);
      remove(entry);
      return {};
    }
    entry.checkedAt = now;
  }
  if (entry.position != recency_.begin()) recency_.splice(recency_.begin(), recency_, entry.position);
  return found->second;
}

bool FileCache::holds(const Entry& entry) const noexcept {
  for (const auto& dependency : entry.dependencies) {
    if (!dependencyHolds(root_.get(), dependency.path.c_str(), dependency.present ? &dependency.identity : nullptr)) return false;
  }
  return true;
}

void FileCache::insert(std::string_view key, const EntryRef& entry, uint64_t now) {
  if (const auto old = entries_.find(key); old != entries_.end()) remove(*old->second);
  entry->checkedAt = now;
  entry->key = key;
  entry->weight = sizeof(Entry) + 2 * key.size() + entry->headers.size() + entry->body.size();
  for (const auto& variant : entry->variants)
    entry->weight += sizeof(Variant) + variant.head200.size() + variant.fields.size() + variant.fields304.size();
  for (const auto& dependency : entry->dependencies) entry->weight += sizeof(Dependency) + dependency.path.size();
  recency_.push_front(entry.get());
  entry->position = recency_.begin();
  bytes_ += entry->weight;
  descriptors_ += entry->descriptors;
  entries_.emplace(entry->key, entry);
  evict();
}

void FileCache::evict() {
  // The newest entry stays whatever its size: it is about to be served.
  while (recency_.size() > 1 &&
         (recency_.size() > limits_.entries || bytes_ > limits_.bytes || descriptors_ > limits_.descriptors)) {
    counters_.add(Counter::cache_evictions);
    remove(*recency_.back());
  }
  counters_.set(Counter::cache_entries, recency_.size());
  counters_.set(Counter::cache_bytes, bytes_);
}

void FileCache::remove(Entry& entry) {
  const EntryRef keep(&entry);
  bytes_ -= entry.weight;
  descriptors_ -= entry.descriptors;
  recency_.erase(entry.position);
  entries_.erase(entries_.find(std::string_view(entry.key)));
  entry.key.clear();
  counters_.set(Counter::cache_entries, recency_.size());
  counters_.set(Counter::cache_bytes, bytes_);
}

void FileCache::drop(Entry& entry) {
  const auto found = entries_.find(std::string_view(entry.key));
  if (found != entries_.end() && found->second.get() == &entry) {
    counters_.add(Counter::cache_invalidations);
    remove(entry);
  }
}

void FileCache::flush() {
  while (!recency_.empty()) remove(*recency_.front());
}

bool FileCache::charge(Entry& entry, size_t bytes) {
  const auto found = entries_.find(std::string_view(entry.key));
  if (found == entries_.end() || found->second.get() != &entry || bytes > limits_.bytes / 4) return false;
  entry.weight += bytes;
  bytes_ += bytes;
  const EntryRef keep(&entry);
  evict();
  return true;
}

void FileCache::uncharge(Entry& entry, uint32_t descriptors) {
  const auto found = entries_.find(std::string_view(entry.key));
  if (found != entries_.end() && found->second.get() == &entry) descriptors_ -= descriptors;
  entry.descriptors -= descriptors;
}

}  // namespace socrypt::engine
