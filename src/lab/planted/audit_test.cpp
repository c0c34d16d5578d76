// The planted super expert is found without being named; its negatives are not, nor anything in
// models without one.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "engine/model/tiny_model.h"
#include "lab/ablate.h"
#include "lab/expert_audit.h"
#include "lab/intervention_probe.h"
#include "lab/planted/super_expert.h"
#include "store/test_directory.h"
#include "study/analysis/super_experts.h"

namespace moescope::lab {
namespace {

class PlantedAudit : public store::TestDirectory {
 protected:
  void WriteTexts() {
    std::ofstream(Path("texts.jsonl"))
        << "{\"text\": \"thequickbrownfoxjumpsoverthelazydog\"}\n{\"text\": \"aabbccddeeffgg\"}\n";
    data_.resize(1);
    data_[0].name = "texts";
    data_[0].path = Path("texts.jsonl");
  }

  static std::vector<study::OutputPeak> Peaks(const Audit& audit) {
    std::vector<study::OutputPeak> peaks;
    for (int layer = 0; layer < audit.n_layers; ++layer) {
      for (int expert = 0; expert < audit.n_experts; ++expert) {
        const ExpertAudit& of = audit.Of(layer, expert);
        peaks.push_back({layer, expert, of.output_peak, of.peak_place.row});
      }
    }
    return peaks;
  }
  static std::vector<study::ResidualPeak> Residuals(const Audit& audit) {
    std::vector<study::ResidualPeak> residuals;
    for (const LayerAudit& layer : audit.layers) {
      residuals.push_back({layer.residual_peak, layer.peak_median, layer.peak_place.row});
    }
    return residuals;
  }

  Audit Of(const TextModel& opened) const {
    AuditOptions options;
    options.data = data_;
    options.n_threads = 2;
    return AuditExperts(opened, options);
  }
  Audit Of(const SuperExpertPlan& plan, const std::string& name) {
    WriteTexts();
    SuperExpertModel(plan).Write(Path(name));
    opened_ = OpenTextModel(Path(name));
    return Of(opened_);
  }

  // Nats a prediction that `zero` on each cell of the opened model adds.
  std::vector<double> ZeroEffects(const std::vector<size_t>& cells) const {
    std::vector<routing::Intervention> branches;
    for (size_t cell : cells) {
      branches.push_back({.mode = routing::InterventionMode::kZero,
                          .run = {},
                          .cells = {{static_cast<int>(cell / 8), static_cast<int>(cell % 8)}}});
    }
    AblationOptions options;
    options.data = data_;
    options.n_threads = 2;
    const Ablation ablation = Ablate(opened_, branches, options);
    std::vector<double> effects(cells.size());
    double n = 0;
    for (size_t unit = 0; unit < ablation.units.size(); ++unit) {
      n += static_cast<double>(ablation.predictions[unit]);
      for (size_t i = 0; i < cells.size(); ++i) {
        effects[i] += ablation.Loss(unit, i + 1) - ablation.Loss(unit, 0);
      }
    }
    for (double& effect : effects) effect /= n;
    return effects;
  }

  std::vector<text::DataSpec> data_;
  TextModel opened_;
};

TEST_F(PlantedAudit, FindsTheSuperExpertAndWhereItActs) {
  const Audit audit = Of(SuperExpertPlan{}, "super");
  auto found = study::FindSuperExperts(Peaks(audit), Residuals(audit));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].layer, 1);
  EXPECT_EQ(found[0].expert, 3);
  EXPECT_NEAR(found[0].peak, 5000, 1);
  EXPECT_TRUE(found[0].massive);
  EXPECT_TRUE(found[0].stands_out);
  EXPECT_EQ(audit.Of(1, 3).peak_place.position, 0);  // BOS
  EXPECT_EQ(audit.Of(1, 3).n_assignments, 0);        // and nothing else

  // Without it the heads after it look everywhere again; that costs more than any other expert.
  std::vector<size_t> cells = study::RandomCells(Peaks(audit), found, study::kRandomCells, 1);
  cells.push_back(8 + 3);
  const std::vector<double> effects = ZeroEffects(cells);
  study::JudgeEffects(effects.back(), std::span(effects).first(effects.size() - 1), found[0]);
  EXPECT_TRUE(found[0].finding()) << *found[0].effect << ", others " << *found[0].largest_random;
}

TEST_F(PlantedAudit, ReportsNoNegative) {
  for (const SuperExpertPlan& plan : {SuperExpertPlan{.layer = 6}, SuperExpertPlan{.value = 1}}) {
    const Audit audit = Of(plan, plan.layer == 6 ? "late" : "small");
    for (const study::SuperExpert& expert :
         study::FindSuperExperts(Peaks(audit), Residuals(audit))) {
      EXPECT_FALSE(expert.massive && expert.stands_out)
          << expert.layer << ":" << expert.expert << " " << expert.peak;
    }
  }
}

TEST_F(PlantedAudit, ReportsNothingInTwentyModelsWithoutOne) {
  WriteTexts();
  const PlantedWeights tokens = SuperExpertModel({});
  tokens.Write(Path("tokens"));
  files::ModelConfig config = engine::OddTinyConfig();
  config.n_layers = 8;
  config.n_experts = 8;
  config.vocab_size = tokens.config().vocab_size;
  int n_flagged = 0;
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    const std::string folder = engine::WriteTinyModel(config, DType::kF32, seed);
    TextModel opened;
    opened.model = engine::Model::Open(folder);
    opened.tokenizer = std::move(OpenTextModel(Path("tokens")).tokenizer);
    const Audit audit = Of(opened);
    const auto found = study::FindSuperExperts(Peaks(audit), Residuals(audit));
    n_flagged += !found.empty();
    for (const study::SuperExpert& expert : found) {
      EXPECT_FALSE(expert.massive || expert.stands_out) << "seed " << seed;
    }
    std::filesystem::remove_all(folder);
  }
  EXPECT_GT(n_flagged, 5) << "the published rule flags most of them";
}

}  // namespace
}  // namespace moescope::lab
