#include "store/run_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/error.h"
#include "base/platform/durable_file.h"

namespace moescope::store {
namespace {

struct Holder {
  int64_t pid = 0;
  std::string host;
  std::string start;
};

// What the lock file says; pid 0 when it says nothing readable (its writer died in between).
Holder ReadHolder(int fd) {
  char text[512] = {};
  ssize_t size = pread(fd, text, sizeof(text) - 1, 0);
  Holder holder;
  if (size <= 0) return holder;
  nlohmann::json value = nlohmann::json::parse(text, text + size, nullptr, false);
  if (!value.is_object() || !value.contains("pid") || !value["pid"].is_number_integer() ||
      !value.contains("host") || !value["host"].is_string() || !value.contains("process_start") ||
      !value["process_start"].is_string()) {
    return holder;
  }
  return {value["pid"].get<int64_t>(), value["host"].get<std::string>(),
          value["process_start"].get<std::string>()};
}

[[noreturn]] void ThrowHeld(const std::string& path, const Holder& holder, const char* advice) {
  throw Error(
      ErrorKind::kBadInput,
      fmt::format("cannot write run: {}: expected no other writer, found process {} on {}; {}",
                  path, holder.pid, holder.host.empty() ? "this machine" : holder.host, advice));
}

}  // namespace

std::string HostName() {
  char name[256] = {};
  if (gethostname(name, sizeof(name) - 1) != 0) return "unknown";
  return name;
}

std::string ProcessStart(int64_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string text;
  if (!std::getline(file, text)) return "";
  // Field 22, counted after the command in parentheses, which may hold anything.
  size_t at = text.rfind(')');
  for (int field = 2; field < 22 && at != std::string::npos; ++field) at = text.find(' ', at + 1);
  if (at == std::string::npos) return "";
  return text.substr(at + 1, text.find(' ', at + 1) - at - 1);
}

RunLock::RunLock(const std::string& directory)
    : path_((std::filesystem::path(directory) / kLockName).string()) {
  struct stat opened = {};
  struct stat named = {};
  // A holder that ends removes the file: lock the one that is there now.
  do {
    if (fd_ >= 0) close(fd_);
    fd_ = open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd_ < 0) ThrowErrno(errno, "create", path_);
    if (flock(fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      Holder holder = ReadHolder(fd_);
      close(fd_);
      ThrowHeld(path_, holder, "wait for it or stop it");
    }
  } while (fstat(fd_, &opened) != 0 || stat(path_.c_str(), &named) != 0 ||
           opened.st_ino != named.st_ino);

  Holder holder = ReadHolder(fd_);
  bool ours = holder.host == HostName();
  bool alive = ours && holder.pid != getpid() && !holder.start.empty() &&
               ProcessStart(holder.pid) == holder.start;
  if (holder.pid != 0 && (alive || !ours)) {
    close(fd_);
    ThrowHeld(path_, holder,
              ours ? "wait for it or stop it" : "if it no longer runs there, remove this file");
  }
  nlohmann::ordered_json value = {
      {"pid", getpid()}, {"host", HostName()}, {"process_start", ProcessStart(getpid())}};
  std::string text =
      value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  try {
    if (ftruncate(fd_, 0) != 0) ThrowErrno(errno, "write", path_);
    WriteFully(fd_, AsBytes(text), path_);
  } catch (const Error&) {
    close(fd_);
    throw;
  }
}

RunLock::~RunLock() {
  unlink(path_.c_str());
  close(fd_);
}

}  // namespace moescope::store
