// Speed of attention over a long context, one thread, a layer of Mixtral's shape: a decoded token
// (4 query heads a key-value head) as a share of what one thread reads of memory, a block of 32
// prompt tokens as a share of the level's fused-multiply-add peak. Answers are checked against
// double. Time is processor time of the thread.
//   attention_bench [positions, default 8192]
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "base/error.h"
#include "base/function_ref.h"
#include "base/tensor/convert_rows.h"
#include "engine/kernels/kernel_table.h"
#include "engine/model/kv_cache.h"
#include "engine/ops/attention.h"

namespace moescope::engine {
namespace {

constexpr int kLayers = 6;  // so that one has left the caches when its turn comes again
constexpr int kKvHeads = 8, kGroup = 4, kDim = 128;

double ProcessorSeconds() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// The middle one of several runs.
double MedianSeconds(FunctionRef<void()> work) {
  std::vector<double> seconds;
  for (int run = 0; run < 7; ++run) {
    const double start = ProcessorSeconds();
    work();
    seconds.push_back(ProcessorSeconds() - start);
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

files::ModelConfig Config() {
  files::ModelConfig config;
  config.n_layers = kLayers;
  config.n_kv_heads = kKvHeads;
  config.n_heads = kKvHeads * kGroup;
  config.head_dim = kDim;
  return config;
}

// A full cache of random numbers, and the same numbers as floats for the check.
class Cache {
 public:
  Cache(int n_positions, DType type)
      : n_positions_(n_positions), cache_(Config(), n_positions, type) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    std::vector<float> row(kDim);
    const int64_t row_bytes = cache_.row_bytes();
    for (int head = 0; head < kKvHeads; ++head) {
      for (int64_t position = 0; position < n_positions; ++position) {
        for (bool keys : {true, false}) {
          for (float& value : row) value = normal(random);
          if (keys && type == DType::kF32) {
            for (int dim = 0; dim < kDim; ++dim) {
              *Key(head, dim, position) = row[static_cast<size_t>(dim)];
            }
            continue;
          }
          std::byte* of_head = keys ? cache_.Keys(0, head) : cache_.Values(0, head);
          QuantiseRow(type, row, of_head + position * row_bytes);
        }
      }
    }
    for (int layer = 1; layer < kLayers; ++layer) CopyFirst(layer);
  }

  AttentionBlock Block(int layer, int head, int n_queries, float* queries) const {
    AttentionBlock block = {.queries = queries,
                            .query_stride = kGroup * kDim,
                            .first_position = static_cast<int>(n_positions_) - n_queries,
                            .n_queries = n_queries,
                            .n_heads = kGroup,
                            .head_dim = kDim,
                            .type = cache_.type()};
    block.stored_keys = cache_.Keys(layer, head);
    block.stored_values = cache_.Values(layer, head);
    if (cache_.type() == DType::kF32) {
      block.keys = cache_.TransposedKeys(layer, head);
      block.tile_stride = static_cast<size_t>(cache_.tile_stride());
      block.key_stride = static_cast<size_t>(cache_.key_stride());
      block.values = reinterpret_cast<const float*>(cache_.Values(layer, head));
      block.value_stride = kDim;
    }
    return block;
  }
  double LayerBytes() const {
    return static_cast<double>(KvCache::BytesOfPosition(Config(), cache_.type())) / kLayers *
           n_positions_;
  }
  // Head 0 of layer 0, key or value of a position.
  void Row(bool keys, int64_t position, std::vector<float>& row) const {
    if (keys && cache_.type() == DType::kF32) {
      for (int dim = 0; dim < kDim; ++dim) {
        row[static_cast<size_t>(dim)] = *Key(0, dim, position);
      }
      return;
    }
    const std::byte* of_head = keys ? cache_.Keys(0, 0) : cache_.Values(0, 0);
    DequantiseRow(cache_.type(), of_head + position * cache_.row_bytes(), row);
  }

 private:
  float* Key(int64_t head, int64_t dim, int64_t position) const {
    return cache_.TransposedKeys(0, head) + position / kTileKeys * cache_.tile_stride() +
           dim * cache_.key_stride() + position % kTileKeys;
  }
  void CopyFirst(int layer) const {
    const auto copy = [](const void* from, const void* end, void* to) {
      std::memcpy(
          to, from,
          static_cast<size_t>(static_cast<const char*>(end) - static_cast<const char*>(from)));
    };
    copy(cache_.Values(0, 0), cache_.Values(0, kKvHeads), cache_.Values(layer, 0));
    if (cache_.type() == DType::kF32) {
      copy(cache_.TransposedKeys(0, 0), cache_.TransposedKeys(0, kKvHeads),
           cache_.TransposedKeys(layer, 0));
    } else {
      copy(cache_.Keys(0, 0), cache_.Keys(0, kKvHeads), cache_.Keys(layer, 0));
    }
  }
  int64_t n_positions_;
  KvCache cache_;
};

std::vector<float> Queries(int n) {
  std::mt19937 random(2);
  std::normal_distribution<float> normal(0, 0.1f);
  std::vector<float> queries(static_cast<size_t>(n) * kGroup * kDim);
  for (float& value : queries) value = normal(random);
  return queries;
}

// The last query of head 0, layer 0.
void Check(const Cache& cache, int n_positions, const float* query, const float* found) {
  std::vector<float> row(kDim);
  std::vector<double> expected(kDim);
  double sum = 0;
  for (int64_t key = 0; key < n_positions; ++key) {
    cache.Row(true, key, row);
    double score = 0;
    for (size_t dim = 0; dim < kDim; ++dim) score += double{query[dim]} * row[dim];
    cache.Row(false, key, row);
    for (size_t dim = 0; dim < kDim; ++dim) expected[dim] += std::exp(score) * row[dim];
    sum += std::exp(score);
  }
  for (size_t dim = 0; dim < kDim; ++dim) {
    if (std::abs(found[dim] - expected[dim] / sum) < 1e-5) continue;
    throw Error(ErrorKind::kInternal, "attention_bench: attention is wrong");
  }
}

double ReadGbPerS() {
  const std::vector<uint64_t> memory(64 << 20, 1);  // 512 MB
  uint64_t sum = 0;
  const double seconds = MedianSeconds([&] {
    for (size_t i = 0; i < memory.size(); i += 8) sum += memory[i];
  });
  if (sum == 0) fmt::print("\n");  // the loop must not be left out
  return static_cast<double>(memory.size() * sizeof(uint64_t)) / seconds / 1e9;
}

void Run(int n_positions) {
  const KernelTable& kernels = SelectKernels();
  const double read = ReadGbPerS();
  double peak = 0;
  for (int run = 0; run < 5; ++run) {
    const double start = ProcessorSeconds();
    const double flops = kernels.fma_peak(10'000'000);
    peak = std::max(peak, flops / (ProcessorSeconds() - start) / 1e9);
  }
  fmt::print("{}, one thread: reads {:.1f} GB/s, {:.0f} GFLOPS; {} positions\n",
             Name(kernels.level), read, peak, n_positions);
  std::vector<float> scratch(AttentionFloats(kQueryBlock, n_positions, kDim));
  for (DType type : {DType::kF32, DType::kF16, DType::kQ8_0}) {
    const Cache cache(n_positions, type);
    for (int n_queries : {1, kQueryBlock}) {
      const std::vector<float> queries = Queries(n_queries);
      std::vector<float> out(queries);
      int layer = 0;
      const double seconds = MedianSeconds([&] {
        for (int head = 0; head < kKvHeads; ++head) {
          out = queries;
          Attend(kernels, cache.Block(layer % kLayers, head, n_queries, out.data()),
                 scratch.data());
        }
        ++layer;
      });
      out = queries;
      Attend(kernels, cache.Block(0, 0, n_queries, out.data()), scratch.data());
      const size_t last = static_cast<size_t>(n_queries - 1) * kGroup * kDim;
      Check(cache, n_positions, &queries[last], &out[last]);
      const double gb_per_s = cache.LayerBytes() / seconds / 1e9;
      const double gflops =
          4.0 * kKvHeads * kGroup * kDim * n_queries * n_positions / seconds / 1e9;
      fmt::print(
          "{:<5} {:>3} queries {:>8.3f} ms  {:>6.1f} GB/s ({:>3.0f} %) {:>7.1f} GFLOPS ({:.0f} "
          "%)\n",
          Name(type), n_queries, seconds * 1e3, gb_per_s, 100 * gb_per_s / read, gflops,
          100 * gflops / peak);
    }
  }
}

}  // namespace
}  // namespace moescope::engine

int main(int argc, char** argv) {
  moescope::engine::Run(argc > 1 ? std::atoi(argv[1]) : 8192);
}
