#include "ocf/drivers/by_name.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>

#include "ocf/drivers/dpdk.hpp"
#include "ocf/drivers/key.hpp"
#include "ocf/drivers/model.hpp"
#include "ocf/drivers/null.hpp"
#include "ocf/drivers/soft.hpp"
#include "ocf/drivers/thread.hpp"

namespace socrypt::ocf {
namespace {

using Made = std::unique_ptr<Driver>;

Made makeSoft(const std::string&, std::string& why) {
  auto driver = makeSoftDriver();
  if (driver == nullptr) why = "soft: " + ipsecMbAbsence() + " (SOCRYPT_SOFT_DRIVER asks for ipsec-mb)";
  return driver;
}

Made makeThread(const std::string&, std::string& why) {
  auto driver = makeThreadDriver(makeSoftDriver());
  if (driver == nullptr) why = "thread: no thread could be made, or there is no software driver for it";
  return driver;
}

Made makeKey(const std::string&, std::string& why) {
  auto driver = makeKeyDriver();
  if (driver == nullptr) why = "key: no thread could be made";
  return driver;
}

Made makeDpdk(const std::string& device, std::string& why) {
  return makeDpdkDriver(device.empty() ? "crypto_aesni_gcm" : device, why);
}

Made makeModel(const std::string& file, std::string& why) {
  constexpr size_t kMost = 65536;
  std::ifstream in(file, std::ios::binary);
  std::string text(kMost + 1, '\0');
  // A directory can be opened, and not read.
  if (!in || !(in.read(text.data(), static_cast<std::streamsize>(text.size())), in.eof())) {
    const bool big = in.gcount() > static_cast<std::streamsize>(kMost);
    why = "model: " + file + (big ? ": expected a card's description of at most 64 KiB" : ": " + std::string(std::strerror(errno)));
    return nullptr;
  }
  text.resize(static_cast<size_t>(in.gcount()));
  ModelCard card = parseModelCard(text, why);
  if (!why.empty()) {
    why = "model: " + file + ": " + why;
    return nullptr;
  }
  return makeModelDriver(std::move(card), steadyClock());
}

constexpr std::string_view kKeysOnly = "it does key operations only, and has no cipher for records";
constexpr DriverKind kKinds[] = {
    {"soft", "", false, "", makeSoft},
    {"thread", "", false, "", makeThread},
    {"null", "", false, "it gives data back as it is: records would leave as plaintext", [](const std::string&, std::string&) { return makeNullDriver(); }},
    {"key", "", false, kKeysOnly, makeKey},
    {"key-inline", "", false, kKeysOnly, [](const std::string&, std::string&) { return makeInlineKeyDriver(); }},
    {"dpdk", "DEVICE", true, "", makeDpdk},
    {"model", "FILE", false, "", makeModel},
};

std::string form(const DriverKind& kind) {
  std::string text(kind.name);
  if (kind.argument.empty()) return text;
  const std::string rest = ":" + std::string(kind.argument);
  return text + (kind.optional ? "[" + rest + "]" : rest);
}

// nullptr, and what was expected.
const DriverKind* find(const std::string& name, std::string& argument, std::string& why) {
  const size_t colon = name.find(':');
  argument = colon == std::string::npos ? "" : name.substr(colon + 1);
  std::string forms;
  for (const DriverKind& kind : kKinds) {
    forms += (forms.empty() ? "" : &kind == std::end(kKinds) - 1 ? " or " : ", ") + form(kind);
    if (name.substr(0, colon) != kind.name) continue;
    const bool given = !argument.empty(), right = kind.argument.empty() ? colon == std::string::npos : given || (kind.optional && colon == std::string::npos);
    if (right) return &kind;
    why = "expected " + form(kind) + " for the driver " + std::string(kind.name) + ", received " + name;
    return nullptr;
  }
  why = "expected " + forms + " for a driver, received " + name;
  return nullptr;
}

}  // namespace

std::span<const DriverKind> driverKinds() noexcept { return kKinds; }

std::unique_ptr<Driver> makeDriverByName(const std::string& name, std::string& why) {
  std::string argument;
  const DriverKind* kind = find(name, argument, why);
  return kind == nullptr ? nullptr : kind->make(argument, why);
}

bool attachByName(Framework& framework, std::span<const std::string> names, std::string& why) {
  for (const std::string& name : names) {
    std::unique_ptr<Driver> driver = makeDriverByName(name, why);
    if (driver == nullptr) return false;
    Status status = Status::Ok;
    if (framework.attach(std::move(driver), &status) != 0) continue;
    why = name + (status == Status::NoDriver ? ": the device has no algorithm that is known here" : ": the driver was refused: " + std::string(statusName(status)));
    return false;
  }
  return true;
}

bool servesRecords(const std::string& name, std::string& why) {
  std::string argument;
  const DriverKind* kind = find(name, argument, why);
  if (kind == nullptr) return false;
  if (kind->notForRecords.empty()) return true;
  why = "the driver " + name + " cannot serve: " + std::string(kind->notForRecords);
  return false;
}

}  // namespace socrypt::ocf
