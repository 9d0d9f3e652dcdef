// What a process may send to the NIC of another. Whatever comes: no crash, and what is read is within its bounds.
#include <cstdlib>

#include "nic/remote/wire.hpp"

using namespace socrypt;
using namespace socrypt::nic::remote;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto message = read({data, size});
  if (!message) return 0;
  if (message->records.size() > kMaxRecords) std::abort();
  for (const auto& one : message->records)
    if (one.ref.length == 0 || one.ref.length > record::kMaxRecord || one.ref.streamOffset > UINT64_MAX / 2 || one.payload) std::abort();
  // What was read is written as it was.
  if (message->kind == Kind::Push && push(message->flow, message->records, message->newFile).size() != size) std::abort();
  return 0;
}
