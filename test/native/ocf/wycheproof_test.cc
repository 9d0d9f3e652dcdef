// Project Wycheproof's vectors through the software driver (both backends) and the handshake's
// cryptography. Every file says how many of its vectors ran.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "json.hpp"
#include "ocf/drivers/soft.hpp"
#include "ocf/key.hpp"
#include "ocf/ocf.hpp"

using namespace socrypt;
using Bytes = std::vector<uint8_t>;

namespace {

json::Value vectors(const char* file) {
  return json::readFile(std::string(SOCRYPT_SOURCE_DIR "/test/vectors/wycheproof/") + file);
}

struct Tally {
  const char* file;
  std::string what;    // which driver, where there is a choice
  const char* reason;  // of the skipped
  int ran = 0, skipped = 0;
  ~Tally() {
    std::printf("wycheproof %s%s: %d ran, %d skipped", file, what.c_str(), ran, skipped);
    std::printf(skipped == 0 ? "\n" : " (%s)\n", reason);
  }
};

ocf::Status run(ocf::Framework& framework, ocf::Session* session, ocf::Kind kind, const Bytes& iv, Bytes& aad, Bytes& in,
                Bytes& out) {
  ocf::Seg from{in.data(), static_cast<uint32_t>(in.size())};
  ocf::Seg to{out.data(), static_cast<uint32_t>(out.size())};
  ocf::Op op{};
  op.ses = session;
  op.kind = kind;
  op.nIn = op.nOut = 1;
  std::memcpy(op.iv, iv.data(), 12);
  op.in = &from;
  op.out = &to;
  op.aad = {aad.data(), static_cast<uint32_t>(aad.size())};
  op.len = op.tagAt = static_cast<uint32_t>((kind == ocf::Kind::Seal ? out.size() : in.size()) - 16);
  ocf::Op* list[] = {&op};
  REQUIRE(framework.dispatch(list, 1) == 1);
  return op.status;
}

void aead(const char* file, ocf::SoftBackend backend) {
  auto driver = ocf::makeSoftDriver(backend);
  if (driver == nullptr) {
    std::printf("wycheproof %s: skipped, %s\n", file, ocf::ipsecMbAbsence().c_str());
    return;
  }
  Tally tally{file, " " + std::string(driver->name()), "nonce, tag or key sizes that TLS does not have"};
  ocf::Framework framework;
  ocf::Status status = ocf::Status::Ok;
  REQUIRE(framework.attach(std::move(driver), &status) != 0);
  const auto all = vectors(file);
  for (const auto& group : all["testGroups"].array()) {
    const bool tls = group["ivSize"].number() == 96 && group["tagSize"].number() == 128;
    const double keySize = group["keySize"].number();
    for (const auto& test : group["tests"].array()) {
      if (!tls || keySize == 192) {
        ++tally.skipped;
        continue;
      }
      ++tally.ran;
      CAPTURE(test["tcId"].number());
      const Bytes key = test["key"].hex();
      Bytes aad = test["aad"].hex();
      Bytes plaintext = test["msg"].hex();
      Bytes sealed = test["ct"].hex();
      const Bytes tag = test["tag"].hex();
      sealed.insert(sealed.end(), tag.begin(), tag.end());
      const ocf::AlgId id = std::strncmp(file, "chacha", 6) == 0 ? ocf::AlgId::ChaCha20Poly1305
                            : keySize == 128                     ? ocf::AlgId::Aes128Gcm
                                                                 : ocf::AlgId::Aes256Gcm;
      const ocf::Alg alg{.id = id, .key = key};
      const auto session = framework.open({.chain = {&alg, 1}}, &status);
      REQUIRE(session != nullptr);
      const bool valid = test["result"].text() == "valid";
      Bytes opened(sealed.size() - 16, 0xaa);
      const auto outcome = run(framework, session.get(), ocf::Kind::Open, test["iv"].hex(), aad, sealed, opened);
      CHECK(outcome == (valid ? ocf::Status::Ok : ocf::Status::BadTag));
      CHECK(opened == (valid ? plaintext : Bytes(opened.size())));  // a forgery leaves zeros
      if (!valid) continue;
      Bytes again(plaintext.size() + 16);
      CHECK(run(framework, session.get(), ocf::Kind::Seal, test["iv"].hex(), aad, plaintext, again) == ocf::Status::Ok);
      CHECK(again == sealed);
    }
  }
  CHECK(tally.ran > 50);
}

// Private scalars come as signed big integers; the library takes them at their fixed length.
Bytes scalar(Bytes bytes, size_t length) {
  while (bytes.size() > length && bytes.front() == 0) bytes.erase(bytes.begin());
  bytes.insert(bytes.begin(), length - std::min(length, bytes.size()), 0);
  return bytes;
}

// `header`: what stands before the point in the "public" field.
void agreement(const char* file, key::Group group, size_t secretLength, const Bytes& header) {
  Tally tally{file, "", "other ASN.1 than an uncompressed named-curve key"};
  const auto all = vectors(file);
  for (const auto& tests : all["testGroups"].array()) {
    for (const auto& test : tests["tests"].array()) {
      CAPTURE(test["tcId"].number());
      Bytes peer = test["public"].hex();
      const auto& flags = test["flags"].array();
      const bool asn = std::any_of(flags.begin(), flags.end(), [](const auto& flag) { return flag.text() == "InvalidAsn"; });
      if (asn || peer.size() < header.size() || !std::equal(header.begin(), header.end(), peer.begin())) {
        ++tally.skipped;  // about ASN.1, which no key share contains
        continue;
      }
      peer.erase(peer.begin(), peer.begin() + static_cast<ptrdiff_t>(header.size()));
      Bytes own = test["private"].hex();
      if (group != key::Group::X25519) own = scalar(own, secretLength);
      ++tally.ran;
      const Bytes shared = test["shared"].hex();
      key::KeyShare out;
      const auto result = key::agree(group, own, peer, out);
      const Bytes secret(out.secret.begin(), out.secret.begin() + static_cast<ptrdiff_t>(out.secretLength));
      const bool uncompressed = group == key::Group::X25519 || (!peer.empty() && peer[0] == 4);
      const bool zero = std::all_of(shared.begin(), shared.end(), [](uint8_t b) { return b == 0; });
      if (test["result"].text() == "invalid" || !uncompressed || (group == key::Group::X25519 && zero)) {
        CHECK(result == key::Agreement::InvalidShare);
        CHECK(std::all_of(out.secret.begin(), out.secret.end(), [](uint8_t b) { return b == 0; }));
      } else {
        CHECK(result == key::Agreement::Ok);
        CHECK(secret == shared);
      }
    }
  }
  CHECK(tally.ran > 50);
}

void hkdf(const char* file, key::Hash hash) {
  Tally tally{file, "", "other ASN.1 than an uncompressed named-curve key"};
  const auto all = vectors(file);
  for (const auto& group : all["testGroups"].array()) {
    for (const auto& test : group["tests"].array()) {
      CAPTURE(test["tcId"].number());
      ++tally.ran;
      key::Digest prk;
      REQUIRE(key::hkdfExtract(hash, test["salt"].hex(), test["ikm"].hex(), prk));
      Bytes okm(static_cast<size_t>(test["size"].number()));
      const bool good = key::hkdfExpand(hash, prk.view(), test["info"].hex(), okm);
      CHECK(good == (test["result"].text() == "valid"));
      if (good) CHECK(okm == test["okm"].hex());
    }
  }
  CHECK(tally.ran > 50);
}

Bytes bytesOf(std::initializer_list<int> values) {
  Bytes out;
  for (const int value : values) out.push_back(static_cast<uint8_t>(value));
  return out;
}

}  // namespace

TEST_CASE("wycheproof: AEAD") {
  for (const auto backend : {ocf::SoftBackend::Libcrypto, ocf::SoftBackend::IpsecMb}) {
    aead("aes_gcm_test.json", backend);
    aead("chacha20_poly1305_test.json", backend);
  }
}

TEST_CASE("wycheproof: key agreement") {
  agreement("x25519_test.json", key::Group::X25519, 32, {});
  agreement("ecdh_secp256r1_ecpoint_test.json", key::Group::P256, 32, {});
  // SubjectPublicKeyInfo of an uncompressed point on secp384r1.
  agreement("ecdh_secp384r1_test.json", key::Group::P384, 48,
            bytesOf({0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
                     0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00}));
}

TEST_CASE("wycheproof: HKDF") {
  hkdf("hkdf_sha256_test.json", key::Hash::Sha256);
  hkdf("hkdf_sha384_test.json", key::Hash::Sha384);
}

TEST_CASE("wycheproof: HMAC") {
  Tally tally{"hmac_sha256_test.json", "", ""};
  const auto all = vectors("hmac_sha256_test.json");
  for (const auto& group : all["testGroups"].array()) {
    const auto tagBytes = static_cast<size_t>(group["tagSize"].number()) / 8;
    for (const auto& test : group["tests"].array()) {
      CAPTURE(test["tcId"].number());
      ++tally.ran;
      key::Digest out;
      REQUIRE(key::hmac(key::Hash::Sha256, test["key"].hex(), test["msg"].hex(), out));
      const Bytes tag(out.bytes.begin(), out.bytes.begin() + static_cast<ptrdiff_t>(tagBytes));
      CHECK((tag == test["tag"].hex()) == (test["result"].text() == "valid"));
    }
  }
}
