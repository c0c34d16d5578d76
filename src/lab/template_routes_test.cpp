// On a random model with a tokenizer of bytes, and on the demo model.
#include "lab/template_routes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "engine/model/sweep.h"
#include "engine/model/tiny_model.h"
#include "files/tiny_model.h"
#include "lab/route_watcher.h"

namespace moescope::lab {
namespace {

std::string DemoPath() {
  const char* root = std::getenv("MOESCOPE_SOURCE_DIR");
  return (std::filesystem::path(root != nullptr ? root : ".") / "demo/demo-mixtral-Q8_0.gguf")
      .string();
}

// A random Mixtral whose tokens are bytes; BOS and a space come before a text.
class TemplateRoutesOfTinyModel : public testing::Test {
 protected:
  void SetUp() override {
    files::ModelConfig config = engine::OddTinyConfig();
    config.vocab_size = 261;
    config.context = 64;
    path_ = engine::WriteTinyModel(config, DType::kBF16, 5);
    std::ofstream(path_ + "/tokenizer.model", std::ios::binary) << files::TinyTokenizerModel();
    opened_ = OpenTextModel(path_);
  }
  void TearDown() override { std::filesystem::remove_all(path_); }

  std::vector<routing::RoutedRows> Route(const std::vector<std::string>& words, int n_threads,
                                         int64_t wave_tokens) {
    ThreadPool pool(n_threads);
    const TemplateRoutes plan(opened_, policy_, templates_, words,
                              {.memory_bytes = 64 << 20, .wave_tokens = wave_tokens}, pool);
    return plan.Run();
  }
  // Row by row what a sweep of one sequence alone chooses.
  void ExpectDirectRun(const routing::RoutedRows& rows, const text::WordTemplate& in,
                       const std::string& word) {
    const engine::Model& model = *opened_.model;
    const PlacedWord placed = PlaceWord(*opened_.tokenizer, policy_, in, word);
    const auto n = static_cast<int64_t>(placed.ids.size());
    ThreadPool pool(1);
    engine::Sweep sweep(model, engine::SelectKernels(), pool,
                        {.wave_rows = n, .max_sequence = static_cast<int>(n), .losses = false});
    RouteWatcher watcher(model.router(), model.config().n_layers, n);
    engine::Wave wave;
    wave.Add(0, 0, placed.ids);
    routing::Probe* probes[] = {&watcher};
    sweep.Run(wave, probes);
    ASSERT_EQ(static_cast<int64_t>(rows.n_rows()), n - placed.last_piece);
    ASSERT_EQ(rows.n_layers, model.config().n_layers);
    for (int layer = 0; layer < rows.n_layers; ++layer) {
      for (size_t row = 0; row < rows.n_rows(); ++row) {
        const int64_t position = placed.last_piece + static_cast<int64_t>(row);
        EXPECT_EQ(rows.token_ids[row], placed.ids[static_cast<size_t>(position)]);
        EXPECT_TRUE(std::ranges::equal(rows.Experts(layer, row), watcher.Experts(layer, position)));
        EXPECT_TRUE(std::ranges::equal(rows.Weights(layer, row), watcher.Weights(layer, position)));
      }
    }
  }

  std::string path_;
  TextModel opened_;
  TemplatePolicy policy_ = {true, {}};
  std::vector<text::WordTemplate> templates_ = {{"ab ", " ba."}, {"", " is it"}, {"(", ")"}};
};

TEST_F(TemplateRoutesOfTinyModel, AreThoseOfEachSequenceAloneForAnyThreadsAndWaves) {
  const std::vector<std::string> words = {"king", "q", "na\xc3\xafve"};
  for (const auto& [n_threads, wave_tokens] :
       {std::pair{1, int64_t{0}}, std::pair{2, int64_t{1}}, std::pair{3, int64_t{40}}}) {
    const auto rows = Route(words, n_threads, wave_tokens);
    ASSERT_EQ(rows.size(), 9u);
    for (size_t i = 0; i < rows.size(); ++i) {
      ExpectDirectRun(rows[i], templates_[i % 3], words[i / 3]);
    }
  }
}

TEST_F(TemplateRoutesOfTinyModel, FindTheLastPieceBySourceOffsets) {
  const text::Tokenizer& tokenizer = *opened_.tokenizer;
  const PlacedWord king = PlaceWord(tokenizer, policy_, templates_[0], "king");
  ASSERT_GE(king.last_piece, 0);
  EXPECT_EQ(king.ids[0], tokenizer.bos_id());
  const std::vector<int32_t> to_word(king.ids.begin(), king.ids.begin() + king.last_piece + 1);
  // This vocabulary spells the blank out, as three bytes.
  EXPECT_EQ(tokenizer.Decode(to_word),
            "\xe2\x96\x81"
            "ab\xe2\x96\x81king");
  // Without BOS everything is one row earlier.
  const PlacedWord bare = PlaceWord(tokenizer, {false, {}}, templates_[0], "king");
  EXPECT_EQ(bare.last_piece, king.last_piece - 1);
}

TEST_F(TemplateRoutesOfTinyModel, PlanSequencesAndTokens) {
  ThreadPool pool(1);
  const std::vector<std::string> words = {"king", "queens"};
  const TemplateRoutes plan(opened_, policy_, templates_, words, {.memory_bytes = 64 << 20}, pool);
  EXPECT_EQ(plan.n_sequences(), 6);
  int64_t n = 0;
  for (const std::string& word : words) {
    for (const auto& in : templates_) {
      n += static_cast<int64_t>(PlaceWord(*opened_.tokenizer, policy_, in, word).ids.size());
    }
  }
  EXPECT_EQ(plan.n_tokens(), n);
}

TEST_F(TemplateRoutesOfTinyModel, RefuseWhatDoesNotFit) {
  ThreadPool pool(1);
  const std::vector<std::string> words = {std::string(70, 'x')};
  try {
    TemplateRoutes(opened_, policy_, templates_, words, {.memory_bytes = 64 << 20}, pool);
    FAIL() << "taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
    EXPECT_NE(std::string(error.what()).find("template 1: expected at most the context of 64"),
              std::string::npos)
        << error.what();
  }
  const std::vector<std::string> king = {"king"};
  try {
    TemplateRoutes(opened_, policy_, templates_, king, {.memory_bytes = 1000}, pool);
    FAIL() << "taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kResource);
  }
}

TEST_F(TemplateRoutesOfTinyModel, TakeThePolicyOfTheRun) {
  store::RunDescription run;
  run.model_identity = opened_.model->checkpoint().Identity();
  const text::EncodeOptions no_prefix = {text::Specials::kByFormat, text::SpacePrefix::kOff};
  run.tokenizer_identity = opened_.tokenizer->Identity(no_prefix);
  run.bos = "none";
  const TemplatePolicy policy = PolicyOfRun(opened_, run, "run");
  EXPECT_FALSE(policy.bos);
  EXPECT_EQ(policy.encode.space_prefix, text::SpacePrefix::kOff);
  run.bos = "stream";
  EXPECT_EQ(PolicyOfRun(opened_, run, "run").bos, opened_.tokenizer->adds_bos());

  const auto refusal = [&] {
    try {
      PolicyOfRun(opened_, run, "run");
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("taken");
  };
  run.tokenizer_identity = "0123456789abcdef";
  EXPECT_NE(refusal().find("expected the run's tokenizer 0123456789abcdef, found"),
            std::string::npos);
  run.model_identity = "fedcba9876543210";
  EXPECT_NE(refusal().find("expected the run's model fedcba9876543210"), std::string::npos);
}

TEST(TemplateRoutesOfDemo, LeaveOutWordsThatDoNotStandByThemselves) {
  const TextModel opened = OpenTextModel(DemoPath());
  const TemplatePolicy policy = {true, {}};
  const PlacedWord spaced = PlaceWord(*opened.tokenizer, policy, {"About the ", " again."}, "time");
  ASSERT_GE(spaced.last_piece, 0);
  EXPECT_EQ(opened.tokenizer->TokenBytes(spaced.ids[static_cast<size_t>(spaced.last_piece)]),
            " time");
  // "▁the" goes on where the word has ended.
  EXPECT_EQ(PlaceWord(*opened.tokenizer, policy, {"About ", "e end"}, "th").last_piece, -1);
  // A token ends where "o" does, but it is "▁to".
  EXPECT_EQ(PlaceWord(*opened.tokenizer, policy, {"Go t", " it"}, "o").last_piece, -1);
}

}  // namespace
}  // namespace moescope::lab
