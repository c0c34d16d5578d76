// Reads experts into slots with several reads in flight: a few threads that take pieces of them
// from two queues, what is waited for first, what may be needed later second.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/platform/direct_file.h"
#include "engine/experts/expert_layout.h"

namespace moescope::engine {

// The files that experts are read from; tests give their own.
struct ExpertFiles {
  std::vector<std::unique_ptr<DirectFile>> files;  // one for each of the checkpoint's
  std::vector<FileState> expected;                 // in which their headers were checked
};
// Throws as OpenDirectFile, and Error(kCorrupt) when a name now stands for another file than the
// one the checkpoint was read from.
ExpertFiles OpenExpertFiles(const files::Checkpoint& checkpoint);

// Thread-safe.
class ExpertReader {
 public:
  // Called once for each expert that was begun and not withdrawn, on one of the reader's threads,
  // with what went wrong, if anything.
  using Done = std::function<void(int cell, std::exception_ptr error)>;

  // checkpoint, layout must outlive the reader. Begins n_threads threads.
  ExpertReader(const files::Checkpoint& checkpoint, const ExpertLayout& layout, ExpertFiles files,
               int n_threads, Done done);
  // Forgets what has not begun and waits for the reads in flight.
  ~ExpertReader();
  ExpertReader(const ExpertReader&) = delete;
  ExpertReader& operator=(const ExpertReader&) = delete;

  // Reads an expert into `slot`, which is aligned to kDirectAlignment and has the layout's size.
  // Requires: no read of this cell is in flight.
  void Begin(int cell, std::byte* slot, bool urgent);
  // Puts what is left of it before everything that is not urgent.
  void Hurry(int cell);
  // Takes it back if no part of it has begun: true, and Done is not called for it.
  bool Withdraw(int cell);

  // Bytes of weights that reads have delivered.
  uint64_t bytes_read() const { return bytes_read_.load(std::memory_order_relaxed); }

 private:
  struct Read {  // of a whole expert
    int cell = 0;
    std::byte* slot = nullptr;
    int n_left = 0;  // parts that have not ended
    int n_begun = 0;
    std::exception_ptr error;
  };
  struct Part {  // blocks of one piece
    std::shared_ptr<Read> read;
    const ExpertPiece* piece = nullptr;
    uint64_t begin = 0, end = 0;  // in the file
  };
  void Work();
  void ReadPart(const Part& part);

  const files::Checkpoint& checkpoint_;
  const ExpertLayout& layout_;
  const ExpertFiles files_;
  const Done done_;
  std::atomic<uint64_t> bytes_read_{0};

  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::deque<Part> urgent_, later_;
  bool ends_ = false;

  std::vector<std::thread> threads_;
};

}  // namespace moescope::engine
