#include "engine/experts/expert_reader.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace moescope::engine {
namespace {

// Large enough that a disk delivers its full rate, small enough that one expert occupies all
// threads and that what became urgent does not wait long.
constexpr uint64_t kPartBytes = uint64_t{2} << 20;

uint64_t RoundDown(uint64_t n) {
  return n / kDirectAlignment * kDirectAlignment;
}

}  // namespace

ExpertFiles OpenExpertFiles(const files::Checkpoint& checkpoint) {
  ExpertFiles opened;
  for (size_t i = 0; i < checkpoint.files().size(); ++i) {
    opened.files.push_back(OpenDirectFile(checkpoint.files()[i]));
    opened.expected.push_back(checkpoint.file(static_cast<int>(i)).State());
    if (opened.files.back()->State() == opened.expected.back()) continue;
    throw Error(ErrorKind::kCorrupt, "cannot open model: " + checkpoint.files()[i] +
                                         ": expected the file whose header was read, found another "
                                         "one; was it replaced? run the command again");
  }
  return opened;
}

ExpertReader::ExpertReader(const files::Checkpoint& checkpoint, const ExpertLayout& layout,
                           ExpertFiles files, int n_threads, Done done)
    : checkpoint_(checkpoint), layout_(layout), files_(std::move(files)), done_(std::move(done)) {
  for (int i = 0; i < n_threads; ++i) threads_.emplace_back([this] { Work(); });
}

ExpertReader::~ExpertReader() {
  {
    std::lock_guard lock(mutex_);
    ends_ = true;
    urgent_.clear();
    later_.clear();
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ExpertReader::Begin(int cell, std::byte* slot, bool urgent) {
  auto read = std::make_shared<Read>(Read{.cell = cell, .slot = slot, .error = {}});
  std::vector<Part> parts;
  for (const ExpertPiece& piece : layout_.Pieces(cell)) {
    const files::TensorLocation& at = *piece.location;
    const uint64_t end = at.offset + at.n_bytes;
    // Gathered column by column (column_stride): one part.
    const uint64_t step = at.column_stride != 0 ? at.n_bytes + kDirectAlignment : kPartBytes;
    for (uint64_t begin = at.offset; begin < end;) {
      const uint64_t next = std::min(RoundDown(begin) + step, end);
      parts.push_back({read, &piece, begin, next});
      begin = next;
    }
  }
  read->n_left = static_cast<int>(parts.size());
  {
    std::lock_guard lock(mutex_);
    std::deque<Part>& queue = urgent ? urgent_ : later_;
    queue.insert(queue.end(), parts.begin(), parts.end());
  }
  wake_.notify_all();
}

void ExpertReader::Hurry(int cell) {
  std::lock_guard lock(mutex_);
  const auto rest = std::stable_partition(
      later_.begin(), later_.end(), [cell](const Part& part) { return part.read->cell != cell; });
  urgent_.insert(urgent_.end(), rest, later_.end());
  later_.erase(rest, later_.end());
}

bool ExpertReader::Withdraw(int cell) {
  std::lock_guard lock(mutex_);
  const auto of_cell = [cell](const Part& part) {
    return part.read->cell == cell && part.read->n_begun == 0;
  };
  return std::erase_if(later_, of_cell) + std::erase_if(urgent_, of_cell) > 0;
}

void ExpertReader::ReadPart(const Part& part) {
  const ExpertPiece& piece = *part.piece;
  const files::TensorLocation& at = *piece.location;
  const auto index = static_cast<size_t>(at.file);
  std::byte* to = part.read->slot + piece.slot_offset + (part.begin - at.offset);
  if (at.column_stride != 0) {
    checkpoint_.ReadRows(at, 0, at.n_rows(), {to, at.n_bytes});
    return;
  }
  const uint64_t begin = RoundDown(part.begin);
  const uint64_t blocks =
      (part.end - begin + kDirectAlignment - 1) / kDirectAlignment * kDirectAlignment;
  ReadDirect(*files_.files[index], files_.expected[index], begin, part.end,
             {to - (part.begin - begin), blocks});
}

void ExpertReader::Work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return ends_ || !urgent_.empty() || !later_.empty(); });
    if (ends_) return;
    std::deque<Part>& queue = urgent_.empty() ? later_ : urgent_;
    const Part part = std::move(queue.front());
    queue.pop_front();
    Read& read = *part.read;
    ++read.n_begun;
    std::exception_ptr error = read.error;
    if (!error) {  // of an expert that failed the rest is not read
      lock.unlock();
      try {
        ReadPart(part);
        bytes_read_.fetch_add(part.end - part.begin, std::memory_order_relaxed);
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      if (error && !read.error) read.error = error;
    }
    if (--read.n_left > 0) continue;
    lock.unlock();
    done_(read.cell, read.error);
    lock.lock();
  }
}

}  // namespace moescope::engine
