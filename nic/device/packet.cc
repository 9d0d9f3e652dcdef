#include "nic/device/packet.hpp"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace socrypt::nic {
namespace {

constexpr size_t kEthernetHeader = 14;
constexpr size_t kVlanTag = 4;
constexpr int kMaxVlanTags = 2;
constexpr uint16_t kTypeIpv4 = 0x0800, kTypeIpv6 = 0x86dd, kTypeVlan = 0x8100, kTypeServiceVlan = 0x88a8;
constexpr size_t kIpv4Header = 20, kIpv6Header = 40, kTcpHeader = 20;
// More extension headers, packets in packets, or labels than this are nobody's ordinary traffic.
constexpr int kMaxExtensions = 8, kMaxDepth = 4, kMaxLabels = 16;

constexpr uint16_t kTypeMpls = 0x8847, kTypeMplsMulticast = 0x8848, kTypePppoe = 0x8864, kTypeEthernetBridging = 0x6558;
constexpr uint8_t kProtocolIpv4 = 4, kProtocolIpv6 = 41, kProtocolGre = 47, kProtocolAuthentication = 51, kProtocolMpls = 137;

// IANA's protocol numbers, as far as they tell what an offloaded connection's segments may be in.
enum class Holds : uint8_t { Nothing, Tcp, Packet, Anything };
constexpr Holds holds(uint8_t protocol) noexcept {
  switch (protocol) {
    case kProtocolTcp: return Holds::Tcp;
    case 1: case 2: case kProtocolUdp: case 33: case 58: case 59: case 89: case 103: case 112: case 132: case 136: return Holds::Nothing;
    case 0: case 43: case 44: case 60: case 135: case 139: case 140:  // IPv6 extension headers, behind a fragment's
    case kProtocolIpv4: case kProtocolIpv6: case kProtocolGre: case kProtocolAuthentication: case kProtocolMpls: return Holds::Packet;
    default: return Holds::Anything;
  }
}

bool parseIpv4(std::span<const uint8_t> frame, Packet& p) noexcept {
  const uint8_t* ip = frame.data() + p.ip;
  const size_t left = frame.size() - p.ip;
  p.protocol = kProtocolTcp;  // until shown otherwise
  if (left < kIpv4Header || ip[0] >> 4 != 4) return false;
  const size_t header = size_t{ip[0] & 0x0fu} * 4;
  const size_t total = get16(ip + 2);
  p.protocol = ip[9];
  p.key.localAddress[10] = p.key.localAddress[11] = p.key.remoteAddress[10] = p.key.remoteAddress[11] = 0xff;
  std::memcpy(p.key.localAddress.data() + 12, ip + 12, 4);
  std::memcpy(p.key.remoteAddress.data() + 12, ip + 16, 4);
  if (header < kIpv4Header || total < header || total > left) return false;
  p.transport = static_cast<uint16_t>(p.ip + header);
  p.end = static_cast<uint32_t>(p.ip + total);
  // Any fragment: more to come, or not the first.
  return (get16(ip + 6) & 0x3fff) == 0;
}

bool parseIpv6(std::span<const uint8_t> frame, Packet& p) noexcept {
  const uint8_t* ip = frame.data() + p.ip;
  const size_t left = frame.size() - p.ip;
  p.ipv6 = true;
  p.protocol = kProtocolTcp;  // until shown otherwise
  if (left < kIpv6Header || ip[0] >> 4 != 6) return false;
  const size_t total = kIpv6Header + get16(ip + 4);
  if (total > left) return false;
  p.end = static_cast<uint32_t>(p.ip + total);
  std::memcpy(p.key.localAddress.data(), ip + 8, 16);
  std::memcpy(p.key.remoteAddress.data(), ip + 24, 16);
  uint8_t next = ip[6];
  size_t at = kIpv6Header;
  for (int i = 0; i < kMaxExtensions; ++i) {
    switch (next) {
      case 0:    // hop-by-hop options
      case 60:   // destination options
      case 43: { // routing: the checksum's destination is the last one, which only a routing header tells
        if (total - at < 8) return false;
        if (next == 43 && ip[at + 3] != 0) return false;
        const size_t length = (size_t{ip[at + 1]} + 1) * 8;
        if (length > total - at) return false;
        next = ip[at];
        at += length;
        break;
      }
      case 44:  // fragment
        if (total - at < 8) return false;
        p.protocol = ip[at];
        return false;
      default:
        p.protocol = next;
        p.transport = static_cast<uint16_t>(p.ip + at);
        return true;
    }
  }
  return false;
}

// True when an option covers the payload as TCP sees it, before it is sealed: MD5 (RFC 2385, 19), TCP-AO
// (RFC 5925, 29), MPTCP (RFC 8684, 30). A list that contradicts itself counts as such.
bool hasUnsupportedOption(std::span<const uint8_t> options) noexcept {
  while (!options.empty()) {
    const uint8_t kind = options[0];
    if (kind == 0) return false;
    if (kind == 1) {
      options = options.subspan(1);
      continue;
    }
    if (options.size() < 2 || options[1] < 2 || options[1] > options.size()) return true;
    if (kind == 19 || kind == 29 || kind == 30) return true;
    options = options.subspan(options[1]);
  }
  return false;
}

constexpr size_t kChecksumStep = 64;

// The sum of whole steps in independent sums; 32-bit words cannot overflow 64 bits within any packet.
uint64_t addStepsPlain(const uint8_t* p, size_t n) noexcept {
  std::array<uint64_t, 4> sums{};
  for (; n != 0; n -= 16, p += 16) {
    std::array<uint32_t, 4> w;
    std::memcpy(w.data(), p, 16);
    for (size_t i = 0; i < 4; ++i) sums[i] += w[i];
  }
  return sums[0] + sums[1] + sums[2] + sums[3];
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) uint64_t addStepsAvx2(const uint8_t* p, size_t n) noexcept {
  const __m256i low = _mm256_set1_epi64x(0xffffffff);
  __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
  for (; n != 0; n -= 64, p += 64) {
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    const __m256i y = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32));
    a = _mm256_add_epi64(a, _mm256_and_si256(x, low));
    b = _mm256_add_epi64(b, _mm256_srli_epi64(x, 32));
    c = _mm256_add_epi64(c, _mm256_and_si256(y, low));
    d = _mm256_add_epi64(d, _mm256_srli_epi64(y, 32));
  }
  alignas(32) std::array<uint64_t, 4> sums;
  _mm256_store_si256(reinterpret_cast<__m256i*>(sums.data()), _mm256_add_epi64(_mm256_add_epi64(a, b), _mm256_add_epi64(c, d)));
  return sums[0] + sums[1] + sums[2] + sums[3];
}
#endif

uint64_t addSteps(const uint8_t* p, size_t n) noexcept {
#if defined(__x86_64__)
  static const bool wide = __builtin_cpu_supports("avx2") != 0;
  if (wide) return addStepsAvx2(p, n);
#endif
  return addStepsPlain(p, n);
}

Packet parseNetwork(std::span<const uint8_t> frame, size_t at, uint16_t type, int depth) noexcept;

Packet parseEthernet(std::span<const uint8_t> frame, size_t at, int depth) noexcept {
  Packet p;
  if (frame.size() - at < kEthernetHeader) return p;
  uint16_t type = get16(frame.data() + at + 12);
  at += kEthernetHeader;
  for (int tags = 0; type == kTypeVlan || type == kTypeServiceVlan; ++tags) {
    if (tags == kMaxVlanTags || frame.size() < at + kVlanTag) return p;
    type = get16(frame.data() + at + 2);
    at += kVlanTag;
  }
  return parseNetwork(frame, at, type, depth);
}

// RFC 3032 2: labels of four bytes, the last of which says so. Nothing says what is behind them (RFC 4928 3).
Packet parseLabels(std::span<const uint8_t> frame, size_t at, int depth) noexcept {
  for (int i = 0; i < kMaxLabels && frame.size() > at + 4; ++i, at += 4) {
    if ((frame[at + 2] & 1) == 0) continue;
    const int version = frame[at + 4] >> 4;
    if (version == 4 || version == 6) return parseNetwork(frame, at + 4, version == 4 ? kTypeIpv4 : kTypeIpv6, depth);
    Packet p;
    p.kind = Packet::Kind::Other;
    return p;
  }
  return {};
}

// RFC 2784 2.1, RFC 2890 2: what is there is told by the first bits.
Packet parseGre(std::span<const uint8_t> frame, size_t at, int depth) noexcept {
  Packet p;
  if (frame.size() < at + 4) return p;
  const uint16_t flags = get16(frame.data() + at), type = get16(frame.data() + at + 2);
  const size_t header = 4 + ((flags & 0x8000) != 0 ? 4 : 0) + ((flags & 0x2000) != 0 ? 4 : 0) + ((flags & 0x1000) != 0 ? 4 : 0);
  const bool routed = (flags & 0x4000) != 0;
  if (routed || frame.size() < at + header) return p;
  if ((flags & 7) == 0 && type == kTypeEthernetBridging) return parseEthernet(frame, at + header, depth);
  return parseNetwork(frame, at + header, (flags & 7) == 0 ? type : 0, depth);
}

void readTcp(std::span<const uint8_t> frame, Packet& p) noexcept {
  const uint8_t* tcp = frame.data() + p.transport;
  if (p.end - p.transport < kTcpHeader) return;
  const uint32_t header = uint32_t{tcp[12] & 0xf0u} >> 2;
  if (header < kTcpHeader || header > p.end - p.transport) return;
  p.key.localPort = get16(tcp);
  p.key.remotePort = get16(tcp + 2);
  p.sequence = get32(tcp + 4);
  p.flags = tcp[13];
  p.payload = p.transport + header;
  p.unsupported = hasUnsupportedOption(frame.subspan(p.transport + kTcpHeader, header - kTcpHeader));
  p.kind = Packet::Kind::Tcp;
}

// What `protocol` has at `at`, inside of `outer`.
Packet parseCarried(std::span<const uint8_t> frame, const Packet& outer, uint8_t protocol, size_t at, int depth) noexcept {
  frame = frame.first(outer.end);
  if (depth >= kMaxDepth || at > frame.size()) return {};
  switch (protocol) {
    case kProtocolIpv4: return parseNetwork(frame, at, kTypeIpv4, depth);
    case kProtocolIpv6: return parseNetwork(frame, at, kTypeIpv6, depth);
    case kProtocolGre: return parseGre(frame, at, depth);
    case kProtocolMpls: return parseLabels(frame, at, depth);
    case kProtocolAuthentication: {  // RFC 4302 2.2
      if (frame.size() - at < 12) return {};
      const uint8_t next = frame[at];
      at += (size_t{frame[at + 1]} + 2) * 4;
      if (at > frame.size()) return {};
      Packet p = outer;
      p.transport = static_cast<uint16_t>(at);
      switch (holds(next)) {
        case Holds::Nothing: p.kind = Packet::Kind::Other; return p;
        case Holds::Anything: p.kind = Packet::Kind::Opaque; return p;
        case Holds::Tcp: readTcp(frame, p); return p;
        case Holds::Packet: return parseCarried(frame, outer, next, at, depth + 1);
      }
      return {};
    }
    default: return {};
  }
}

Packet parseNetwork(std::span<const uint8_t> frame, size_t at, uint16_t type, int depth) noexcept {
  Packet p;
  p.ip = static_cast<uint16_t>(at);
  p.kind = Packet::Kind::Other;
  Packet inner;
  if (type == kTypeMpls || type == kTypeMplsMulticast) {
    p.end = static_cast<uint32_t>(frame.size());
    inner = parseLabels(frame, at, depth + 1);
  } else if (type == kTypePppoe) {
    p.end = static_cast<uint32_t>(frame.size());
    // RFC 2516 4, and PPP's number of what is in it.
    const uint16_t ppp = frame.size() < at + 8 ? 0 : get16(frame.data() + at + 6);
    if (ppp != 0x21 && ppp != 0x57) return p;
    inner = parseNetwork(frame, at + 8, ppp == 0x21 ? kTypeIpv4 : kTypeIpv6, depth + 1);
  } else if (type != kTypeIpv4 && type != kTypeIpv6) {
    return p;
  } else {
    const bool whole = type == kTypeIpv4 ? parseIpv4(frame, p) : parseIpv6(frame, p);
    const Holds what = holds(p.protocol);
    if (!whole) p.transport = 0;
    if (what == Holds::Nothing) return p;
    p.kind = what == Holds::Anything ? Packet::Kind::Opaque : Packet::Kind::Unclear;
    if (!whole || what == Holds::Anything) return p;
    if (what == Holds::Tcp) {
      readTcp(frame, p);
      return p;
    }
    inner = parseCarried(frame, p, p.protocol, p.transport, depth + 1);
  }
  p.kind = inner.kind == Packet::Kind::Tcp ? Packet::Kind::Carried : inner.kind;
  p.key = inner.key;
  p.payload = p.end - (inner.kind == Packet::Kind::Tcp || inner.kind == Packet::Kind::Carried ? inner.payloadLength() : 0);
  return p;
}

}  // namespace

Packet parsePacket(std::span<const uint8_t> frame) noexcept { return parseEthernet(frame, 0, 0); }

uint64_t checksumAdd(std::span<const uint8_t> data, uint64_t sum) noexcept {
  // RFC 1071 2: the sum does not depend on byte order, so words are added as they lie in memory.
  const uint8_t* p = data.data();
  size_t n = data.size();
  const size_t whole = n / kChecksumStep * kChecksumStep;
  uint64_t native = whole == 0 ? 0 : addSteps(p, whole);
  p += whole;
  n -= whole;
  for (; n >= 4; n -= 4, p += 4) {
    uint32_t w;
    std::memcpy(&w, p, 4);
    native += w;
  }
  for (; n >= 2; n -= 2, p += 2) {
    uint16_t w;
    std::memcpy(&w, p, 2);
    native += w;
  }
  if (n == 1) native += p[0];  // little-endian: the missing byte is the upper one
  return sum + __builtin_bswap16(checksumFold(native));
}
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

uint16_t checksumFold(uint64_t sum) noexcept {
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

uint64_t pseudoHeaderSum(const Packet& packet, const uint8_t* frame, uint32_t length) noexcept {
  const uint8_t* ip = frame + packet.ip;
  const uint64_t addresses = packet.ipv6 ? checksumAdd({ip + 8, 32}) : checksumAdd({ip + 12, 8});
  return addresses + packet.protocol + (length >> 16) + (length & 0xffff);
}

}  // namespace socrypt::nic
