#include "base/platform/child_process.h"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>

#include "base/error.h"

namespace moescope {
namespace {

struct CloseFile {
  void operator()(FILE* file) const { std::fclose(file); }
};
using Scratch = std::unique_ptr<FILE, CloseFile>;

Scratch MakeScratch() {
  Scratch file(std::tmpfile());
  if (file == nullptr) ThrowErrno(errno, "create", "a temporary file");
  return file;
}

std::string ReadAll(FILE* file) {
  std::rewind(file);
  std::string text;
  char block[1 << 14];
  for (size_t n = 0; (n = std::fread(block, 1, sizeof(block), file)) > 0;) text.append(block, n);
  if (std::ferror(file) != 0) ThrowErrno(errno, "read", "a temporary file");
  return text;
}

// Standard input, output and error of a child.
class Streams {
 public:
  explicit Streams(std::string_view input) {
    if (std::fwrite(input.data(), 1, input.size(), in_.get()) != input.size() ||
        std::fflush(in_.get()) != 0) {
      ThrowErrno(errno, "write", "a temporary file");
    }
    std::rewind(in_.get());
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_adddup2(&actions_, fileno(in_.get()), STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions_, fileno(out_.get()), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions_, fileno(error_.get()), STDERR_FILENO);
  }
  ~Streams() { posix_spawn_file_actions_destroy(&actions_); }
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;

  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  FILE* out() const { return out_.get(); }
  FILE* error() const { return error_.get(); }

 private:
  Scratch in_ = MakeScratch(), out_ = MakeScratch(), error_ = MakeScratch();
  posix_spawn_file_actions_t actions_;
};

int WaitFor(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) ThrowErrno(errno, "wait for", "a child process");
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

ChildResult RunChild(const std::vector<std::string>& command, std::string_view input) {
  MOESCOPE_CHECK(!command.empty());
  const Streams streams(input);
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  pid_t child = 0;
  const int failure =
      posix_spawnp(&child, arguments[0], streams.actions(), nullptr, arguments.data(), environ);
  if (failure == ENOENT) {
    throw Error(ErrorKind::kNotFound, fmt::format("cannot run {}: no such program", command[0]));
  }
  if (failure != 0) ThrowErrno(failure, "run", command[0]);
  ChildResult result;
  result.exit_code = WaitFor(child);
  result.output = ReadAll(streams.out());
  result.message = ReadAll(streams.error());
  return result;
}

}  // namespace moescope
