// Ablations of a small random model: identities, independence of how the work is cut, and its cost.
#include "lab/ablate.h"

#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>

#include "base/cancellation.h"
#include "base/error.h"
#include "engine/model/tiny_model.h"
#include "lab/forced_routes.h"
#include "lab/intervention_probe.h"
#include "lab/planted/weights.h"
#include "lab/trace.h"
#include "store/test_directory.h"

namespace moescope::lab {
namespace {

using routing::Intervention;

constexpr int kLayers = 4, kExperts = 5;
constexpr const char* kCharacters = "abcdefgh";

class AblateTest : public store::TestDirectory {
 protected:
  void SetUp() override {
    store::TestDirectory::SetUp();
    opened_ = OpenTextModel(WriteModel("model", 7));
    options_.data = {Texts("a", 12, 1), Texts("b", 5, 2)};
    options_.n_threads = 2;
  }

  // A random model, with the tokenizer of a planted one: a token a character.
  std::string WriteModel(const std::string& name, uint32_t seed) const {
    const PlantedWeights planted(kCharacters, {});
    planted.Write(Path("tokenizer"));
    files::ModelConfig config = engine::OddTinyConfig();
    config.n_layers = kLayers;
    config.n_experts = kExperts;
    config.experts_per_token = 2;
    config.vocab_size = planted.config().vocab_size;
    const std::string written = engine::WriteTinyModel(config, DType::kF32, seed);
    std::filesystem::rename(written, Path(name));
    std::filesystem::copy(Path("tokenizer") + "/tokenizer.model", Path(name));
    return Path(name);
  }

  text::DataSpec Texts(const std::string& name, int n, uint32_t seed) {
    std::mt19937 random(seed);
    text::DataSpec spec;
    spec.name = name;
    spec.path = Path(name + ".jsonl");
    std::ofstream out(spec.path);
    for (int i = 0; i < n; ++i) {
      std::string text;
      for (uint32_t c = random() % 60; c > 0; --c) text += kCharacters[random() % 8];
      out << "{\"text\": \"" << text << "\"}\n";
    }
    return spec;
  }

  std::vector<Intervention> Parse(const std::vector<std::string>& texts) const {
    std::vector<Intervention> parsed;
    for (const std::string& text : texts) {
      parsed.push_back(routing::ParseIntervention(text, RoutedModelOf(*opened_.model), ""));
    }
    return parsed;
  }

  // The sums of one column, unit by unit.
  static std::vector<double> Column(const Ablation& ablation, size_t column) {
    std::vector<double> sums;
    for (size_t unit = 0; unit < ablation.units.size(); ++unit) {
      sums.push_back(ablation.Loss(unit, column));
    }
    return sums;
  }

  std::vector<std::string> AllCells(const std::string& mode) const {
    std::vector<std::string> cells;
    for (int layer = 0; layer < kLayers; ++layer) {
      for (int expert = 0; expert < kExperts; ++expert) {
        cells.push_back(mode + "@" + std::to_string(layer) + ":" + std::to_string(expert));
      }
    }
    return cells;
  }

  TextModel opened_;
  AblationOptions options_;
};

TEST_F(AblateTest, IdentitiesChangeNoBit) {
  TraceOptions trace;
  trace.model = Path("model");
  trace.data = options_.data;
  trace.output = Path("run");
  trace.n_threads = 1;
  Trace(trace);
  std::vector<Intervention> branches =
      Parse({"bias=0", "temperature=1", "top-k=2", "skip:0", "force=" + Path("run"),
             "force-weights=" + Path("run"), "bias=0@3:1", "top-k=3", "mask@all:1"});
  const auto forced = OpenForced(branches, *opened_.model);
  options_.forced = forced.get();
  const Ablation ablation = Ablate(opened_, branches, options_);
  const std::vector<double> baseline = Column(ablation, 0);
  for (size_t column = 1; column <= 7; ++column) {
    EXPECT_EQ(Column(ablation, column), baseline) << column;
  }
  for (size_t column = 8; column <= 9; ++column) EXPECT_NE(Column(ablation, column), baseline);
}

TEST_F(AblateTest, BranchesTogetherAreThoseRunOneByOneBitForBit) {
  std::vector<std::string> texts = AllCells("mask");
  for (const char* mode : {"zero", "drop", "swap:4"}) {
    for (int expert = 0; expert < kExperts - 1; ++expert) {
      texts.push_back(std::string(mode) + "@all:" + std::to_string(expert));
    }
  }
  texts.insert(texts.end(),
               {"top-k=1", "top-k=4@2", "skip:0.9@1-3", "temperature=3@2", "bias=1@0:2"});
  const std::vector<Intervention> branches = Parse(texts);
  const Ablation together = Ablate(opened_, branches, options_);
  AblationOptions alone = options_;
  alone.fork = false;
  alone.n_threads = 1;
  for (size_t i = 0; i < branches.size(); ++i) {
    const Ablation one = Ablate(opened_, std::span(&branches[i], 1), alone);
    EXPECT_EQ(Column(one, 0), Column(together, 0));
    EXPECT_EQ(Column(one, 1), Column(together, i + 1)) << texts[i];
    EXPECT_NE(Column(one, 1), Column(one, 0)) << texts[i];
  }
}

TEST_F(AblateTest, WavesAndGroupsOfBranchesChangeNoBit) {
  const std::vector<Intervention> branches = Parse(AllCells("drop"));
  const Ablation whole = Ablate(opened_, branches, options_);
  EXPECT_EQ(whole.n_waves, 1);
  for (int64_t wave_tokens : {1, 130, 700, 3000}) {
    options_.wave_tokens = wave_tokens;
    const Ablation cut = Ablate(opened_, branches, options_);
    EXPECT_GT(cut.n_waves, 1);
    EXPECT_EQ(cut.losses, whole.losses) << wave_tokens;
    EXPECT_EQ(cut.predictions, whole.predictions);
  }
}

// Stopped after every wave, under waves and groups of another size each time.
TEST_F(AblateTest, GoesOnWhereItWasStoppedToTheSameBits) {
  const std::vector<Intervention> branches =
      Parse({"mask@all:0", "zero@3:1", "drop@2:2", "bias=0@3:0", "swap:1@1:0", "zero@1:4"});
  const Ablation whole = Ablate(opened_, branches, options_);
  InstallCancellationSignals();
  options_.state = Path("ablation.state");
  options_.after_wave = [] { raise(SIGINT); };
  int n_stops = 0;
  std::optional<Ablation> last;
  while (!last) {
    options_.wave_tokens = 120 + 61 * (n_stops % 4);
    options_.n_threads = 1 + n_stops % 3;
    try {
      last = Ablate(opened_, branches, options_);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kCancelled);
      EXPECT_NE(std::string(error.what()).find("goes on from there: " + options_.state),
                std::string::npos);
      ++n_stops;
    }
    ClearCancellation();
  }
  EXPECT_GT(n_stops, 5);
  EXPECT_EQ(last->losses, whole.losses);
  EXPECT_EQ(last->predictions, whole.predictions);
  EXPECT_GE(last->n_waves, n_stops);

  // What is finished is not run again.
  options_.after_wave = [] { FAIL() << "a wave of a finished ablation"; };
  const uint64_t acquired = opened_.model->weights().bytes_acquired();
  const Ablation again = Ablate(opened_, branches, options_);
  EXPECT_EQ(opened_.model->weights().bytes_acquired(), acquired);
  EXPECT_EQ(again.losses, whole.losses);
  EXPECT_EQ(again.n_waves, last->n_waves);
  EXPECT_EQ(again.flops, last->flops);
}

TEST_F(AblateTest, GoesOnWithNothingElse) {
  options_.state = Path("ablation.state");
  const std::vector<Intervention> branches = Parse({"mask@all:0", "zero@3:1"});
  Ablate(opened_, branches, options_);
  const auto refusal = [&](const TextModel& model, const std::vector<Intervention>& others,
                           const AblationOptions& options) -> std::string {
    try {
      Ablate(model, others, options);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
      const std::string text = error.what();
      return text.substr(text.find(options.state) + options.state.size() + 2, 9);
    }
    return "";
  };
  EXPECT_EQ(refusal(OpenTextModel(WriteModel("other", 8)), branches, options_), "model: ex");
  AblationOptions other = options_;
  other.data.pop_back();
  EXPECT_EQ(refusal(opened_, branches, other), "text: exp");
  other = options_;
  other.data[0].name = "c";
  EXPECT_EQ(refusal(opened_, branches, other), "text: exp");
  other = options_;
  other.precision = engine::Precision::kFast;
  EXPECT_EQ(refusal(opened_, branches, other), "precision");
  EXPECT_EQ(refusal(opened_, Parse({"mask@all:0", "zero@3:2"}), options_), "branch 2:");
  EXPECT_EQ(refusal(opened_, Parse({"mask@all:0"}), options_), "branches:");
}

TEST_F(AblateTest, AllCellsCostHalfOfOneByOneAndReadTheWeightsOnce) {
  const std::vector<Intervention> branches = Parse(AllCells("mask"));
  const Ablation forked = Ablate(opened_, branches, options_);
  AblationOptions options = options_;
  options.fork = false;
  const Ablation whole = Ablate(opened_, branches, options);
  EXPECT_EQ(forked.losses, whole.losses);
  // 21 runs: branches forked at layer l do the experts of 4 - l layers, attention of one less.
  EXPECT_NEAR(whole.flops, whole.flops_one_by_one, 1e-3 * whole.flops);
  EXPECT_LT(forked.flops, 0.65 * whole.flops);
  EXPECT_GT(forked.flops, 0.4 * whole.flops);
  uint64_t all = 0;
  for (const auto& [id, location] : opened_.model->checkpoint().tensors()) all += location.n_bytes;
  EXPECT_EQ(forked.weight_bytes, all);
  EXPECT_EQ(forked.model_bytes, all);
}

TEST_F(AblateTest, RefusesWhatCannotBeMeasured) {
  const std::vector<Intervention> branches = Parse({"mask@0:1"});
  options_.policy.max_tokens = 1;
  EXPECT_THROW(Ablate(opened_, branches, options_), Error);
  options_.policy.max_tokens = 0;
  options_.memory_bytes = 20000;
  try {
    Ablate(opened_, branches, options_);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kResource);
  }
}

TEST_F(AblateTest, RefusesToForceAnotherModelsRunOrAnotherText) {
  TraceOptions trace;
  trace.model = Path("model");
  trace.data = {options_.data[1]};
  trace.output = Path("run");
  Trace(trace);
  const TextModel other = OpenTextModel(WriteModel("other", 8));
  std::vector<Intervention> branches = Parse({"force=" + Path("run")});
  try {
    OpenForced(branches, *other.model);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
    EXPECT_NE(std::string(error.what()).find("expected a run of this model"), std::string::npos);
  }
  const auto forced = OpenForced(branches, *opened_.model);
  options_.forced = forced.get();
  try {
    Ablate(opened_, branches, options_);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
    EXPECT_NE(std::string(error.what()).find("a run of the same text"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace moescope::lab
