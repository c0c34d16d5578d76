// The narrow waist between the engine and everything that studies it: what was decided for which
// rows, and the one interface through which the forward pass is watched or changed.
#pragma once

#include <cstdint>
#include <span>

namespace moescope::routing {

// Who a row of a sweep is. `row` is its place in the wave; a branch is a fork of a sequence with
// another intervention (0: the unmodified baseline).
struct RowInfo {
  int64_t sequence = 0;  // running index over the whole run
  int32_t position = 0;  // restarts in each sequence
  int32_t token_id = 0;
  int32_t branch = 0;
};

// Decisions of consecutive rows [first_row, first_row + rows.size()) of a wave at one layer.
struct DecisionBatch {
  int layer = 0;
  int64_t first_row = 0;
  std::span<const RowInfo> rows;
  int n_experts = 0;
  int experts_per_token = 0;
  std::span<float> router_logits;  // [n_rows, n_experts]
  std::span<int16_t> experts;      // [n_rows, experts_per_token]; -1: dropped slot
  std::span<float> weights;        // [n_rows, experts_per_token]; 0 in a dropped slot
};

// Activations of consecutive rows at one layer (-1: the embedding output).
struct ActivationBatch {
  int layer = 0;
  int64_t first_row = 0;
  std::span<const RowInfo> rows;
  int dim = 0;
  std::span<float> values;  // [n_rows, dim]
};

// Input or output of one expert for rows scattered over the wave.
struct ExpertBatch {
  int layer = 0;
  int expert = 0;
  std::span<const int64_t> row;       // [n] rows of the wave
  std::span<const int16_t> slot;      // [n] which choice of that row
  std::span<const RowInfo> all_rows;  // of the whole wave, indexed by `row`
  int dim = 0;
  std::span<float> values;  // [n, dim]
};

// What consecutive rows of one sequence attend to, after the softmax, in one head.
struct AttentionBatch {
  int layer = 0;
  int head = 0;  // query head
  int64_t first_row = 0;
  std::span<const RowInfo> rows;
  int first_key = 0;  // position of the first key; those before it have weight 0
  int n_keys = 0;
  std::span<const float> weights;  // [n_rows, n_keys]; 0 where a row does not look
};

// Sites of the forward pass, as bits.
enum Site : uint32_t {
  kSiteRouterLogits = 1u << 0,  // before the choice
  kSiteDecision = 1u << 1,      // after it
  kSiteExpertInput = 1u << 2,
  kSiteExpertOutput = 1u << 3,  // before its routing weight
  kSiteResidualAfterAttention = 1u << 4,
  kSiteResidualAfterMoe = 1u << 5,  // layer -1: the embedding output
  kSiteAttention = 1u << 6,         // cannot be edited
  kSiteHeads = 1u << 7,             // all heads' results side by side, before the output projection
};

// A probe declares its sites once; undeclared sites cost nothing. Calls come from worker threads,
// concurrently for different rows, in no particular order within a layer; layers come in order.
// A probe that edits may change the spans it is given, and says so, so that a plain observer can
// never alter a result.
class Probe {
 public:
  virtual ~Probe() = default;
  virtual uint32_t sites() const = 0;           // where it observes
  virtual uint32_t edits() const { return 0; }  // subset of sites() whose spans it may change
  virtual void OnRouterLogits(const DecisionBatch&) {}
  virtual void OnDecision(const DecisionBatch&) {}
  virtual void OnExpertInput(const ExpertBatch&) {}
  virtual void OnExpertOutput(const ExpertBatch&) {}
  virtual void OnResidualAfterAttention(const ActivationBatch&) {}
  virtual void OnResidualAfterMoe(const ActivationBatch&) {}
  virtual void OnAttention(const AttentionBatch&) {}
  virtual void OnHeads(const ActivationBatch&) {}
};

}  // namespace moescope::routing
