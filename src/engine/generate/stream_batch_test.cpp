#include "engine/generate/stream_batch.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/generate/counted_allocations.h"
#include "engine/generate/session.h"
#include "engine/model/tiny_model.h"

namespace moescope::engine {
namespace {

using Ids = std::vector<int32_t>;
using Logits = std::vector<float>;

Ids RandomIds(int n, int vocab_size, uint32_t seed) {
  std::mt19937 random(seed);
  Ids ids;
  for (int i = 0; i < n; ++i) ids.push_back(static_cast<int32_t>(random() % vocab_size));
  return ids;
}

std::string DemoModel() {
  const char* root = std::getenv("MOESCOPE_SOURCE_DIR");
  return (std::filesystem::path(root != nullptr ? root : ".") / "demo/demo-mixtral-Q8_0.gguf")
      .string();
}

// Steps until nothing waits; returns the number of rows run.
int64_t RunAll(StreamBatch& batch) {
  int64_t n_rows = 0;
  while (const int64_t n = batch.Step()) n_rows += n;
  return n_rows;
}

Logits Copy(std::span<const float> logits) {
  return {logits.begin(), logits.end()};
}

constexpr int kDecoded = 4;

// A prompt and what follows it, and when it joins the batch.
struct Script {
  Ids prompt, rest;
  int joins_at = 0;
};

std::vector<Script> Scripts(int n, int vocab_size) {
  std::vector<Script> scripts;
  for (int i = 0; i < n; ++i) {
    const int n_prompt = 1 + i * 7 % 37;
    scripts.push_back({RandomIds(n_prompt, vocab_size, static_cast<uint32_t>(i)),
                       RandomIds(kDecoded, vocab_size, static_cast<uint32_t>(i) + 1000), i % 4});
  }
  return scripts;
}

struct Numbers {
  Precision precision = Precision::kExact;
  DType kv = DType::kF32;
};
constexpr Numbers kAllNumbers[] = {{Precision::kExact, DType::kF32},
                                   {Precision::kFast, DType::kF32},
                                   {Precision::kFast, DType::kF16},
                                   {Precision::kFast, DType::kQ8_0}};

// Logits after the prompt and after each token of the rest, by a session of its own.
Logits Alone(const Model& model, const KernelTable& kernels, Numbers numbers,
             const Script& script) {
  ThreadPool pool(1);
  Session session(model, kernels, pool,
                  {.context = 64, .precision = numbers.precision, .kv = numbers.kv});
  Logits all = Copy(session.Advance(script.prompt));
  for (const int32_t& id : script.rest) {
    const std::span<const float> logits = session.Advance({&id, 1});
    all.insert(all.end(), logits.begin(), logits.end());
  }
  return all;
}

// The same by a batch in which the others join, go on and end as their scripts say.
std::vector<Logits> Together(const Model& model, const KernelTable& kernels, Numbers numbers,
                             const std::vector<Script>& scripts, int n_threads, int wave_rows) {
  ThreadPool pool(n_threads);
  const auto n = scripts.size();
  StreamBatch batch(model, kernels, pool,
                    {.max_streams = static_cast<int>(n),
                     .context = 64,
                     .wave_rows = wave_rows,
                     .precision = numbers.precision,
                     .kv = numbers.kv});
  std::vector<Logits> all(n);
  std::vector<int> stream(n, -1);
  std::vector<size_t> n_appended(n, 0);
  for (int step = 0;; ++step) {
    for (size_t i = 0; i < n; ++i) {
      if (scripts[i].joins_at == step) stream[i] = batch.Add(scripts[i].prompt);
    }
    if (batch.Step() == 0 && step > 4) return all;
    for (size_t i = 0; i < n; ++i) {
      if (stream[i] < 0 || !batch.HasLogits(stream[i])) continue;
      const std::span<const float> logits = batch.Logits(stream[i]);
      all[i].insert(all[i].end(), logits.begin(), logits.end());
      if (n_appended[i] == scripts[i].rest.size()) {
        batch.Remove(stream[i]);
        stream[i] = -1;
      } else {
        batch.Append(stream[i], std::span(scripts[i].rest).subspan(n_appended[i]++, 1));
      }
    }
  }
}

TEST(StreamBatch, GivesEveryStreamTheBitsItHasAlone) {
  const auto model = Model::Open(DemoModel());
  for (KernelLevel level : {KernelLevel::kScalar, KernelLevel::kAvx2, KernelLevel::kAvx512}) {
    const KernelTable* kernels = KernelsFor(level);
    if (kernels == nullptr) continue;
    const bool slow = level == KernelLevel::kScalar;
    const std::vector<Script> scripts = Scripts(slow ? 8 : 32, model->config().vocab_size);
    for (const Numbers& numbers : kAllNumbers) {
      std::vector<Logits> expected;
      for (const Script& script : scripts) {
        expected.push_back(Alone(*model, *kernels, numbers, script));
      }
      for (int n_threads : slow ? std::vector<int>{3} : std::vector<int>{1, 2, 3, 16}) {
        for (int wave_rows : {40, 512}) {
          EXPECT_TRUE(Together(*model, *kernels, numbers, scripts, n_threads, wave_rows) ==
                      expected)
              << Name(level) << ", " << Name(numbers.precision) << ", " << Name(numbers.kv)
              << ", threads " << n_threads << ", rows " << wave_rows;
        }
      }
    }
  }
}

// The rest with a small model whose sizes divide nothing evenly.
class StreamBatchTest : public testing::Test {
 protected:
  void SetUp() override {
    files::ModelConfig config = OddTinyConfig();
    config.context = 512;
    path_ = WriteTinyModel(config, DType::kBF16, 5);
    model_ = Model::Open(path_);
  }
  void TearDown() override { std::filesystem::remove_all(path_); }

  Ids Random(int n, uint32_t seed) const { return RandomIds(n, model_->config().vocab_size, seed); }
  Logits AfterAlone(const Ids& ids) {
    ThreadPool pool(1);
    Session session(*model_, SelectKernels(), pool, {.context = 512});
    return Copy(session.Advance(ids));
  }
  StreamBatch Batch(int max_streams, int context, int wave_rows = 512) {
    return {*model_,
            SelectKernels(),
            pool_,
            {.max_streams = max_streams, .context = context, .wave_rows = wave_rows}};
  }

  std::string path_;
  std::unique_ptr<Model> model_;
  ThreadPool pool_{2};
};

Ids Joined(Ids a, const Ids& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST_F(StreamBatchTest, CopiesWhatAnotherStreamHasRunOfAPrompt) {
  const Ids prefix = Random(100, 1);
  const Ids a = Joined(prefix, Random(20, 2)), b = Joined(prefix, Random(30, 3));
  StreamBatch batch = Batch(3, 200);
  const int of_a = batch.Add(a);
  EXPECT_EQ(RunAll(batch), 120);
  const int of_b = batch.Add(b);
  EXPECT_EQ(batch.Step(), 30);
  EXPECT_EQ(Copy(batch.Logits(of_b)), AfterAlone(b));
  // A whole prompt again: only its last token is run.
  const int again = batch.Add(a);
  EXPECT_EQ(batch.Step(), 1);
  EXPECT_EQ(Copy(batch.Logits(again)), AfterAlone(a));
  EXPECT_EQ(batch.n_copied(), 100 + 119);
  // The copy is its own: the streams go different ways.
  const Ids more = Random(4, 4), other = Random(4, 5);
  batch.Append(of_a, more);
  batch.Append(again, other);
  EXPECT_EQ(batch.Step(), 8);
  EXPECT_EQ(Copy(batch.Logits(of_a)), AfterAlone(Joined(a, more)));
  EXPECT_EQ(Copy(batch.Logits(again)), AfterAlone(Joined(a, other)));
}

TEST_F(StreamBatchTest, CopiesKeysAndValuesOfEveryType) {
  const auto demo = Model::Open(DemoModel());
  const Ids prompt = RandomIds(70, demo->config().vocab_size, 1);
  for (DType kv : {DType::kF32, DType::kF16, DType::kQ8_0}) {
    const StreamBatchOptions options = {
        .max_streams = 2, .context = 100, .precision = Precision::kFast, .kv = kv};
    StreamBatch batch(*demo, SelectKernels(), pool_, options);
    const int first = batch.Add(prompt);
    batch.Step();
    const Logits expected = Copy(batch.Logits(first));
    const int second = batch.Add(prompt);
    EXPECT_EQ(batch.Step(), 1);
    EXPECT_EQ(Copy(batch.Logits(second)), expected) << Name(kv);
  }
}

TEST_F(StreamBatchTest, RefusesTypesOfKeysThatDoNotFit) {
  const auto refused = [&](const Model& model, Precision precision, DType kv, ErrorKind kind) {
    try {
      StreamBatch(model, SelectKernels(), pool_, {.context = 10, .precision = precision, .kv = kv});
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
    }
  };
  refused(*model_, Precision::kExact, DType::kF16, ErrorKind::kBadInput);
  ASSERT_NE(model_->config().head_dim % 32, 0);
  refused(*model_, Precision::kFast, DType::kQ8_0, ErrorKind::kUnsupported);
}

TEST(KvCache, CountsTheBytesOfItsType) {
  const auto demo = Model::Open(DemoModel());  // 8 layers, 2 heads of 32 dimensions
  EXPECT_EQ(KvCache::BytesOfPosition(demo->config(), DType::kF32), 8 * 2 * 2 * 128);
  EXPECT_EQ(KvCache::BytesOfPosition(demo->config(), DType::kF16), 8 * 2 * 2 * 64);
  EXPECT_EQ(KvCache::BytesOfPosition(demo->config(), DType::kQ8_0), 8 * 2 * 2 * 34);
  EXPECT_EQ(KvCache::Bytes(demo->config(), 1000, DType::kQ8_0), 1000 * 8 * 2 * 2 * 34);
}

TEST_F(StreamBatchTest, RunsASharedPromptOnceWhenStreamsArriveTogether) {
  const Ids prefix = Random(100, 1);
  StreamBatch batch = Batch(8, 200, /*wave_rows=*/64);
  std::vector<Ids> prompts;
  std::vector<int> streams;
  for (uint32_t i = 0; i < 8; ++i) {
    prompts.push_back(Joined(prefix, Random(5, 10 + i)));
    streams.push_back(batch.Add(prompts.back()));
  }
  EXPECT_EQ(batch.Step(), 64);
  EXPECT_EQ(batch.Step(), 41);     // the rest of the first one
  EXPECT_EQ(batch.Step(), 7 * 5);  // what the others do not share
  EXPECT_EQ(batch.n_copied(), 700);
  for (size_t i = 1; i < 8; ++i) {
    EXPECT_EQ(Copy(batch.Logits(streams[i])), AfterAlone(prompts[i])) << i;
  }
}

TEST_F(StreamBatchTest, GoesOnWithWhatARemovedStreamLeft) {
  const Ids first = Random(50, 1), second = Joined(first, Random(10, 2));
  StreamBatch batch = Batch(2, 100);
  const int stream = batch.Add(first);
  const int other = batch.Add(Random(40, 3));
  RunAll(batch);
  batch.Remove(other);
  batch.Remove(stream);
  EXPECT_EQ(batch.Add(second), stream);
  EXPECT_EQ(batch.Step(), 10);
  EXPECT_EQ(batch.n_copied(), 0);
  EXPECT_EQ(Copy(batch.Logits(stream)), AfterAlone(second));
}

TEST_F(StreamBatchTest, LeavesTheOthersAloneWhenOneIsRefused) {
  StreamBatch batch = Batch(2, 30);
  const Ids full = Random(30, 1), other = Random(8, 2);
  const int of_full = batch.Add(full), of_other = batch.Add(other);
  RunAll(batch);
  const auto refused = [](auto&& call, ErrorKind kind) {
    try {
      call();
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
    }
  };
  refused([&] { batch.Append(of_full, Random(1, 3)); }, ErrorKind::kBadInput);
  refused([&] { batch.Add(Random(31, 3)); }, ErrorKind::kBadInput);
  refused([&] { batch.Add(Random(3, 3)); }, ErrorKind::kResource);
  refused(
      [&] {
        batch.Append(of_other, Ids{0, model_->config().vocab_size});
      },
      ErrorKind::kBadInput);
  const Ids next = Random(1, 4);
  batch.Append(of_other, next);
  EXPECT_EQ(batch.Step(), 1);
  EXPECT_EQ(Copy(batch.Logits(of_other)), AfterAlone(Joined(other, next)));
  EXPECT_EQ(batch.length(of_full), 30);
  refused([&] { Batch(1, 513); }, ErrorKind::kBadInput);
  refused(
      [&] {
        StreamBatch(*model_, SelectKernels(), pool_,
                    {.max_streams = 64, .context = 512, .memory_bytes = 1 << 20});
      },
      ErrorKind::kResource);
}

TEST_F(StreamBatchTest, RunsRowsAgainThatAFailedStepLeft) {
  struct Failing : routing::Probe {
    uint32_t sites() const override { return routing::kSiteDecision; }
    void OnDecision(const routing::DecisionBatch& batch) override {
      if (batch.layer == 1) throw Error(ErrorKind::kIo, "disk full");
    }
  } failing;
  routing::Probe* probes[] = {&failing};
  StreamBatch batch = Batch(2, 60);
  const Ids a = Random(20, 1), b = Random(30, 2);
  const int of_a = batch.Add(a);
  RunAll(batch);
  const Ids next = Random(1, 3);
  batch.Append(of_a, next);
  const int of_b = batch.Add(b);
  EXPECT_THROW(batch.Step(probes), Error);
  EXPECT_EQ(batch.length(of_a), 20);
  EXPECT_FALSE(batch.HasLogits(of_a));
  EXPECT_EQ(batch.Step(), 31);
  EXPECT_EQ(Copy(batch.Logits(of_a)), AfterAlone(Joined(a, next)));
  EXPECT_EQ(Copy(batch.Logits(of_b)), AfterAlone(b));
}

// Wide experts are cut in columns whatever the number of rows.
TEST(Session, GivesTheSameBitsForWideExperts) {
  files::ModelConfig config = OddTinyConfig();
  config.model_dim = 2048;
  config.ffn_dim = 2049;
  config.n_layers = 1;
  config.n_experts = 2;
  config.experts_per_token = 1;
  const std::string path = WriteTinyModel(config, DType::kBF16, 6);
  {
    const auto model = Model::Open(path);
    const Ids ids = RandomIds(60, config.vocab_size, 7);
    Logits expected;
    for (int n_threads : {1, 2, 3}) {
      for (int prefill : {7, 60}) {
        ThreadPool pool(n_threads);
        Session session(*model, SelectKernels(), pool, {.context = 60, .prefill_rows = prefill});
        const Logits found = Copy(session.Advance(ids));
        if (expected.empty()) expected = found;
        EXPECT_TRUE(found == expected) << n_threads << " " << prefill;
      }
    }
  }
  std::filesystem::remove_all(path);
}

TEST_F(StreamBatchTest, AllocatesNothingInAStep) {
  StreamBatch batch = Batch(8, 200, /*wave_rows=*/64);
  for (uint32_t i = 0; i < 7; ++i) batch.Add(Random(20, i));
  RunAll(batch);
  const Ids next = Random(1, 50), prompt = Random(90, 51);
  int64_t before = -1;
  for (int step = 0; step < 12; ++step) {
    if (step == 4) before = CountedAllocations();
    // From step 6 on a prompt runs beside.
    if (step == 6) batch.Add(prompt);
    for (int stream = 0; stream < 7; ++stream) batch.Append(stream, next);
    batch.Step();
  }
  EXPECT_EQ(CountedAllocations() - before, 0);
}

}  // namespace
}  // namespace moescope::engine
