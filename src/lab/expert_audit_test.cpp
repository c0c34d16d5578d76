#include "lab/expert_audit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>

#include "base/error.h"
#include "engine/model/sweep.h"
#include "lab/intervention_probe.h"
#include "store/test_directory.h"

namespace moescope::lab {
namespace {

// The residual after one layer, row by row.
class ResidualProbe : public routing::Probe {
 public:
  explicit ResidualProbe(int layer) : layer_(layer) {}
  std::map<int64_t, std::vector<float>> rows;
  uint32_t sites() const override { return routing::kSiteResidualAfterMoe; }
  void OnResidualAfterMoe(const routing::ActivationBatch& batch) override {
    if (batch.layer != layer_) return;
    const std::lock_guard lock(mutex_);
    const auto dim = static_cast<size_t>(batch.dim);
    for (size_t i = 0; i < batch.rows.size(); ++i) {
      const auto values = batch.values.subspan(i * dim, dim);
      rows[batch.first_row + static_cast<int64_t>(i)].assign(values.begin(), values.end());
    }
  }

 private:
  const int layer_;
  std::mutex mutex_;
};

class ExpertAuditTest : public store::TestDirectory {
 protected:
  void SetUp() override {
    store::TestDirectory::SetUp();
    const char* root = std::getenv("MOESCOPE_SOURCE_DIR");
    if (root == nullptr) GTEST_SKIP() << "no source folder named";
    opened_ = OpenTextModel(std::string(root) + "/demo/demo-mixtral-Q8_0.gguf");
    std::ofstream(Path("text.jsonl"))
        << "{\"text\": \"Once upon a time there was a king who had two daughters.\"}\n"
        << "{\"text\": \"def main():\\n    return 0\\n\"}\n";
    options_.data.resize(1);
    options_.data[0].name = "text";
    options_.data[0].path = Path("text.jsonl");
    options_.n_threads = 2;
  }

  // The residual after `layer` of each row of the text, one expert masked there or none.
  std::map<int64_t, std::vector<float>> Residuals(int layer, int masked) {
    text::SequencePolicy policy = options_.policy;
    policy.chunk = ChunkOf(policy, opened_.model->config());
    const TokenisedText text = ReadTokenisedText(opened_, options_.data, policy, nullptr);
    engine::Wave wave;
    for (size_t s = 0; s < text.sequences.size(); ++s) {
      wave.Add(static_cast<int64_t>(s), 0, text.Ids(text.sequences[s]));
    }
    ThreadPool pool(2);
    engine::Sweep sweep(*opened_.model, engine::SelectKernels(), pool,
                        {.wave_rows = wave.n_rows(), .max_sequence = 512, .losses = false});
    const routing::RoutedModel routed = RoutedModelOf(*opened_.model);
    std::vector<routing::Intervention> interventions;
    if (masked >= 0) {
      interventions.push_back(routing::ParseIntervention(
          "mask@" + std::to_string(layer) + ":" + std::to_string(masked), routed, ""));
    }
    std::vector<routing::InterventionPlan> plans;
    plans.emplace_back(interventions, routed);
    InterventionProbe intervene(std::move(plans));
    ResidualProbe residual(layer);
    routing::Probe* probes[] = {&intervene, &residual};
    sweep.Run(wave, probes);
    return residual.rows;
  }

  TextModel opened_;
  AuditOptions options_;
};

TEST_F(ExpertAuditTest, ReconstructionIsWhatMaskingTheExpertChanges) {
  const Audit audit = AuditExperts(opened_, options_);
  for (int layer : {0, 5}) {
    const auto baseline = Residuals(layer, -1);
    for (int expert = 0; expert < audit.n_experts; ++expert) {
      const auto masked = Residuals(layer, expert);
      // Two sequences, of which the first rows are BOS.
      std::vector<double> sums(2);
      int64_t second = 0;
      for (const auto& [row, values] : baseline) {
        if (row > 0 && values == baseline.at(0)) second = row;
      }
      ASSERT_GT(second, 0);
      for (const auto& [row, values] : baseline) {
        if (row == 0 || row == second) continue;
        for (size_t d = 0; d < values.size(); ++d) {
          const double change = double{masked.at(row)[d]} - values[d];
          sums[row > second] += change * change;
        }
      }
      const double wanted = std::sqrt(sums[0]) + std::sqrt(sums[1]);
      EXPECT_NEAR(audit.Of(layer, expert).reconstruction, wanted, 1e-5 * (1 + wanted))
          << layer << ":" << expert;
    }
  }
}

TEST_F(ExpertAuditTest, SharesAddUpAndDoNotDependOnWavesOrThreads) {
  const Audit audit = AuditExperts(opened_, options_);
  for (int layer = 0; layer < audit.n_layers; ++layer) {
    int64_t n = 0, last = 0, skipped = 0;
    for (int expert = 0; expert < audit.n_experts; ++expert) {
      n += audit.Of(layer, expert).n_assignments;
      last += audit.Of(layer, expert).n_last_choices;
      skipped += audit.Of(layer, expert).n_skipped;
    }
    EXPECT_EQ(n, 2 * audit.n_plain);
    EXPECT_EQ(last, audit.n_plain);
    // At the median, half are below, but for those within its step.
    EXPECT_NEAR(static_cast<double>(skipped), static_cast<double>(last) / 2,
                0.05 * static_cast<double>(last));
  }
  options_.n_threads = 1;
  options_.wave_tokens = 16;
  const Audit other = AuditExperts(opened_, options_);
  for (size_t i = 0; i < audit.experts.size(); ++i) {
    EXPECT_EQ(audit.experts[i].reconstruction, other.experts[i].reconstruction);
    EXPECT_EQ(audit.experts[i].weighted_norm_sum, other.experts[i].weighted_norm_sum);
    EXPECT_EQ(audit.experts[i].output_peak, other.experts[i].output_peak);
    EXPECT_EQ(audit.experts[i].peak_place.row, other.experts[i].peak_place.row);
  }
}

TEST_F(ExpertAuditTest, RefusesTextThatIsEmpty) {
  std::ofstream(Path("empty.txt")) << "";
  options_.data[0].path = Path("empty.txt");
  options_.policy.bos = text::BosPolicy::kNone;
  EXPECT_THROW(AuditExperts(opened_, options_), Error);
}

}  // namespace
}  // namespace moescope::lab
