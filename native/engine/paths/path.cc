#include "engine/paths/path.hpp"

#include "engine/connection.hpp"

namespace socrypt::engine {

record::RecordReader::Result OffloadPath::open(Connection& c, std::span<uint8_t> buffer, record::RecordReader::Opened& opened) {
  return c.rx.open(buffer, opened);
}

}  // namespace socrypt::engine
