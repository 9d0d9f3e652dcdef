// One sender's cost per byte over a TCP connection on loopback: the experiment of "TLS Offload to Network Devices", with
// records of a given size. The receiver, in a process of its own, takes the bytes and does not decrypt them, as in the
// paper's Table 2. Prints one line of JSON: elapsed, user and system seconds of the sender, and bytes of plaintext.
//   bench_stream MODE RECORD-BYTES MEGABYTES
// MODE: tcp | openssl-aes128-gcm | openssl-null-sha1 | openssl-null-sha256 | gnutls | software (the data plane's record layer)
//   | offload (its part when a NIC seals: framed, announced to the record map, written unsealed, released as acknowledged)
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <linux/sockios.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef SOCRYPT_HAVE_GNUTLS
#include <gnutls/gnutls.h>
#endif

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ocf/drivers/soft.hpp"
#include "record/record.hpp"
#include "record/record_map.hpp"

using namespace socrypt;

namespace {

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "bench_stream: %s\n", what);
  std::exit(1);
}

void pin(unsigned cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  // One processor for both is a machine of one processor.
  (void)sched_setaffinity(0, sizeof set, &set);
}

void sendAll(int fd, std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) fail("send failed");
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

struct Freed {
  void operator()(SSL_CTX* p) const { SSL_CTX_free(p); }
  void operator()(SSL* p) const { SSL_free(p); }
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
  void operator()(X509* p) const { X509_free(p); }
};
template <typename T>
using Held = std::unique_ptr<T, Freed>;

/// TLS 1.2 with RSA: the NULL suites, which this experiment is about, have no other key exchange in common with AES-GCM.
Held<SSL_CTX> context(const SSL_METHOD* method, const char* suite) {
  Held<SSL_CTX> made(SSL_CTX_new(method));
  SSL_CTX_set_security_level(made.get(), 0);
  SSL_CTX_set_max_proto_version(made.get(), TLS1_2_VERSION);
  if (SSL_CTX_set_cipher_list(made.get(), suite) != 1) fail("libssl has not that suite");
  return made;
}

void selfSign(SSL_CTX* ctx) {
  const Held<EVP_PKEY> key(EVP_RSA_gen(2048));
  const Held<X509> certificate(X509_new());
  if (!key || !certificate) fail("no key");
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  X509_set_pubkey(certificate.get(), key.get());
  if (X509_sign(certificate.get(), key.get(), EVP_sha256()) == 0 || SSL_CTX_use_certificate(ctx, certificate.get()) != 1 ||
      SSL_CTX_use_PrivateKey(ctx, key.get()) != 1)
    fail("no certificate");
}

const char* opensslSuite(std::string_view mode) {
  if (mode == "openssl-aes128-gcm") return "AES128-GCM-SHA256";
  if (mode == "openssl-null-sha256") return "NULL-SHA256";
  if (mode == "openssl-null-sha1") return "NULL-SHA";
  return nullptr;
}

struct Load {
  std::string mode;
  size_t record;
  size_t records;
};

/// Sends `load` on a connected socket; what comes before the first byte of data is not counted by the caller.
class Sender {
 public:
  Sender(int fd, const Load& load) : fd_(fd), load_(load), text_(load.record) {
    for (size_t i = 0; i < text_.size(); ++i) text_[i] = static_cast<uint8_t>(i * 31);
  }
  void handshake() {
    if (const char* suite = opensslSuite(load_.mode)) {
      ctx_ = context(TLS_server_method(), suite);
      selfSign(ctx_.get());
      ssl_.reset(SSL_new(ctx_.get()));
      SSL_set_fd(ssl_.get(), fd_);
      if (SSL_accept(ssl_.get()) != 1) fail("the handshake failed");
    }
  }
  void run() {
    if (ssl_) {
      for (size_t i = 0; i < load_.records; ++i)
        if (SSL_write(ssl_.get(), text_.data(), static_cast<int>(text_.size())) != static_cast<int>(text_.size())) fail("SSL_write failed");
    } else if (load_.mode == "tcp") {
      for (size_t i = 0; i < load_.records; ++i) sendAll(fd_, text_);
    } else if (load_.mode == "software" || load_.mode == "offload") {
      dataPlane(load_.mode == "offload");
    } else {
      gnutls();
    }
  }

 private:
  // Sixteen records per call, as the engine has them.
  void dataPlane(bool offload) {
    ocf::Framework framework;
    ocf::Status status = ocf::Status::Ok;
    if (framework.attach(ocf::makeSoftDriver(), &status) == 0) fail("no software driver");
    record::RecordWriter writer(framework);
    record::TrafficKeys keys;
    if (writer.install(keys) != ocf::Status::Ok) fail("no session");
    constexpr size_t kBurst = 16;
    const record::Framing framing = writer.framing();
    const size_t each = framing.overhead() + load_.record;
    std::vector<uint8_t> memory(each * kBurst);
    std::vector<record::Slot> slots;
    for (size_t i = 0; i < kBurst; ++i) slots.push_back({memory.data() + i * each, static_cast<uint32_t>(load_.record)});
    record::RetentionBudget budget(0);
    record::RecordMap map(0, record::Retention::UntilTag, {}, budget);
    for (size_t done = 0; done < load_.records;) {
      const size_t n = std::min(kBurst, load_.records - done);
      for (size_t i = 0; i < n; ++i) std::memcpy(slots[i].at + framing.before, text_.data(), text_.size());
      if (offload) {
        std::array<record::Framed, kBurst> framed;
        std::array<record::NewRecord, kBurst> announced;
        if (writer.frame(record::ContentType::ApplicationData, std::span(slots).first(n), framed.data()) != n) fail("frame failed");
        for (size_t i = 0; i < n; ++i) announced[i].ref = framed[i].ref;
        if (map.push(std::span(announced).first(n)) != ocf::Status::Ok) fail("the record map refused records");
        sendAll(fd_, std::span(memory).first(n * each));
        done += n;
        // As a driver asks TCP: what was written and is not in its queue any more.
        int waiting = 0;
        if (ioctl(fd_, SIOCOUTQ, &waiting) != 0) fail("SIOCOUTQ failed");
        map.release(done * each - static_cast<size_t>(waiting), [](const record::MappedRecord&) {});
        continue;
      }
      if (writer.seal(record::ContentType::ApplicationData, std::span(slots).first(n)) != n) fail("seal failed");
      sendAll(fd_, std::span(memory).first(n * each));
      done += n;
    }
  }
  void gnutls();

  int fd_;
  Load load_;
  std::vector<uint8_t> text_;
  Held<SSL_CTX> ctx_;
  Held<SSL> ssl_;
};

#ifdef SOCRYPT_HAVE_GNUTLS
// A pre-shared key, so that the handshake, which is not measured, needs no certificate.
constexpr const char* kPriorities = "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+DHE-PSK:+ECDHE-PSK";

int sharedKey(gnutls_session_t /*session*/, const char* /*name*/, gnutls_datum_t* key) {
  key->size = 32;
  key->data = static_cast<unsigned char*>(gnutls_calloc(1, key->size));
  return key->data == nullptr ? -1 : 0;
}

gnutls_session_t gnutlsSession(unsigned role, int fd) {
  gnutls_session_t session = nullptr;
  if (gnutls_init(&session, role) != 0 || gnutls_priority_set_direct(session, kPriorities, nullptr) != 0) fail("no GnuTLS session");
  if (role == GNUTLS_SERVER) {
    gnutls_psk_server_credentials_t credentials = nullptr;
    gnutls_psk_allocate_server_credentials(&credentials);
    gnutls_psk_set_server_credentials_function(credentials, sharedKey);
    gnutls_credentials_set(session, GNUTLS_CRD_PSK, credentials);
  } else {
    gnutls_psk_client_credentials_t credentials = nullptr;
    gnutls_psk_allocate_client_credentials(&credentials);
    gnutls_datum_t key{};
    if (sharedKey(session, nullptr, &key) != 0) fail("no memory");
    gnutls_psk_set_client_credentials(credentials, "bench", &key, GNUTLS_PSK_KEY_RAW);
    gnutls_credentials_set(session, GNUTLS_CRD_PSK, credentials);
  }
  gnutls_transport_set_int(session, fd);
  int result = 0;
  do result = gnutls_handshake(session);
  while (result < 0 && gnutls_error_is_fatal(result) == 0);
  if (result < 0) fail(gnutls_strerror(result));
  return session;
}

void Sender::gnutls() {
  gnutls_session_t session = gnutlsSession(GNUTLS_SERVER, fd_);
  for (size_t i = 0; i < load_.records; ++i)
    if (gnutls_record_send(session, text_.data(), text_.size()) != static_cast<ssize_t>(text_.size())) fail("gnutls_record_send failed");
  gnutls_deinit(session);
}
#else
void Sender::gnutls() { fail("built without GnuTLS; install libgnutls28-dev and build again"); }
#endif

/// Takes everything and looks at nothing.
void receive(int fd, const Load& load) {
  Held<SSL_CTX> ctx;
  Held<SSL> ssl;
  if (const char* suite = opensslSuite(load.mode)) {
    ctx = context(TLS_client_method(), suite);
    ssl.reset(SSL_new(ctx.get()));
    SSL_set_fd(ssl.get(), fd);
    if (SSL_connect(ssl.get()) != 1) fail("the client's handshake failed");
  }
#ifdef SOCRYPT_HAVE_GNUTLS
  if (load.mode == "gnutls") (void)gnutlsSession(GNUTLS_CLIENT, fd);
#endif
  std::vector<uint8_t> buffer(1 << 18);
  while (recv(fd, buffer.data(), buffer.size(), MSG_TRUNC) > 0) {
  }
}

double seconds(const timeval& value) { return static_cast<double>(value.tv_sec) + static_cast<double>(value.tv_usec) / 1e6; }

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) fail("usage: bench_stream MODE RECORD-BYTES MEGABYTES");
  Load load{argv[1], std::strtoul(argv[2], nullptr, 10), 0};
  if (load.record < 1 || load.record > record::kMaxPlaintext) fail("RECORD-BYTES is 1 to 16384");
  if (opensslSuite(load.mode) == nullptr && load.mode != "tcp" && load.mode != "software" && load.mode != "offload" && load.mode != "gnutls") fail("no such MODE");
  load.records = std::strtoul(argv[3], nullptr, 10) * 1'000'000 / load.record;

  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  // The same for all, and no pacing, which would hide what a byte costs.
  (void)setsockopt(listener, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(listener, 1) != 0 ||
      getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) != 0)
    fail("cannot listen on loopback");
  const pid_t child = fork();
  if (child == 0) {
    pin(1);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail("cannot connect");
    receive(fd, load);
    return 0;
  }
  pin(0);
  const int fd = accept(listener, nullptr, nullptr);
  if (fd < 0) fail("accept failed");
  const int one = 1;
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  Sender sender(fd, load);
  sender.handshake();
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  const auto start = std::chrono::steady_clock::now();
  sender.run();
  const double elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  getrusage(RUSAGE_SELF, &after);
  close(fd);
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0) fail("the receiver failed");
  std::printf("{\"seconds\":%.6f,\"user\":%.6f,\"system\":%.6f,\"bytes\":%zu}\n", elapsed,
              seconds(after.ru_utime) - seconds(before.ru_utime), seconds(after.ru_stime) - seconds(before.ru_stime),
              load.records * load.record);
}
