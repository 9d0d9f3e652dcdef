// Names below a root, and every way out of it.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "engine/beneath.hpp"

namespace {

using namespace socrypt::engine;
namespace fs = std::filesystem;

struct Tree {
  fs::path at;
  Fd root;
  Tree() {
    char name[] = "/tmp/socrypt-beneath-XXXXXX";
    at = ::mkdtemp(name);
    REQUIRE(openRoot(at.c_str(), root) == 0);
  }
  ~Tree() { fs::remove_all(at); }
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;
  void write(const std::string& name, const std::string& content) const {
    fs::create_directories((at / name).parent_path());
    std::ofstream(at / name) << content;
  }
  [[nodiscard]] int error(const char* path, Links links = Links::Inside) const {
    return openBeneath(root.get(), path, links).error;
  }
};

}  // namespace

TEST_CASE("a root must be a directory") {
  const Tree tree;
  tree.write("file", "");
  Fd root;
  CHECK(openRoot((tree.at / "none").c_str(), root) == ENOENT);
  CHECK(openRoot((tree.at / "file").c_str(), root) == ENOTDIR);
  CHECK_FALSE(root.open());
}

TEST_CASE("regular files are opened, everything else is described") {
  const Tree tree;
  tree.write("d/file", "content");
  REQUIRE(::mkfifo((tree.at / "fifo").c_str(), 0600) == 0);
  const Opened file = openBeneath(tree.root.get(), "d/file", Links::Inside);
  REQUIRE(file.error == 0);
  CHECK(file.facts.type() == FileType::File);
  CHECK(file.facts.identity.size == 7);
  CHECK((::fcntl(file.fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
  struct stat stat;
  REQUIRE(::stat((tree.at / "d/file").c_str(), &stat) == 0);
  CHECK(file.facts.identity.dev == stat.st_dev);
  CHECK(file.facts.identity.ino == stat.st_ino);
  CHECK(file.facts.identity.mtimeNs == stat.st_mtim.tv_sec * 1'000'000'000 + stat.st_mtim.tv_nsec);
  for (const char* path : {"", ".", "d", "d/"}) {
    const Opened directory = openBeneath(tree.root.get(), path, Links::Inside);
    CHECK(directory.error == 0);
    CHECK(directory.facts.type() == FileType::Directory);
    CHECK_FALSE(directory.fd.open());
  }
  const Opened fifo = openBeneath(tree.root.get(), "fifo", Links::Inside);  // and does not wait for a writer
  CHECK(fifo.error == 0);
  CHECK(fifo.facts.type() == FileType::Other);
  CHECK_FALSE(fifo.fd.open());
}

TEST_CASE("no name and no link leads out of the root") {
  const Tree tree;
  tree.write("file", "");
  tree.write("d/file", "");
  fs::create_symlink("/etc/passwd", tree.at / "absolute");
  fs::create_symlink("../../etc/passwd", tree.at / "up");
  fs::create_symlink("/etc", tree.at / "directory");
  fs::create_symlink(tree.at / "file", tree.at / "absolute-inside");
  fs::create_symlink("/proc/self/root", tree.at / "magic");
  fs::create_symlink("../file", tree.at / "d/inside");
  fs::create_symlink("loop", tree.at / "loop");
  for (const char* path : {"/etc/passwd", "..", "../x", "d/../../x", "absolute", "up", "directory/passwd", "absolute-inside", "magic/etc/passwd"}) {
    CAPTURE(path);
    CHECK(tree.error(path) == EXDEV);
    FileFacts facts;
    CHECK(statBeneath(tree.root.get(), path, Links::Inside, facts) == EXDEV);
    CHECK(dependencyHolds(tree.root.get(), path, nullptr));
  }
  CHECK(tree.error("loop") == ELOOP);
  CHECK(tree.error("d/inside") == 0);
  CHECK(tree.error("d/inside", Links::Refuse) == ELOOP);
  CHECK(tree.error("d/file", Links::Refuse) == 0);
  CHECK(tree.error("none") == ENOENT);
  CHECK(tree.error("file/x") == ENOTDIR);
  CHECK(tree.error(std::string(300, 'x').c_str()) == ENAMETOOLONG);
}

TEST_CASE("a root that is /proc has no magic links") {
  Fd root;
  REQUIRE(openRoot("/proc", root) == 0);
  CHECK(openBeneath(root.get(), "self/exe", Links::Inside).error != 0);
  CHECK(openBeneath(root.get(), "self/root/etc/passwd", Links::Inside).error != 0);
}

TEST_CASE("a dependency holds until what it says changes") {
  const Tree tree;
  tree.write("file", "one");
  const FileIdentity before = openBeneath(tree.root.get(), "file", Links::Inside).facts.identity;
  CHECK(dependencyHolds(tree.root.get(), "file", &before));
  CHECK_FALSE(dependencyHolds(tree.root.get(), "file", nullptr));
  CHECK(dependencyHolds(tree.root.get(), "other", nullptr));
  CHECK_FALSE(dependencyHolds(tree.root.get(), "other", &before));
  tree.write("file", "longer");
  CHECK_FALSE(dependencyHolds(tree.root.get(), "file", &before));
  tree.write("other", "");
  CHECK_FALSE(dependencyHolds(tree.root.get(), "other", nullptr));
}

TEST_CASE("a directory moved out of the root and linked to takes its files with it") {
  const Tree tree, elsewhere;
  tree.write("d/file", "one");
  const FileIdentity before = openBeneath(tree.root.get(), "d/file", Links::Inside).facts.identity;
  fs::rename(tree.at / "d", elsewhere.at / "d");
  fs::create_symlink(elsewhere.at / "d", tree.at / "d");
  CHECK_FALSE(dependencyHolds(tree.root.get(), "d/file", &before));
}

TEST_CASE("\"could not find out\" holds for nothing") {
  // The descriptor is no directory: EBADF says nothing about what is there.
  CHECK_FALSE(dependencyHolds(-1, "file", nullptr));
  for (const int error : {EACCES, EPERM, EMFILE, ENFILE, ENOMEM, EIO, EBADF, EAGAIN}) CHECK_FALSE(meansAbsent(error));
}

TEST_CASE("a listing follows links within the root, and leaves out what cannot be asked for") {
  const Tree tree;
  tree.write("d/file", "12345");
  fs::create_symlink("file", tree.at / "d/link");
  fs::create_symlink("/etc/passwd", tree.at / "d/out");
  fs::create_symlink("none", tree.at / "d/dangling");
  tree.write("d/caf\xe9", "");
  const auto names = [&](Links links, size_t limit) {
    std::vector<ListedEntry> entries;
    CHECK(listBeneath(tree.root.get(), "d", links, limit, entries) == 0);
    std::vector<std::string> found;
    for (const auto& entry : entries) {
      CHECK(entry.facts.identity.size == 5);
      found.push_back(entry.name);
    }
    std::sort(found.begin(), found.end());
    return found;
  };
  CHECK(names(Links::Inside, 10) == std::vector<std::string>{"file", "link"});
  CHECK(names(Links::Refuse, 10) == std::vector<std::string>{"file"});
  CHECK(names(Links::Inside, 1).size() == 1);
  std::vector<ListedEntry> entries;
  CHECK(listBeneath(tree.root.get(), "d/file", Links::Inside, 10, entries) == ENOTDIR);
  CHECK(listBeneath(tree.root.get(), "..", Links::Inside, 10, entries) == EXDEV);
}

TEST_CASE("UTF-8 is what RFC 3629 says") {
  const auto good = [](std::string_view text) { return isUtf8(text.data(), text.size()); };
  for (const char* text : {"", "a", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) CHECK(good(text));
  for (const char* text : {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xc2", "\xe2\x82", "\xc2z", "\xe2\x82z", "a\xff"})
    CHECK_FALSE(good(text));
}

TEST_CASE("content is read up to the limit") {
  const Tree tree;
  tree.write("file", std::string(200'000, 'x'));
  const Opened file = openBeneath(tree.root.get(), "file", Links::Inside);
  std::string content;
  CHECK(readWhole(file.fd.get(), 1'000'000, content) == 0);
  CHECK(content.size() == 200'000);
  CHECK(readWhole(file.fd.get(), 70'000, content) == 0);
  CHECK(content.size() == 70'000);
  CHECK(readWhole(-1, 10, content) == EBADF);
}
