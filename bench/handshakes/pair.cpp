// OpenSSL's server against OpenSSL's client in memory, each timed alone: the peer of memory.mjs on this machine.
// usage: pair CERT KEY GROUP 1.3|1.2 full|resumed SECONDS BATCH   prints one JSON line
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

namespace {

uint64_t nanoseconds(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

[[noreturn]] void give_up(const char* what) {
  std::fprintf(stderr, "pair: %s\n", what);
  ERR_print_errors_fp(stderr);
  std::exit(1);
}

struct Free {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

struct Setup {
  std::string cert, key, group;
  bool tls12 = false, resume = false;
};

Owned<SSL_SESSION> newest;

Owned<SSL_CTX> make_context(const Setup& setup, bool server) {
  Owned<SSL_CTX> context(SSL_CTX_new(server ? TLS_server_method() : TLS_client_method()));
  const int version = setup.tls12 ? TLS1_2_VERSION : TLS1_3_VERSION;
  bool ok = SSL_CTX_set_min_proto_version(context.get(), version) == 1;
  ok = ok && SSL_CTX_set_max_proto_version(context.get(), version) == 1;
  ok = ok && SSL_CTX_set_ciphersuites(context.get(), "TLS_AES_128_GCM_SHA256") == 1;
  ok = ok && SSL_CTX_set_cipher_list(context.get(), "ECDHE+AES128+AESGCM") == 1;
  ok = ok && SSL_CTX_set1_groups_list(context.get(), (setup.group + ":P-256").c_str()) == 1;
  if (server) {
    ok = ok && SSL_CTX_use_certificate_chain_file(context.get(), setup.cert.c_str()) == 1;
    ok = ok && SSL_CTX_use_PrivateKey_file(context.get(), setup.key.c_str(), SSL_FILETYPE_PEM) == 1;
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    if (setup.resume) {
      // One ticket per connection, the first included.
      SSL_CTX_set_num_tickets(context.get(), 1);
    } else {
      SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET);
      SSL_CTX_set_num_tickets(context.get(), 0);
    }
  } else {
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context.get(), [](SSL*, SSL_SESSION* session) {
      newest.reset(session);
      return 1;
    });
  }
  if (!ok) give_up("a context could not be set up");
  return context;
}

/** Moves what one side has written to the other; its cost belongs to neither. */
void carry(SSL* from, SSL* to) {
  char buffer[16384];
  for (int count = 0; (count = BIO_read(SSL_get_wbio(from), buffer, sizeof buffer)) > 0;) {
    BIO_write(SSL_get_rbio(to), buffer, count);
  }
}

Owned<SSL> make_end(SSL_CTX* context, bool server) {
  Owned<SSL> ssl(SSL_new(context));
  SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  server ? SSL_set_accept_state(ssl.get()) : SSL_set_connect_state(ssl.get());
  return ssl;
}

void step(SSL* ssl) {
  const int result = SSL_do_handshake(ssl);
  if (result != 1 && SSL_get_error(ssl, result) != SSL_ERROR_WANT_READ) give_up("a handshake failed");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 8) {
    std::fputs("usage: pair CERT KEY GROUP 1.3|1.2 full|resumed SECONDS BATCH\n", stderr);
    return 2;
  }
  const Setup setup{argv[1], argv[2], argv[3], std::strcmp(argv[4], "1.2") == 0, std::strcmp(argv[5], "resumed") == 0};
  const double seconds = std::atof(argv[6]);
  const auto batch = static_cast<size_t>(std::max(1, std::atoi(argv[7])));
  const auto server_context = make_context(setup, true);
  const auto client_context = make_context(setup, false);

  uint64_t server_time = 0, client_time = 0, handshakes = 0, resumed = 0;
  std::vector<Owned<SSL>> servers(batch), clients(batch);
  const auto timed = [&](uint64_t& sum, auto&& work) {
    const uint64_t begin = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
    for (size_t i = 0; i < batch; ++i) work(i);
    sum += nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - begin;
  };
  const auto round = [&] {
    timed(client_time, [&](size_t i) {
      clients[i] = make_end(client_context.get(), false);
      SSL_set_tlsext_host_name(clients[i].get(), "localhost");
      if (setup.resume && newest != nullptr) {
        const Owned<SSL_SESSION> offered(SSL_SESSION_dup(newest.get()));
        SSL_set_session(clients[i].get(), offered.get());
      }
      step(clients[i].get());
    });
    timed(server_time, [&](size_t i) { servers[i] = make_end(server_context.get(), true); });
    for (int flight = 0; flight < 3; ++flight) {
      for (size_t i = 0; i < batch; ++i) carry(clients[i].get(), servers[i].get());
      timed(server_time, [&](size_t i) {
        if (SSL_is_init_finished(servers[i].get()) == 0) step(servers[i].get());
      });
      for (size_t i = 0; i < batch; ++i) carry(servers[i].get(), clients[i].get());
      timed(client_time, [&](size_t i) {
        char byte;
        if (SSL_is_init_finished(clients[i].get()) == 0) step(clients[i].get());
        // Tickets come behind the handshake.
        if (SSL_is_init_finished(clients[i].get()) != 0) SSL_read(clients[i].get(), &byte, 1);
      });
    }
    for (size_t i = 0; i < batch; ++i) {
      if (SSL_is_init_finished(servers[i].get()) == 0 || SSL_is_init_finished(clients[i].get()) == 0)
        give_up("a handshake did not end");
      ++handshakes;
      if (SSL_session_reused(servers[i].get()) != 0) ++resumed;
      SSL_set_shutdown(clients[i].get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    }
    timed(server_time, [&](size_t i) { servers[i].reset(); });
    timed(client_time, [&](size_t i) { clients[i].reset(); });
  };
  const uint64_t warm = nanoseconds(CLOCK_MONOTONIC) + 300'000'000;
  while (nanoseconds(CLOCK_MONOTONIC) < warm) round();
  server_time = client_time = handshakes = resumed = 0;
  const uint64_t end = nanoseconds(CLOCK_MONOTONIC) + static_cast<uint64_t>(seconds * 1e9);
  while (nanoseconds(CLOCK_MONOTONIC) < end) round();
  std::printf("{\"library\":\"%s\",\"handshakes\":%llu,\"resumed\":%llu,\"serverSeconds\":%.6f,\"clientSeconds\":%.6f}\n",
              OpenSSL_version(OPENSSL_VERSION), static_cast<unsigned long long>(handshakes),
              static_cast<unsigned long long>(resumed), static_cast<double>(server_time) * 1e-9,
              static_cast<double>(client_time) * 1e-9);
  newest.reset();
  return 0;
}
