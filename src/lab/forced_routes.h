// The decisions of a run, held in memory for an intervention that forces them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/model/model.h"
#include "lab/stored_text.h"
#include "routing/intervention_plan.h"

namespace moescope::lab {

// 6 K bytes a token and layer.
class ForcedRoutes : public routing::DecisionSource {
 public:
  // Throws Error as Run::Open; kBadInput for a run of another model, of a dense one, or one that is
  // not complete.
  ForcedRoutes(const std::string& run, const engine::Model& model);

  routing::StoredDecision At(int layer, const routing::RowInfo& row) const override;
  int experts_per_token() const override { return experts_per_token_; }
  const std::string& identity() const { return identity_; }

 private:
  int64_t TokenOf(const routing::RowInfo& row) const;
  struct Layer {
    std::vector<int16_t> experts;  // [n_tokens, K]
    std::vector<float> weights;
  };
  std::string run_, identity_;
  int experts_per_token_ = 0;
  StoredText text_;
  std::vector<Layer> layers_;
};

// Opens the run that interventions force, and puts its identity in the place of its path: what a
// manifest may hold. Null when none forces. Throws Error(kBadInput) for two different runs.
std::unique_ptr<ForcedRoutes> OpenForced(std::span<routing::Intervention> interventions,
                                         const engine::Model& model);

}  // namespace moescope::lab
