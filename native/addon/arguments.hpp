// Reading the arguments of a native function: each reader leaves a pending JavaScript exception and
// says so by an empty result. Errors carry a `code`, like every error of socrypt.
#pragma once

#include <napi.h>

#include <cmath>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace socrypt::addon {

using Bytes = std::span<const uint8_t>;

/// Leaves an Error with `code` pending.
inline void raise(Napi::Env env, const char* code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", code);
  error.ThrowAsJavaScriptException();
}

class Arguments {
 public:
  Arguments(const Napi::CallbackInfo& info, const char* function) noexcept : info_(info), function_(function) {}

  /// False once a reader has refused an argument.
  [[nodiscard]] bool good() const noexcept { return good_; }

  /// The bytes of a Uint8Array, which belong to JavaScript and hold until the call returns.
  Bytes bytes(size_t index, const char* name) {
    const Napi::Value value = info_[index];
    if (!value.IsTypedArray()) return refuse(name, "a Uint8Array", value), Bytes{};
    return array(value, name);
  }
  /// The same of `length` bytes.
  Bytes bytesOf(size_t index, const char* name, size_t length) {
    const Bytes got = bytes(index, name);
    if (good_ && got.size() != length)
      refuse(name, std::to_string(length) + " bytes", std::to_string(got.size()) + " bytes");
    return got;
  }
  Bytes array(const Napi::Value& value, const char* name) {
    napi_typedarray_type type = napi_int8_array;
    size_t length = 0;
    void* data = nullptr;
    if (!value.IsTypedArray() ||
        napi_get_typedarray_info(info_.Env(), value, &type, &length, &data, nullptr, nullptr) != napi_ok ||
        type != napi_uint8_array)
      return refuse(name, "a Uint8Array", value), Bytes{};
    return {static_cast<const uint8_t*>(data), length};
  }
  /// A whole number from `low` to `high`.
  uint64_t integer(size_t index, const char* name, uint64_t low, uint64_t high) {
    const Napi::Value value = info_[index];
    const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
    if (std::floor(number) == number && number >= static_cast<double>(low) && number <= static_cast<double>(high))
      return static_cast<uint64_t>(number);
    refuse(name, "a whole number from " + std::to_string(low) + " to " + std::to_string(high), value);
    return low;
  }
  uint64_t bigint(size_t index, const char* name) {
    const Napi::Value value = info_[index];
    bool lossless = false;
    const uint64_t number = value.IsBigInt() ? value.As<Napi::BigInt>().Uint64Value(&lossless) : 0;
    if (!lossless) refuse(name, "a bigint of 64 bits, not negative", value);
    return number;
  }
  std::string text(size_t index, const char* name) {
    const Napi::Value value = info_[index];
    if (value.IsString()) return value.As<Napi::String>().Utf8Value();
    refuse(name, "a string", value);
    return {};
  }
  /// "function: expected X for NAME, received Y", code ERR_SOCRYPT_ARGUMENT.
  void refuse(const char* name, const std::string& expected, const std::string& received) {
    if (!good_) return;
    good_ = false;
    raise(info_.Env(), "ERR_SOCRYPT_ARGUMENT",
          std::string(function_) + ": expected " + expected + " for " + name + ", received " + received);
  }

 private:
  void refuse(const char* name, const std::string& expected, const Napi::Value& value) {
    // The type only: a value may be a secret.
    refuse(name, expected, std::string(typeName(value)));
  }
  static const char* typeName(const Napi::Value& value) {
    if (value.IsUndefined()) return "nothing";
    if (value.IsNull()) return "null";
    if (value.IsString()) return "a string";
    if (value.IsNumber()) return "another number";
    if (value.IsBigInt()) return "another bigint";
    if (value.IsTypedArray()) return "another typed array";
    return "something else";
  }
  const Napi::CallbackInfo& info_;
  const char* function_;
  bool good_ = true;
};

}  // namespace socrypt::addon
