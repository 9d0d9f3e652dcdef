// Figure 13 of "Cryptography as an Operating System Service": a file sent by reading it, handing it to the crypto device
// and writing what comes back, against one call that does all of it where the data lies.
//   device      read, a copy into the memory shared with the daemon, the daemon, a copy out of it, write
//   in-process  read, /dev/crypto as a call in this process, write
//   sendfile    what the data plane does: the file is read to where its record is made, sealed there in bursts, and sent
// bench_papers_engine is the data plane itself: the same behind its event loop, its sockets and its HTTP.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <functional>

#include "bench.hpp"
#include "cryptod/client.hpp"
#include "cryptod/server.hpp"
#include "link.hpp"
#include "ocf/crypto_device.hpp"
#include "ocf/drivers/soft.hpp"
#include "record/record.hpp"

namespace papers {
namespace {

using namespace socrypt::ocf;
namespace cryptod = socrypt::cryptod;
namespace record = socrypt::record;

constexpr size_t kRecord = 16384, kTag = 16, kHeader = 5;

void writeHeader(uint8_t* at, size_t length) {
  const size_t rest = length + kTag;
  const uint8_t header[kHeader] = {23, 3, 3, static_cast<uint8_t>(rest >> 8), static_cast<uint8_t>(rest)};
  std::memcpy(at, header, sizeof header);
}

using Send = std::function<void(int fd, const HotFile& file)>;

Send byDaemon() {
  const std::string path = "/tmp/bench-papers-" + std::to_string(getpid()) + ".sock";
  cryptod::ServerOptions options;
  options.path = path;
  options.allowSoftware = true;
  options.attach = [](Framework& framework, std::string& why) {
    Status status = Status::Ok;
    if (framework.attach(makeSoftDriver(), &status) != 0) return true;
    why = statusName(status);
    return false;
  };
  const auto server = std::make_shared<cryptod::Server>(options);
  std::string why;
  if (!server->start(why)) fail(why);
  cryptod::Client::Options wanted;
  wanted.path = path;
  const std::shared_ptr<cryptod::Client> client = cryptod::Client::connect(wanted, why);
  if (client == nullptr) fail(why);
  const uint8_t key[16] = {1, 2, 3};
  cryptod::OpenRequest request;
  request.count = 1;
  request.chain[0] = {static_cast<uint16_t>(AlgId::Aes128Gcm), 12, kTag, key};
  cryptod::OpenAnswer answer{};
  if (!client->open(request, answer) || answer.status != 0) fail("the daemon opened no session");
  const uint32_t session = answer.session;
  return [server, client, session](int fd, const HotFile& file) {
    std::vector<uint8_t> own(kHeader + kRecord + kTag);
    uint64_t number = 0;
    for (uint64_t at = 0; at < file.size(); ++number) {
      const size_t length = std::min<uint64_t>(kRecord, file.size() - at);
      file.read(at, std::span(own).subspan(kHeader, length));
      std::memcpy(client->arena().data(), own.data() + kHeader, length);
      cryptod::OpRecord op{};
      op.session = session;
      op.kind = static_cast<uint8_t>(Kind::Seal);
      op.ivLength = 12;
      std::memcpy(op.iv, &number, sizeof number);
      op.length = op.mac = static_cast<uint32_t>(length);
      cryptod::DoneRecord done{};
      if (!client->run(op, done) || done.status != 0) fail("the daemon did not do it");
      std::memcpy(own.data() + kHeader, client->arena().data(), length + kTag);
      writeHeader(own.data(), length);
      sendAll(fd, std::span(own).first(kHeader + length + kTag));
      at += length;
    }
  };
}

Send inProcess() {
  const auto framework = std::make_shared<Framework>();
  attach(*framework, makeSoftDriver());
  const auto device = std::make_shared<CryptoDevice>(*framework, true);
  const uint8_t key[16] = {1, 2, 3};
  const Alg alg = algOf(AlgId::Aes128Gcm, key);
  uint32_t session = 0;
  if (device->openSession({.chain = {&alg, 1}}, session) != Status::Ok) fail("the device opened no session");
  return [framework, device, session](int fd, const HotFile& file) {
    std::vector<uint8_t> own(kRecord), sealed(kHeader + kRecord + kTag);
    uint64_t number = 0;
    for (uint64_t at = 0; at < file.size(); ++number) {
      const size_t length = std::min<uint64_t>(kRecord, file.size() - at);
      file.read(at, std::span(own).first(length));
      CryptOp op;
      op.session = session;
      op.kind = Kind::Seal;
      op.ivLength = 12;
      std::memcpy(op.iv, &number, sizeof number);
      op.source = own.data();
      op.destination = sealed.data() + kHeader;
      op.length = static_cast<uint32_t>(length);
      op.mac = sealed.data() + kHeader + length;
      if (device->crypt(op) != Status::Ok) fail("the device did not do it");
      writeHeader(sealed.data(), length);
      sendAll(fd, std::span(sealed).first(kHeader + length + kTag));
      at += length;
    }
  };
}

Send byPlane() {
  const auto framework = std::make_shared<Framework>();
  attach(*framework, makeSoftDriver());
  return [framework](int fd, const HotFile& file) {
    record::RecordWriter writer(*framework);
    record::TrafficKeys keys;
    keys.suite = record::Suite::Aes128GcmSha256;
    if (writer.install(keys) != Status::Ok) fail("no session");
    constexpr size_t kBurst = 16;
    const record::Framing framing = writer.framing();
    const size_t each = framing.overhead() + kRecord;
    static std::vector<uint8_t> memory(each * kBurst);
    for (uint64_t at = 0; at < file.size();) {
      std::vector<record::Slot> slots;
      size_t used = 0;
      while (slots.size() < kBurst && at < file.size()) {
        const size_t length = std::min<uint64_t>(kRecord, file.size() - at);
        uint8_t* slot = memory.data() + used;
        file.read(at, {slot + framing.before, length});
        slots.push_back({slot, static_cast<uint32_t>(length)});
        used += framing.overhead() + length;
        at += length;
      }
      if (writer.seal(record::ContentType::ApplicationData, slots) != slots.size()) fail("seal failed");
      sendAll(fd, std::span(memory).first(used));
    }
  };
}

}  // namespace

void sendfile(Arguments& arguments) {
  const std::string way = arguments.word();
  const std::vector<uint32_t> megabytes = arguments.list();
  const auto rounds = static_cast<int>(arguments.number());
  arguments.end();
  const Receiver receiver;
  pin(0);
  Send send;
  if (way == "device") send = byDaemon();
  else if (way == "in-process") send = inProcess();
  else if (way == "sendfile") send = byPlane();
  else fail("expected device, in-process or sendfile, received " + way);
  for (const uint32_t size : megabytes) {
    const HotFile file(uint64_t{size} * 1'000'000);
    int fd = -1;
    reportTransfers(size, rounds, [&] { fd = receiver.connect(); }, [&] {
      send(fd, file);
      Receiver::finish(fd);
    });
  }
}

}  // namespace papers
