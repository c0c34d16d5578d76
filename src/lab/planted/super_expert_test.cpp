#include "lab/planted/super_expert.h"

#include <gtest/gtest.h>

#include <mutex>

#include "lab/attention.h"
#include "lab/planted/planted_run.h"
#include "store/test_directory.h"

namespace moescope::lab {
namespace {

constexpr int kLayers = 8;
const std::vector<std::string> kTexts = {"thequickbrownfoxjumpsoverthelazydog", "aabbccddeeffgg"};

// One coordinate of the residual after each layer, and the rows that chose one expert.
class CoordinateProbe : public routing::Probe {
 public:
  CoordinateProbe(int coordinate, int layer, int expert)
      : coordinate_(coordinate), layer_(layer), expert_(expert) {}
  // At BOS (the first text's), and the largest at any other row.
  double bos[kLayers] = {}, others[kLayers] = {};
  std::vector<int32_t> positions;  // rows that chose the expert

  uint32_t sites() const override {
    return routing::kSiteDecision | routing::kSiteResidualAfterMoe;
  }
  void OnResidualAfterMoe(const routing::ActivationBatch& batch) override {
    if (batch.layer < 0) return;
    const std::lock_guard lock(mutex_);
    for (size_t i = 0; i < batch.rows.size(); ++i) {
      const double value =
          batch.values[i * static_cast<size_t>(batch.dim) + static_cast<size_t>(coordinate_)];
      if (batch.rows[i].position == 0) {
        bos[batch.layer] = value;
      } else {
        others[batch.layer] = std::max(others[batch.layer], std::abs(value));
      }
    }
  }
  void OnDecision(const routing::DecisionBatch& batch) override {
    if (batch.layer != layer_) return;
    const std::lock_guard lock(mutex_);
    for (size_t i = 0; i < batch.experts.size(); ++i) {
      if (batch.experts[i] != expert_) continue;
      positions.push_back(batch.rows[i / static_cast<size_t>(batch.experts_per_token)].position);
    }
  }

 private:
  const int coordinate_, layer_, expert_;
  std::mutex mutex_;
};

class SuperExpert : public store::TestDirectory {
 protected:
  // Runs the planted model and checks what it writes where; returns sink shares by layer.
  std::vector<double> Sinks(const SuperExpertPlan& plan) {
    const PlantedWeights weights = SuperExpertModel(plan);
    PlantedRun run(weights, Path("model"));
    CoordinateProbe coordinate(SuperCoordinate(weights), plan.layer, plan.expert);
    HeadFiguresProbe heads(run.model().config());
    routing::Probe* probes[] = {&coordinate, &heads};
    run.Run(kTexts, probes);
    EXPECT_EQ(coordinate.positions, std::vector<int32_t>(kTexts.size(), 0));
    for (int layer = 0; layer < kLayers; ++layer) {
      const double wanted = layer < plan.layer ? 0 : plan.value;
      // What ordinary experts add changes the norm by 2e-5 at most.
      EXPECT_NEAR(coordinate.bos[layer], wanted, 5e-5 * plan.value) << "layer " << layer;
      EXPECT_EQ(coordinate.others[layer], 0);
    }
    std::vector<double> sinks(kLayers);
    for (const HeadFigures& head : heads.Figures()) {
      sinks[static_cast<size_t>(head.layer)] += head.sink / run.model().config().n_heads;
    }
    return sinks;
  }
};

TEST_F(SuperExpert, WritesOnceAndEveryLaterHeadLooksThere) {
  const std::vector<double> sinks = Sinks({});
  for (int layer = 0; layer < kLayers; ++layer) {
    if (layer > 1) {
      EXPECT_GT(sinks[static_cast<size_t>(layer)], 0.9999);
    } else {
      EXPECT_LT(sinks[static_cast<size_t>(layer)], 0.2);  // even attention
    }
  }
}

TEST_F(SuperExpert, InTheLastQuarterOrWithAnOrdinaryOutputItIsANegative) {
  const std::vector<double> late = Sinks({.layer = 6});
  EXPECT_LT(late[6], 0.2);
  EXPECT_GT(late[7], 0.9999);
  for (double sink : Sinks({.value = 1})) EXPECT_LT(sink, 0.2);
}

}  // namespace
}  // namespace moescope::lab
