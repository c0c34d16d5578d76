#include "lab/forced_routes.h"

#include <fmt/format.h>

#include "base/cancellation.h"
#include "base/error.h"
#include "store/run.h"

namespace moescope::lab {
namespace {

[[noreturn]] void Refuse(const std::string& run, const std::string& expected,
                         const std::string& found) {
  throw Error(
      ErrorKind::kBadInput,
      fmt::format("cannot force the routes of {}: expected {}, found {}", run, expected, found));
}

void CheckRun(const store::Run& run, const engine::Model& model) {
  const store::RunDescription& description = run.description();
  const std::string identity = model.checkpoint().Identity();
  if (description.model_identity != identity) {
    Refuse(run.directory(), fmt::format("a run of this model, {}", identity),
           fmt::format("one of {}, {}", description.model_name, description.model_identity));
  }
  if (!run.complete()) Refuse(run.directory(), "a complete run", "an unfinished one");
}

}  // namespace

ForcedRoutes::ForcedRoutes(const std::string& directory, const engine::Model& model)
    : run_(directory) {
  const store::Run run = store::Run::Open(directory);
  CheckRun(run, model);
  identity_ = run.identity();
  experts_per_token_ = run.description().experts_per_token;
  const auto n_tokens = static_cast<size_t>(run.n_tokens());
  const auto k = static_cast<size_t>(experts_per_token_);
  const std::unique_ptr<store::Database> database = run.OpenViews({});

  text_ = ReadStoredText(*database);

  std::string sql = "SELECT layer, token";
  for (size_t slot = 0; slot < k; ++slot) {
    sql += fmt::format(", coalesce(expert_{0}, -1), coalesce(weight_{0}, 0)", slot);
  }
  layers_.resize(static_cast<size_t>(run.description().n_layers));
  for (Layer& layer : layers_) {
    layer.experts.resize(n_tokens * k, -1);
    layer.weights.resize(n_tokens * k);
  }
  database->Stream(sql + " FROM routes", [&](store::Chunk& chunk) {
    ThrowIfCancelled();
    const auto layers = chunk.Integers(0), tokens = chunk.Integers(1);
    for (size_t slot = 0; slot < k; ++slot) {
      const auto experts = chunk.Integers(static_cast<int>(2 + 2 * slot));
      const auto weights = chunk.Reals(static_cast<int>(3 + 2 * slot));
      for (int64_t row = 0; row < chunk.n_rows(); ++row) {
        const bool is_there = layers[row] >= 0 && tokens[row] >= 0 &&
                              static_cast<size_t>(layers[row]) < layers_.size() &&
                              static_cast<size_t>(tokens[row]) < n_tokens && experts[row] >= -1 &&
                              experts[row] < model.router().n_experts;
        if (!is_there) {
          Refuse(run_, "routes of its own tokens, layers and experts",
                 fmt::format("expert {} at layer {}, token {}; run 'moescope verify' on it",
                             experts[row], layers[row], tokens[row]));
        }
        Layer& layer = layers_[static_cast<size_t>(layers[row])];
        const size_t place = static_cast<size_t>(tokens[row]) * k + slot;
        layer.experts[place] = static_cast<int16_t>(experts[row]);
        layer.weights[place] = static_cast<float>(weights[row]);
      }
    }
  });
}

int64_t ForcedRoutes::TokenOf(const routing::RowInfo& row) const {
  const auto place = [&] {
    return fmt::format("token {} at sequence {}, position {}", row.token_id, row.sequence,
                       row.position);
  };
  const auto sequence = static_cast<size_t>(row.sequence);
  if (sequence + 1 >= text_.first_token.size() ||
      text_.first_token[sequence] + row.position >= text_.first_token[sequence + 1]) {
    Refuse(run_, "a run of the same text, cut alike, with " + place(), "none there");
  }
  const int64_t token = text_.first_token[sequence] + row.position;
  if (text_.token_ids[static_cast<size_t>(token)] != row.token_id) {
    Refuse(run_, "a run of the same text, with " + place(),
           fmt::format("token {}", text_.token_ids[static_cast<size_t>(token)]));
  }
  return token;
}

routing::StoredDecision ForcedRoutes::At(int layer, const routing::RowInfo& row) const {
  const auto k = static_cast<size_t>(experts_per_token_);
  const size_t first = static_cast<size_t>(TokenOf(row)) * k;
  const Layer& stored = layers_[static_cast<size_t>(layer)];
  return {std::span(stored.experts).subspan(first, k), std::span(stored.weights).subspan(first, k)};
}

std::unique_ptr<ForcedRoutes> OpenForced(std::span<routing::Intervention> interventions,
                                         const engine::Model& model) {
  std::unique_ptr<ForcedRoutes> forced;
  std::string path;
  for (routing::Intervention& intervention : interventions) {
    if (!routing::IsForce(intervention.mode)) continue;
    if (forced && intervention.run != path) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("cannot force routes: expected one run, found {} and {}", path,
                              intervention.run));
    }
    if (!forced) {
      path = intervention.run;
      forced = std::make_unique<ForcedRoutes>(path, model);
    }
    intervention.run = forced->identity();
  }
  return forced;
}

}  // namespace moescope::lab
