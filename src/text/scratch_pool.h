// Memory that encodings work in, kept between calls: one for each thread that encodes at the same
// time, since a word cache is worth more the longer it lives. What it holds never changes a result.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

namespace moescope::text {

// Thread-safe.
template <typename Scratch>
class ScratchPool {
 public:
  template <typename Tables>
  std::unique_ptr<Scratch> Borrow(const Tables& tables) const {
    std::lock_guard lock(mutex_);
    if (idle_.empty()) return std::make_unique<Scratch>(tables);
    std::unique_ptr<Scratch> scratch = std::move(idle_.back());
    idle_.pop_back();
    return scratch;
  }
  // n_bytes: what it holds besides its cache. The memory of one huge text is not kept.
  void Return(std::unique_ptr<Scratch> scratch, size_t n_bytes) const {
    if (n_bytes > (size_t{8} << 20)) return;
    std::lock_guard lock(mutex_);
    idle_.push_back(std::move(scratch));
  }

 private:
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Scratch>> idle_;
};

}  // namespace moescope::text
