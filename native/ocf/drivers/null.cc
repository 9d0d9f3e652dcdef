#include "ocf/drivers/null.hpp"

#include <cstring>

#include "ocf/drivers/soft_op.hpp"

namespace socrypt::ocf {
namespace {

class NullDriver final : public Driver {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "null"; }
  [[nodiscard]] const Caps& caps() const noexcept override { return kCaps; }
  [[nodiscard]] int probe(const SessionParams& params, Cost&) const noexcept override {
    return params.chain.size() == 1 && params.chain[0].id == AlgId::Null ? 100 : -EOPNOTSUPP;
  }
  [[nodiscard]] size_t sessionBytes(const SessionParams&) const noexcept override { return 0; }
  [[nodiscard]] Status newSession(const SessionParams&, std::span<std::byte>) noexcept override { return Status::Ok; }
  void freeSession(std::span<std::byte>) noexcept override {}
  size_t submit(Op* const* ops, size_t n, bool) noexcept override {
    for (size_t i = 0; i < n; ++i) {
      Op& op = *ops[i];
      op.status = op.in == op.out && op.skip == op.outSkip && op.nIn == 1 && uint64_t{op.skip} + op.len <= op.in->n
                      ? Status::Ok
                      : copy(op);
    }
    return n;
  }

 private:
  static constexpr Caps kCaps{
      .flags = Caps::Soft | Caps::Sync | Caps::Ordered | Caps::OutOfPlace | Caps::Sgl,
      .maxLen = kSoftMaxLength,
  };
  static Status copy(Op& op) noexcept {
    if (const Status status = checkOp(op, AlgId::Null, AlgId::Null, 0); status != Status::Ok) return status;
    eachChunk(op, [](const uint8_t* from, uint8_t* to, size_t n) {
      if (from != to) std::memcpy(to, from, n);
    });
    return Status::Ok;
  }
};

}  // namespace

std::unique_ptr<Driver> makeNullDriver() { return std::make_unique<NullDriver>(); }

}  // namespace socrypt::ocf
