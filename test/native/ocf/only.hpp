// A driver that has only some algorithms of another.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "ocf/ocf.hpp"

class Only final : public socrypt::ocf::Driver {
 public:
  using Params = socrypt::ocf::SessionParams;
  Only(std::unique_ptr<Driver> inner, std::function<bool(const Params&)> has) : inner_(std::move(inner)), has_(std::move(has)) {}
  [[nodiscard]] std::string_view name() const noexcept override { return "only"; }
  [[nodiscard]] const socrypt::ocf::Caps& caps() const noexcept override { return inner_->caps(); }
  [[nodiscard]] int probe(const Params& params, socrypt::ocf::Cost& cost) const noexcept override {
    return has_(params) ? inner_->probe(params, cost) : -EOPNOTSUPP;
  }
  [[nodiscard]] size_t sessionBytes(const Params& params) const noexcept override { return inner_->sessionBytes(params); }
  [[nodiscard]] socrypt::ocf::Status newSession(const Params& params, std::span<std::byte> priv) noexcept override {
    return inner_->newSession(params, priv);
  }
  void freeSession(std::span<std::byte> priv) noexcept override { inner_->freeSession(priv); }
  size_t random(std::span<uint8_t> out) noexcept override { return inner_->random(out); }
  size_t submit(socrypt::ocf::Op* const* ops, size_t n, bool more) noexcept override { return inner_->submit(ops, n, more); }

 private:
  std::unique_ptr<Driver> inner_;
  std::function<bool(const Params&)> has_;
};
