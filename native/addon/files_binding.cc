// exports.files: files below a root, on the libuv pool. The rules are engine/beneath.hpp's.
#include <cstring>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "addon/registry.hpp"
#include "engine/beneath.hpp"

namespace socrypt::addon {

namespace {

using engine::Fd;
using engine::FileFacts;
using engine::Links;
using engine::Opened;

// A Node-like error: "ENOENT: No such file or directory, open '/srv'", with code, errno, syscall, path.
Napi::Error errnoError(Napi::Env env, int error, const char* call, const std::string& path) {
  std::string message = std::string(engine::errnoName(error)) + ": " + std::strerror(error) + ", " + call;
  if (!path.empty()) message += " '" + path + "'";
  Napi::Error made = Napi::Error::New(env, message);
  made.Set("code", engine::errnoName(error));
  made.Set("errno", Napi::Number::New(env, -error));
  made.Set("syscall", call);
  if (!path.empty()) made.Set("path", path);
  return made;
}

Napi::Object describe(Napi::Env env, const FileFacts& facts) {
  static constexpr const char* kTypes[] = {"file", "directory", "other"};
  Napi::Object object = Napi::Object::New(env);
  object.Set("dev", Napi::BigInt::New(env, facts.identity.dev));
  object.Set("ino", Napi::BigInt::New(env, facts.identity.ino));
  object.Set("size", Napi::BigInt::New(env, facts.identity.size));
  object.Set("mtimeNs", Napi::BigInt::New(env, facts.identity.mtimeNs));
  object.Set("ctimeNs", Napi::BigInt::New(env, facts.identity.ctimeNs));
  object.Set("type", kTypes[static_cast<size_t>(facts.type())]);
  object.Set("mode", Napi::Number::New(env, facts.mode));
  return object;
}

// A job on the pool that settles a promise.
class Job : public Napi::AsyncWorker {
 public:
  explicit Job(Napi::Env env) : Napi::AsyncWorker(env, "socrypt.files"), deferred_(Napi::Promise::Deferred::New(env)) {}
  [[nodiscard]] Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }
  Napi::Promise::Deferred deferred_;
};

class OpenJob final : public Job {
 public:
  OpenJob(Napi::Env env, int root, std::vector<std::string> paths, bool stopAtFirst, Links links)
      : Job(env), root_(root), paths_(std::move(paths)), stopAtFirst_(stopAtFirst), links_(links) {
    opened_.reserve(paths_.size());
  }
  void Execute() override {
    for (const std::string& path : paths_) {
      if (path.find('\0') != std::string::npos) {
        opened_.emplace_back().error = EINVAL;
        continue;
      }
      opened_.push_back(engine::openBeneath(root_, path.c_str(), links_));
      if (stopAtFirst_ && opened_.back().fd.open()) break;
    }
  }
  void OnOK() override {
    Napi::Env env = Env();
    Napi::Array results = Napi::Array::New(env, paths_.size());
    for (uint32_t i = 0; i < opened_.size(); ++i) {
      Opened& opened = opened_[i];
      if (opened.error != 0) {
        results.Set(i, Napi::String::New(env, engine::errnoName(opened.error)));
        continue;
      }
      Napi::Object object = describe(env, opened.facts);
      object.Set("fd", Napi::Number::New(env, opened.fd.release()));
      results.Set(i, object);
    }
    for (uint32_t i = static_cast<uint32_t>(opened_.size()); i < paths_.size(); ++i) results.Set(i, env.Undefined());
    deferred_.Resolve(results);
  }

 private:
  int root_;
  std::vector<std::string> paths_;
  bool stopAtFirst_;
  Links links_;
  std::vector<Opened> opened_;
};

class StatJob final : public Job {
 public:
  StatJob(Napi::Env env, int root, std::vector<std::string> paths) : Job(env), root_(root), paths_(std::move(paths)) {}
  void Execute() override {
    results_.resize(paths_.size());
    for (size_t i = 0; i < paths_.size(); ++i) {
      results_[i].error = paths_[i].find('\0') != std::string::npos
                              ? EINVAL
                              : engine::statBeneath(root_, paths_[i].c_str(), Links::Inside, results_[i].facts);
    }
  }
  void OnOK() override {
    Napi::Env env = Env();
    Napi::Array results = Napi::Array::New(env, results_.size());
    for (uint32_t i = 0; i < results_.size(); ++i) {
      if (results_[i].error == 0) results.Set(i, describe(env, results_[i].facts));
      else results.Set(i, Napi::String::New(env, engine::errnoName(results_[i].error)));
    }
    deferred_.Resolve(results);
  }

 private:
  struct Result {
    int error = 0;
    FileFacts facts;
  };
  int root_;
  std::vector<std::string> paths_;
  std::vector<Result> results_;
};

class ListJob final : public Job {
 public:
  ListJob(Napi::Env env, int root, std::string path, size_t limit, Links links)
      : Job(env), root_(root), path_(std::move(path)), limit_(limit), links_(links) {}
  void Execute() override {
    error_ = path_.find('\0') != std::string::npos ? EINVAL : engine::listBeneath(root_, path_.c_str(), links_, limit_, entries_);
  }
  void OnOK() override {
    Napi::Env env = Env();
    if (error_ != 0) return deferred_.Reject(errnoError(env, error_, "list", path_).Value());
    Napi::Array results = Napi::Array::New(env, entries_.size());
    for (uint32_t i = 0; i < entries_.size(); ++i) {
      Napi::HandleScope scope(env);
      Napi::Object object = describe(env, entries_[i].facts);
      object.Set("name", Napi::String::New(env, entries_[i].name));
      results.Set(i, object);
    }
    deferred_.Resolve(results);
  }

 private:
  int root_;
  std::string path_;
  size_t limit_;
  Links links_;
  int error_ = 0;
  std::vector<engine::ListedEntry> entries_;
};

class ReadJob final : public Job {
 public:
  ReadJob(Napi::Env env, int fd, size_t limit) : Job(env), fd_(fd), limit_(limit) {}
  void Execute() override { error_ = engine::readWhole(fd_, limit_, content_); }
  void OnOK() override {
    Napi::Env env = Env();
    if (error_ != 0) return deferred_.Reject(errnoError(env, error_, "read", "").Value());
    Napi::Uint8Array bytes = Napi::Uint8Array::New(env, content_.size());
    if (!content_.empty()) std::memcpy(bytes.Data(), content_.data(), content_.size());
    deferred_.Resolve(bytes);
  }

 private:
  int fd_;
  size_t limit_;
  int error_ = 0;
  std::string content_;
};

bool expect(const Napi::CallbackInfo& info, bool good, const char* shape) {
  if (!good) Napi::TypeError::New(info.Env(), std::string("expected ") + shape).ThrowAsJavaScriptException();
  return good;
}

bool readPaths(const Napi::CallbackInfo& info, std::vector<std::string>& paths) {
  const Napi::Array array = info[1].As<Napi::Array>();
  paths.reserve(array.Length());
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::Value value = array.Get(i);
    if (!expect(info, value.IsString(), "an array of strings")) return false;
    paths.push_back(value.As<Napi::String>().Utf8Value());
  }
  return true;
}

int intAt(const Napi::CallbackInfo& info, size_t index) { return info[index].As<Napi::Number>().Int32Value(); }

size_t sizeAt(const Napi::CallbackInfo& info, size_t index) {
  const double number = info[index].As<Napi::Number>().DoubleValue();
  return number > 0 ? static_cast<size_t>(number) : 0;
}

Links linksAt(const Napi::CallbackInfo& info, size_t index) {
  return info[index].ToBoolean().Value() ? Links::Refuse : Links::Inside;
}

Napi::Value openRoot(const Napi::CallbackInfo& info) {
  if (!expect(info, info[0].IsString(), "openRoot(path: string)")) return info.Env().Undefined();
  const std::string path = info[0].As<Napi::String>().Utf8Value();
  Fd root;
  const int error = path.find('\0') != std::string::npos ? EINVAL : engine::openRoot(path.c_str(), root);
  if (error != 0) {
    errnoError(info.Env(), error, "open", path).ThrowAsJavaScriptException();
    return info.Env().Undefined();
  }
  return Napi::Number::New(info.Env(), root.release());
}

Napi::Value duplicate(const Napi::CallbackInfo& info) {
  if (!expect(info, info[0].IsNumber(), "duplicate(fd: number)")) return info.Env().Undefined();
  const int copy = ::fcntl(intAt(info, 0), F_DUPFD_CLOEXEC, 3);
  if (copy < 0) {
    errnoError(info.Env(), errno, "dup", "").ThrowAsJavaScriptException();
    return info.Env().Undefined();
  }
  return Napi::Number::New(info.Env(), copy);
}

// peerUser(fd): the user at the other end of a Unix socket, as the kernel noted it at connect(2).
Napi::Value peerUser(const Napi::CallbackInfo& info) {
  if (!expect(info, info[0].IsNumber(), "peerUser(fd: number)")) return info.Env().Undefined();
  ucred peer{};
  socklen_t length = sizeof peer;
  if (::getsockopt(intAt(info, 0), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) {
    errnoError(info.Env(), errno, "getsockopt(SO_PEERCRED)", "").ThrowAsJavaScriptException();
    return info.Env().Undefined();
  }
  return Napi::Number::New(info.Env(), peer.uid);
}

void closeFd(const Napi::CallbackInfo& info) {
  // A negative number names no file; it must not reach close(2) and hide a mistake as EBADF.
  if (!expect(info, info[0].IsNumber() && intAt(info, 0) >= 0, "close(fd: number), fd >= 0")) return;
  if (::close(intAt(info, 0)) != 0 && errno == EBADF) errnoError(info.Env(), EBADF, "close", "").ThrowAsJavaScriptException();
}

Napi::Value openBeneath(const Napi::CallbackInfo& info) {
  std::vector<std::string> paths;
  if (!expect(info, info[0].IsNumber() && info[1].IsArray(), "openBeneath(root: number, paths: string[], …)") ||
      !readPaths(info, paths)) {
    return info.Env().Undefined();
  }
  auto* job = new OpenJob(info.Env(), intAt(info, 0), std::move(paths), info[2].ToBoolean().Value(), linksAt(info, 3));
  job->Queue();  // deletes itself when it is done
  return job->promise();
}

Napi::Value statBeneath(const Napi::CallbackInfo& info) {
  std::vector<std::string> paths;
  if (!expect(info, info[0].IsNumber() && info[1].IsArray(), "statBeneath(root: number, paths: string[])") ||
      !readPaths(info, paths)) {
    return info.Env().Undefined();
  }
  auto* job = new StatJob(info.Env(), intAt(info, 0), std::move(paths));
  job->Queue();
  return job->promise();
}

Napi::Value list(const Napi::CallbackInfo& info) {
  if (!expect(info, info[0].IsNumber() && info[1].IsString() && info[2].IsNumber(), "list(root: number, path: string, limit: number)")) {
    return info.Env().Undefined();
  }
  auto* job = new ListJob(info.Env(), intAt(info, 0), info[1].As<Napi::String>().Utf8Value(), sizeAt(info, 2), linksAt(info, 3));
  job->Queue();
  return job->promise();
}

Napi::Value read(const Napi::CallbackInfo& info) {
  if (!expect(info, info[0].IsNumber() && info[1].IsNumber(), "read(fd: number, limit: number)")) return info.Env().Undefined();
  auto* job = new ReadJob(info.Env(), intAt(info, 0), sizeAt(info, 1));
  job->Queue();
  return job->promise();
}

const Registration registration{[](Napi::Env env, Napi::Object exports) {
  Napi::Object files = Napi::Object::New(env);
  files.Set("openRoot", Napi::Function::New(env, openRoot, "openRoot"));
  files.Set("duplicate", Napi::Function::New(env, duplicate, "duplicate"));
  files.Set("peerUser", Napi::Function::New(env, peerUser, "peerUser"));
  files.Set("close", Napi::Function::New(env, closeFd, "close"));
  files.Set("openBeneath", Napi::Function::New(env, openBeneath, "openBeneath"));
  files.Set("statBeneath", Napi::Function::New(env, statBeneath, "statBeneath"));
  files.Set("list", Napi::Function::New(env, list, "list"));
  files.Set("read", Napi::Function::New(env, read, "read"));
  exports.Set("files", files);
}};

}  // namespace

}  // namespace socrypt::addon
