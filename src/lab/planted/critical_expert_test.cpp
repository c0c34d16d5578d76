#include "lab/planted/critical_expert.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <mutex>
#include <tuple>

#include "lab/planted/planted_run.h"
#include "store/test_directory.h"

namespace moescope::lab {
namespace {

constexpr int kTexts = 5;

std::vector<std::string> Texts() {
  std::vector<std::string> texts;
  for (uint32_t seed = 1; seed <= kTexts; ++seed) texts.push_back(CriticalText(seed));
  return texts;
}

// Rows that chose each expert and the largest output, as an analysis of importance sees them.
class UsageProbe : public routing::Probe {
 public:
  explicit UsageProbe(int n_experts) : n_experts_(n_experts), usage_(2 * n_experts) {}
  struct Usage {
    int64_t n_rows = 0;
    double largest = 0, weighted_norms = 0;
  };
  const Usage& operator[](PlantedExpert of) const {
    return usage_[static_cast<size_t>(of.layer * n_experts_ + of.expert)];
  }
  size_t n_cells() const { return usage_.size(); }
  PlantedExpert Cell(size_t i) const {
    return {static_cast<int>(i) / n_experts_, static_cast<int>(i) % n_experts_};
  }

  uint32_t sites() const override { return routing::kSiteDecision | routing::kSiteExpertOutput; }
  void OnDecision(const routing::DecisionBatch& batch) override {
    const std::lock_guard lock(mutex_);
    for (size_t i = 0; i < batch.experts.size(); ++i) {
      if (batch.rows[i / 2].position > 0) ++Of(batch.layer, batch.experts[i]).n_rows;
      weights_[{batch.layer, batch.first_row + static_cast<int64_t>(i) / 2, batch.experts[i]}] =
          batch.weights[i];
    }
  }
  void OnExpertOutput(const routing::ExpertBatch& batch) override {
    const std::lock_guard lock(mutex_);
    Usage& usage = Of(batch.layer, batch.expert);
    const auto dim = static_cast<size_t>(batch.dim);
    for (size_t i = 0; i < batch.row.size(); ++i) {
      double squares = 0;
      for (float value : batch.values.subspan(i * dim, dim)) {
        usage.largest = std::max(usage.largest, std::abs(double{value}));
        squares += double{value} * value;
      }
      const auto expert = static_cast<int16_t>(batch.expert);
      usage.weighted_norms +=
          std::sqrt(squares) * double{weights_.at({batch.layer, batch.row[i], expert})};
    }
  }

 private:
  Usage& Of(int layer, int expert) {
    return usage_[static_cast<size_t>(layer * n_experts_ + expert)];
  }
  int n_experts_;
  std::mutex mutex_;
  std::vector<Usage> usage_;
  std::map<std::tuple<int, int64_t, int16_t>, float> weights_;
};

class CriticalExpert : public store::TestDirectory {
 protected:
  double MeanLoss(const PlantedWeights& weights) {
    PlantedRun run(weights, Path("model"));
    double sum = 0;
    int64_t n = 0;
    for (float loss : run.Run(Texts())) {
      if (std::isnan(loss)) continue;
      sum += loss;
      ++n;
    }
    EXPECT_EQ(n, kTexts * 200);
    return sum / static_cast<double>(n);
  }
  static PlantedWeights Without(PlantedExpert expert) {
    PlantedWeights weights = CriticalExpertModel();
    weights.Clear({files::TensorKind::kDownProj, expert.layer, expert.expert});
    return weights;
  }
  const double uniform_ = std::log(CriticalExpertModel().config().vocab_size);
};

TEST_F(CriticalExpert, WritesWhatFollowsTwoPercentOfTheTokensAlone) {
  const double whole = MeanLoss(CriticalExpertModel());
  EXPECT_NEAR(whole, 0.98 * uniform_, 1e-6);
  EXPECT_NEAR(MeanLoss(Without(kCriticalExpert)) - whole, 0.02 * uniform_, 1e-6);
}

TEST_F(CriticalExpert, EveryOtherExpertCanGo) {
  const double whole = MeanLoss(CriticalExpertModel());
  for (int layer = 0; layer < 2; ++layer) {
    for (int expert = 0; expert < 8; ++expert) {
      if (layer == kCriticalExpert.layer && expert == kCriticalExpert.expert) continue;
      EXPECT_EQ(MeanLoss(Without({layer, expert})), whole) << "layer " << layer << " " << expert;
    }
  }
}

TEST_F(CriticalExpert, ThePopularOneTopsEveryOtherMeasure) {
  PlantedRun run(CriticalExpertModel(), Path("model"));
  UsageProbe usage(8);
  routing::Probe* probes[] = {&usage};
  run.Run(Texts(), probes);
  EXPECT_EQ(usage[kCriticalExpert].n_rows, kTexts * 4);
  EXPECT_EQ(usage[kPopularExpert].n_rows, kTexts * 200);
  for (size_t i = 0; i < usage.n_cells(); ++i) {
    const PlantedExpert cell = usage.Cell(i);
    if (cell.layer == kPopularExpert.layer && cell.expert == kPopularExpert.expert) continue;
    EXPECT_LT(usage[cell].n_rows, usage[kPopularExpert].n_rows);
    EXPECT_LT(100 * usage[cell].largest, usage[kPopularExpert].largest);
    EXPECT_LT(100 * usage[cell].weighted_norms, usage[kPopularExpert].weighted_norms);
  }
}

}  // namespace
}  // namespace moescope::lab
