#include "engine/experts/expert_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "engine/experts/transition_table.h"
#include "engine/model/tiny_model.h"

namespace moescope::engine {
namespace {

// A file in memory whose reads can be held back, cut short or made to fail.
class SpoiltFile : public DirectFile {
 public:
  explicit SpoiltFile(const std::string& path) : path_(path) {
    std::ifstream in(path, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(in), {});
  }
  const std::string& path() const override { return path_; }
  size_t ReadSome(uint64_t offset, std::span<std::byte> out) const override {
    EXPECT_EQ(offset % kDirectAlignment, 0u);
    EXPECT_EQ(out.size() % kDirectAlignment, 0u);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(out.data()) % kDirectAlignment, 0u);
    ++n_reads;
    if (fails) throw Error(ErrorKind::kIo, "cannot read: " + path_ + ": spoilt");
    uint64_t n = std::min<uint64_t>(out.size(), bytes_.size() - std::min(offset, bytes_.size()));
    if (short_reads) n = std::min(n, kDirectAlignment + offset % 3 * 100);
    std::memcpy(out.data(), bytes_.data() + offset, n);
    return n;
  }
  FileState State() const override { return {.n_bytes = bytes_.size() + n_written}; }

  mutable std::atomic<int> n_reads{0};
  std::atomic<bool> fails{false}, short_reads{false};
  std::atomic<uint64_t> n_written{0};  // since it was opened

 private:
  std::string path_;
  std::string bytes_;
};

class ExpertCacheTest : public testing::Test {
 protected:
  ExpertCacheTest()
      : path_(WriteTinyModel(OddTinyConfig(), DType::kF32, 7)),
        checkpoint_(files::Checkpoint::Open(path_)),
        layout_(checkpoint_) {}
  ~ExpertCacheTest() override { std::filesystem::remove_all(path_); }

  std::unique_ptr<ExpertCache> MakeCache(int n_slots) {
    auto file = std::make_unique<SpoiltFile>(path_ + "/model.safetensors");
    file_ = file.get();
    ExpertFiles files;
    files.expected.push_back(file->State());
    files.files.push_back(std::move(file));
    return std::make_unique<ExpertCache>(checkpoint_, layout_, std::move(files), n_slots);
  }

  // Whether a slot holds the expert's matrices, byte for byte.
  bool Holds(const std::byte* slot, int cell) const {
    for (const ExpertPiece& piece : layout_.Pieces(cell)) {
      std::vector<std::byte> stored(piece.location->n_bytes);
      checkpoint_.ReadRows(*piece.location, 0, piece.location->n_rows(), stored);
      if (std::memcmp(slot + piece.slot_offset, stored.data(), stored.size()) != 0) return false;
    }
    return true;
  }
  static ErrorKind KindOf(const std::function<void()>& action) {
    try {
      action();
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::kInternal;
  }

  std::string path_;
  files::Checkpoint checkpoint_;
  ExpertLayout layout_;
  SpoiltFile* file_ = nullptr;
};

TEST_F(ExpertCacheTest, GivesTheBytesOfEveryExpertAlsoAfterShortReads) {
  auto cache = MakeCache(2);
  for (bool short_reads : {false, true}) {
    file_->short_reads = short_reads;
    for (int cell = 0; cell < layout_.n_cells(); ++cell) {
      const ExpertLease lease = cache->Acquire(cell);
      EXPECT_TRUE(Holds(lease.Wait(), cell)) << cell;
    }
  }
}

TEST_F(ExpertCacheTest, ReadsAnExpertAgainOnlyOnceItWasEvicted) {
  auto cache = MakeCache(3);
  const uint64_t of_one = layout_.CellBytes(0);
  for (int cell : {0, 1, 2, 0, 1, 2}) cache->Acquire(cell);
  EXPECT_EQ(cache->bytes_read(), 3 * of_one);
  cache->Acquire(3);  // evicts 0, released first
  cache->Acquire(1);
  EXPECT_EQ(cache->bytes_read(), 4 * of_one);
  cache->Acquire(0);
  EXPECT_EQ(cache->bytes_read(), 5 * of_one);
}

TEST_F(ExpertCacheTest, NeverEvictsWhatIsLeasedOrKept) {
  auto cache = MakeCache(3);
  const ExpertLease leased = cache->Acquire(4);
  cache->Keep(5, true);
  cache->Acquire(5);
  for (int cell = 6; cell < layout_.n_cells(); ++cell) cache->Acquire(cell);
  EXPECT_TRUE(Holds(leased.Wait(), 4));
  EXPECT_TRUE(cache->IsPresent(5));
  const ExpertLease third = cache->Acquire(0);
  EXPECT_FALSE(cache->TryReserve(1, true).has_value());
  EXPECT_FALSE(cache->Prefetch(1));
  cache->Keep(5, false);
  EXPECT_TRUE(cache->TryReserve(1, true).has_value());
}

TEST_F(ExpertCacheTest, AFailedReadLeavesTheOthersAndCanBeRepeated) {
  auto cache = MakeCache(3);
  const ExpertLease leased = cache->Acquire(0);
  cache->Acquire(1);
  file_->fails = true;
  EXPECT_EQ(KindOf([&] { cache->Acquire(2); }), ErrorKind::kIo);
  EXPECT_FALSE(cache->IsPresent(2));
  EXPECT_TRUE(cache->IsPresent(1));
  EXPECT_TRUE(Holds(leased.Wait(), 0));
  const int n_reads = file_->n_reads;
  EXPECT_TRUE(Holds(cache->Acquire(1).Wait(), 1));  // from memory
  EXPECT_EQ(file_->n_reads, n_reads);
  file_->fails = false;
  EXPECT_TRUE(Holds(cache->Acquire(2).Wait(), 2));
  // No slot was lost on the way.
  const ExpertLease a = cache->Acquire(3), b = cache->Acquire(4);
  EXPECT_TRUE(Holds(a.Wait(), 3) && Holds(b.Wait(), 4));
}

TEST_F(ExpertCacheTest, AFailedPrefetchIsForgotten) {
  auto cache = MakeCache(2);
  file_->fails = true;
  EXPECT_TRUE(cache->Prefetch(3));
  while (cache->IsPresent(3)) std::this_thread::yield();
  file_->fails = false;
  EXPECT_TRUE(Holds(cache->Acquire(3).Wait(), 3));
}

TEST_F(ExpertCacheTest, AFileWrittenToIsCorrupt) {
  auto cache = MakeCache(2);
  cache->Acquire(0);
  file_->n_written = 1;
  try {
    cache->Acquire(1);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
    EXPECT_NE(std::string(error.what()).find(path_ + "/model.safetensors@"), std::string::npos);
  }
}

TEST_F(ExpertCacheTest, AWithdrawnPrefetchGivesItsSlotBack) {
  auto cache = MakeCache(2);
  for (int round = 0; round < 50; ++round) {
    for (int cell = 0; cell < 8; ++cell) {
      cache->Prefetch(cell);
      cache->Withdraw(cell);
    }
  }
  const ExpertLease a = cache->Acquire(9), b = cache->Acquire(10);
  EXPECT_TRUE(Holds(a.Wait(), 9) && Holds(b.Wait(), 10));
}

TEST_F(ExpertCacheTest, ManyThreadsEachFindWhatTheyAskedFor) {
  auto cache = MakeCache(5);
  std::vector<std::thread> threads;
  std::atomic<int> n_wrong{0}, n_failed{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<uint32_t>(t));
      for (int i = 0; i < 150; ++i) {
        const int cell = static_cast<int>(random() % static_cast<uint32_t>(layout_.n_cells()));
        if (i % 7 == 0) cache->Prefetch((cell + 1) % layout_.n_cells());
        if (t == 0 && i % 50 == 10) file_->fails = true;
        try {
          const ExpertLease lease = cache->Acquire(cell);
          n_wrong += !Holds(lease.Wait(), cell);
        } catch (const Error&) {
          ++n_failed;
        }
        if (t == 0) file_->fails = false;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(n_wrong, 0);
  EXPECT_LT(n_failed, 4 * 150);
}

TEST_F(ExpertCacheTest, OneReadServesAllThatWaitForAnExpert) {
  auto cache = MakeCache(3);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] { EXPECT_TRUE(Holds(cache->Acquire(6).Wait(), 6)); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(cache->bytes_read(), layout_.CellBytes(6));
}

TEST_F(ExpertCacheTest, APieceKeepsItsPlaceInABlock) {
  for (int cell = 0; cell < layout_.n_cells(); ++cell) {
    for (const ExpertPiece& piece : layout_.Pieces(cell)) {
      EXPECT_EQ(piece.slot_offset % kDirectAlignment, piece.location->offset % kDirectAlignment);
      EXPECT_LE(piece.slot_offset + piece.location->n_bytes, layout_.slot_bytes());
    }
  }
}

TEST(TransitionTable, NamesWhatFollowedMostOften) {
  TransitionTable table(2, 5);
  const std::vector<int16_t> from = {1, 3};
  std::vector<int16_t> to(2, -1);
  EXPECT_EQ(table.Predict(0, from, to), 0);
  for (int i = 0; i < 3; ++i) table.Learn(0, from, std::vector<int16_t>{4, 2});
  table.Learn(0, std::vector<int16_t>{1, -1}, std::vector<int16_t>{2, 0});
  EXPECT_EQ(table.Predict(0, from, to), 2);
  EXPECT_EQ(to, (std::vector<int16_t>{2, 4}));
  EXPECT_EQ(table.Predict(0, std::vector<int16_t>{0, 2}, to), 0);
}

}  // namespace
}  // namespace moescope::engine
