// Experts that come and go change nothing but speed, and what is counted is what a simulation says.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/generate/session.h"
#include "engine/model/streamed_model.h"
#include "engine/model/sweep.h"
#include "engine/model/tiny_model.h"
#include "routing/cache_policy.h"

namespace moescope::engine {
namespace {

class StreamingTest : public testing::Test {
 protected:
  static constexpr int kExperts = 7, kLayers = 3, kCells = kExperts * kLayers;

  void SetUp() override {
    files::ModelConfig config = OddTinyConfig();  // 3 layers of 7 experts, 3 chosen
    config.experts_per_token = 3;
    path_ = WriteTinyModel(config, DType::kF32, 5);
  }
  void TearDown() override { std::filesystem::remove_all(path_); }

  static std::vector<int32_t> Ids(int n, uint32_t seed = 11) {
    std::mt19937 random(seed);
    std::vector<int32_t> ids;
    for (int i = 0; i < n; ++i) ids.push_back(static_cast<int32_t>(random() % 131));
    return ids;
  }

  // Losses of a wave of sequences of very different lengths.
  static std::vector<float> Losses(const Model& model, int n_threads, int scale = 1) {
    ThreadPool pool(n_threads);
    Sweep sweep(model, SelectKernels(), pool, {.wave_rows = 1024, .max_sequence = 512});
    Wave wave;
    int64_t sequence = 0;
    for (int length : {1, 2, 33, 300}) {
      const std::vector<int32_t> ids = Ids(std::max(1, length / scale), length);
      wave.Add(sequence++, 0, ids);
    }
    sweep.Run(wave, {});
    return {sweep.losses().begin(), sweep.losses().end()};
  }

  static std::vector<float> Decoded(const Model& model, int n_threads, int n_prompt, int n_ids) {
    ThreadPool pool(n_threads);
    Session session(model, SelectKernels(), pool, {.context = 200, .prefill_rows = 16});
    const std::vector<int32_t> ids = Ids(n_ids);
    std::vector<float> logits;
    auto take = [&](std::span<const int32_t> part) {
      const std::span<const float> last = session.Advance(part);
      logits.insert(logits.end(), last.begin(), last.end());
    };
    take(std::span(ids).first(static_cast<size_t>(n_prompt)));
    for (int i = n_prompt; i < n_ids; ++i) take(std::span(ids).subspan(static_cast<size_t>(i), 1));
    return logits;
  }

  static void ExpectSameBits(const std::vector<float>& a, const std::vector<float>& b) {
    ASSERT_EQ(a.size(), b.size());
    EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0);
  }

  std::string path_;
};

TEST_F(StreamingTest, SweepsHaveTheSameBitsWithAnyNumberOfSlots) {
  for (int scale : {1, 30}) {  // many rows an expert, and few
    const std::vector<float> expected = Losses(*Model::Open(path_), 1, scale);
    for (int n_slots : {4, 5, 9, 12, 15}) {
      for (int n_threads : {1, 2, 3}) {
        const auto model = Model::Open(path_, StreamedOptions(path_, n_slots));
        ASSERT_NE(model->weights().experts(), nullptr);
        ASSERT_EQ(model->weights().experts()->cache().n_slots(), n_slots);
        SCOPED_TRACE(std::to_string(n_slots) + " slots, " + std::to_string(n_threads) + " threads");
        ExpectSameBits(Losses(*model, n_threads, scale), expected);
      }
    }
  }
}

TEST_F(StreamingTest, SessionsHaveTheSameBitsWithAnyNumberOfSlotsAndForecast) {
  for (int n_prompt : {1, 3, 70}) {
    const std::vector<float> expected = Decoded(*Model::Open(path_), 1, n_prompt, 90);
    for (ExpertForecast forecast :
         {ExpertForecast::kNone, ExpertForecast::kRouter, ExpertForecast::kTransitions}) {
      for (int n_slots : {4, 6, 11, 15}) {
        for (int n_threads : {1, 2}) {
          const auto model =
              Model::Open(path_, StreamedOptions(path_, n_slots, {.forecast = forecast}));
          SCOPED_TRACE(std::to_string(n_slots) + " slots, prompt " + std::to_string(n_prompt));
          ExpectSameBits(Decoded(*model, n_threads, n_prompt, 90), expected);
        }
      }
    }
  }
}

TEST_F(StreamingTest, AWaveReadsEachExpertOnceAndKeepsAFixedPart) {
  const auto model = Model::Open(path_, StreamedOptions(path_, 9));
  const ExpertSchedule& schedule = *model->weights().experts();
  const uint64_t of_one = model->weights().experts()->cache().layout().CellBytes(0);
  const int n_kept = 9 - schedule.n_spare();
  ASSERT_GT(n_kept, 0);
  Losses(*model, 2);
  EXPECT_EQ(schedule.stats().bytes_read, kCells * of_one);
  EXPECT_EQ(schedule.stats().scan_lookups, kCells);
  for (int wave = 2; wave <= 4; ++wave) {
    const uint64_t before = schedule.stats().bytes_read;
    Losses(*model, 2);
    // What stayed, and what the last wave left in the slots that others pass through.
    const uint64_t read = schedule.stats().bytes_read - before;
    EXPECT_LE(read, static_cast<uint64_t>(kCells - n_kept) * of_one);
    EXPECT_GE(read, static_cast<uint64_t>(kCells - 9) * of_one);
    EXPECT_EQ(schedule.stats().scan_lookups, wave * kCells);
  }
}

// Records what each decoded token chose, in the order in which the engine looks it up.
class RouteRecorder : public routing::Probe {
 public:
  uint32_t sites() const override { return routing::kSiteDecision; }
  void OnDecision(const routing::DecisionBatch& batch) override {
    for (size_t row = 0; row < batch.rows.size(); ++row) {
      std::vector<int32_t> cells;
      for (int slot = 0; slot < batch.experts_per_token; ++slot) {
        const int expert = batch.experts[row * static_cast<size_t>(batch.experts_per_token) +
                                         static_cast<size_t>(slot)];
        cells.push_back(batch.layer * batch.n_experts + expert);
      }
      rows.push_back(cells);
    }
  }
  std::vector<std::vector<int32_t>> rows;
};

TEST_F(StreamingTest, HitsOfASessionAreThoseOfThePolicyOnItsRoutes) {
  for (routing::EvictionRule rule :
       {routing::EvictionRule::kLru, routing::EvictionRule::kLfu, routing::EvictionRule::kFifo}) {
    for (ExpertForecast forecast : {ExpertForecast::kNone, ExpertForecast::kRouter}) {
      for (int n_slots : {4, 8, 14}) {
        const auto model = Model::Open(
            path_, StreamedOptions(path_, n_slots, {.rule = rule, .forecast = forecast}));
        const ExpertSchedule& schedule = *model->weights().experts();
        ThreadPool pool(2);
        Session session(*model, SelectKernels(), pool, {.context = 300});
        session.Advance(Ids(40, 3));  // a prompt does not count
        RouteRecorder recorder;
        routing::Probe* probes[] = {&recorder};
        for (int32_t id : Ids(200)) session.Advance({&id, 1}, probes);

        std::unique_ptr<routing::EvictionOrder> order;
        if (rule == routing::EvictionRule::kLru) {
          order = std::make_unique<routing::LruOrder>(kCells);
        } else if (rule == routing::EvictionRule::kLfu) {
          order = std::make_unique<routing::LfuOrder>(kCells);
        } else {
          order = std::make_unique<routing::FifoOrder>(kCells);
        }
        routing::CachePolicy policy(schedule.policy().capacity(), std::move(order));
        int64_t hits = 0, lookups = 0;
        for (const std::vector<int32_t>& row : recorder.rows) {
          hits += policy.Touch(row);
          lookups += static_cast<int64_t>(row.size());
        }
        const ExpertStats stats = schedule.stats();
        EXPECT_EQ(stats.hits, hits);
        EXPECT_EQ(stats.lookups, lookups);
        EXPECT_EQ(lookups, 200 * kLayers * 3);
        EXPECT_LT(hits, lookups);
        // A token uses 9 cells: what is least recently used is gone before it comes again in 3
        // or 6.
        if (n_slots == 14) {
          EXPECT_GT(hits, 0);
        }
      }
    }
  }
}

// Without forecasts and a prompt, bytes read are the policy's misses, less those whose bytes had
// not been overwritten.
TEST_F(StreamingTest, BytesReadAreTheMissesOfThePolicy) {
  const auto model =
      Model::Open(path_, StreamedOptions(path_, 10, {.forecast = ExpertForecast::kNone}));
  Decoded(*model, 2, 1, 150);
  const ExpertStats stats = model->weights().experts()->stats();
  const uint64_t of_one = model->weights().experts()->cache().layout().CellBytes(0);
  EXPECT_EQ(stats.bytes_read,
            static_cast<uint64_t>(stats.lookups - stats.hits - stats.read_ahead) * of_one);
}

TEST_F(StreamingTest, TheForecastOfTheRouterIsMeasured) {
  const auto model = Model::Open(path_, StreamedOptions(path_, 12));
  Decoded(*model, 1, 1, 120);
  const ExpertStats stats = model->weights().experts()->stats();
  EXPECT_EQ(stats.router_expected, 120 * (kLayers - 1) * 3);
  EXPECT_EQ(stats.transitions_expected, stats.router_expected);
  // At random 3 of 7 would be found; a residual changes little from layer to layer.
  EXPECT_GT(static_cast<double>(stats.router_found),
            0.5 * static_cast<double>(stats.router_expected));
  EXPECT_LE(stats.router_found, stats.router_expected);
}

TEST_F(StreamingTest, AFileCutWhileStreamedIsAnErrorAndMendedItGoesOn) {
  const auto model = Model::Open(path_, StreamedOptions(path_, 5));
  const std::vector<float> before = Losses(*model, 2);
  const std::string file = path_ + "/model.safetensors";
  const auto size = std::filesystem::file_size(file);
  std::filesystem::resize_file(file, size / 2);
  try {
    Losses(*model, 2);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
    EXPECT_NE(std::string(error.what()).find(file + "@"), std::string::npos) << error.what();
  }
}

TEST_F(StreamingTest, AFileWrittenToWhileMappedIsAnErrorAtTheNextStep) {
  const auto model = Model::Open(path_);
  Losses(*model, 2);
  std::ofstream(path_ + "/model.safetensors", std::ios::app) << "more";
  try {
    Losses(*model, 2);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
  }
}

TEST_F(StreamingTest, RefusesAMemoryThatNotEvenATokenFitsIn) {
  try {
    Model::Open(path_, {.memory_bytes = 20000});
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kResource);
    EXPECT_NE(std::string(error.what()).find("needed"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("available 20.0 kB"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace moescope::engine
