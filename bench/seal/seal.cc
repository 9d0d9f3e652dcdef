// What one record costs with each software backend, and what the handshake's primitives cost: best of
// several rounds, one thread, in nanoseconds. `bash bench/seal/run.sh` builds and runs it.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "ocf/drivers/backends.hpp"
#include "ocf/drivers/soft.hpp"
#include "ocf/key.hpp"
#include "record/record.hpp"

using namespace socrypt;

namespace {

template <typename Body>
double bestNs(int rounds, int calls, Body body) {
  double best = 0;
  for (int round = 0; round < rounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < calls; ++i) body();
    const double took = std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count() / calls;
    if (round == 0 || took < best) best = took;
  }
  return best;
}

// Sixteen records per burst, in place: what the engine does.
void sealBackend(ocf::SoftBackend backend) {
  auto driver = ocf::makeSoftDriver(backend);
  if (driver == nullptr) {
    std::printf("ipsec-mb: not here (%s)\n", ocf::ipsecMbAbsence().c_str());
    return;
  }
  const std::string name(driver->name());
  ocf::Framework framework;
  ocf::Status status = ocf::Status::Ok;
  if (framework.attach(std::move(driver), &status) == 0) return;
  struct {
    record::Suite suite;
    const char* name;
  } constexpr kSuites[] = {{record::Suite::Aes128GcmSha256, "AES-128-GCM"},
                           {record::Suite::Aes256GcmSha384, "AES-256-GCM"},
                           {record::Suite::ChaCha20Poly1305Sha256, "ChaCha20-Poly1305"}};
  constexpr size_t kBurst = 16;
  for (const auto& [suite, suiteName] : kSuites) {
    record::TrafficKeys keys;
    keys.suite = suite;
    for (const uint32_t payload : {64u, 1024u, 16384u}) {
      std::vector<uint8_t> memory(kBurst * (payload + record::kOverhead));
      std::vector<record::Slot> slots;
      for (size_t i = 0; i < kBurst; ++i) slots.push_back({memory.data() + i * (payload + record::kOverhead), payload});
      record::RecordWriter writer(framework);
      record::RecordReader reader(framework);
      if (writer.install(keys) != ocf::Status::Ok) return;
      writer.setRecordLimit(UINT64_MAX);
      const int calls = payload == 16384 ? 20 : 200;
      const double seal = bestNs(30, calls, [&] { (void)writer.seal(record::ContentType::ApplicationData, slots); }) / kBurst;
      // Opening consumes its input: seal and open, less the sealing.
      keys.recordSeq = writer.recordSeq();
      if (reader.install(keys) != ocf::Status::Ok) return;
      const double both = bestNs(30, calls, [&] {
                            (void)writer.seal(record::ContentType::ApplicationData, slots);
                            record::RecordReader::Opened opened{};
                            std::span<uint8_t> left(memory);
                            while (!left.empty() && reader.open(left, opened) == record::RecordReader::Result::Record)
                              left = left.subspan(opened.consumed);
                          }) / kBurst;
      keys.recordSeq = 0;
      std::printf("%-22s %-18s %6u B   seal %8.0f ns %6.2f GB/s   open %8.0f ns\n", name.c_str(), suiteName, payload, seal,
                  payload / seal, both - seal);
    }
  }
  std::vector<ocf::SessionHandle> sessions;
  const uint8_t key[32] = {};
  const ocf::Alg alg{.id = ocf::AlgId::Aes128Gcm, .key = std::span(key).first(16)};
  const double open = bestNs(20, 1000, [&] { (void)framework.open({.chain = {&alg, 1}}, &status); });
  for (int i = 0; i < 20000; ++i) sessions.push_back(framework.open({.chain = {&alg, 1}}, &status));
  std::printf("%-22s session open and close %.0f ns, %zu pool bytes each\n", name.c_str(), open,
              framework.poolBytes() / sessions.size());
}

void handshake() {
  std::vector<uint8_t> data(100, 7);
  const std::span<const uint8_t> secret(data.data(), 32);
  key::Digest out;
  uint8_t okm[32];
  const auto report = [](const char* name, double ns) { std::printf("%-28s %9.2f us\n", name, ns / 1000); };
  report("sha256, 32 B", bestNs(20, 2000, [&] { (void)key::digest(key::Hash::Sha256, secret, out); }));
  report("hmac-sha256, 32 B", bestNs(20, 2000, [&] { (void)key::hmac(key::Hash::Sha256, secret, secret, out); }));
  report("hmac-sha384, 32 B", bestNs(20, 2000, [&] { (void)key::hmac(key::Hash::Sha384, secret, secret, out); }));
  report("hkdf-expand-label sha256", bestNs(20, 2000, [&] { (void)key::hkdfExpandLabel(key::Hash::Sha256, secret, "derived", secret, okm); }));
  for (const auto& [group, name] : {std::pair{key::Group::X25519, "key share x25519"}, {key::Group::P256, "key share secp256r1"},
                                    {key::Group::P384, "key share secp384r1"}}) {
    // A peer's share is what keyShare() itself makes; the base point serves as its peer.
    std::vector<uint8_t> peer(32, 0);
    peer[0] = 9;
    if (group == key::Group::P256)
      peer = {0x04, 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2,
              0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f,
              0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce,
              0x33, 0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5};
    if (group == key::Group::P384)
      peer = {0x04, 0xaa, 0x87, 0xca, 0x22, 0xbe, 0x8b, 0x05, 0x37, 0x8e, 0xb1, 0xc7, 0x1e, 0xf3, 0x20, 0xad, 0x74,
              0x6e, 0x1d, 0x3b, 0x62, 0x8b, 0xa7, 0x9b, 0x98, 0x59, 0xf7, 0x41, 0xe0, 0x82, 0x54, 0x2a, 0x38, 0x55,
              0x02, 0xf2, 0x5d, 0xbf, 0x55, 0x29, 0x6c, 0x3a, 0x54, 0x5e, 0x38, 0x72, 0x76, 0x0a, 0xb7, 0x36, 0x17,
              0xde, 0x4a, 0x96, 0x26, 0x2c, 0x6f, 0x5d, 0x9e, 0x98, 0xbf, 0x92, 0x92, 0xdc, 0x29, 0xf8, 0xf4, 0x1d,
              0xbd, 0x28, 0x9a, 0x14, 0x7c, 0xe9, 0xda, 0x31, 0x13, 0xb5, 0xf0, 0xb8, 0xc0, 0x0a, 0x60, 0xb1, 0xce,
              0x1d, 0x7e, 0x81, 0x9d, 0x7a, 0x43, 0x1d, 0x7c, 0x90, 0xea, 0x0e, 0x5f};
    key::KeyShare warm;
    if (key::keyShare(group, peer, warm) != key::Agreement::Ok) {
      std::printf("%s failed\n", name);
      continue;
    }
    report(name, bestNs(20, group == key::Group::P384 ? 5 : 50, [&] {
             key::KeyShare share;
             (void)key::keyShare(group, peer, share);
           }));
  }
}

}  // namespace

int main() {
  sealBackend(ocf::SoftBackend::IpsecMb);
  sealBackend(ocf::SoftBackend::Libcrypto);
  handshake();
}
