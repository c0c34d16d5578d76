// Changes of the residual stream: a vector added to it, or values that another run had there
// written over it. Written forms: docs/interventions.md.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/model/model.h"
#include "routing/probe.h"

namespace moescope::lab {

// Whose rows are changed: those of a text, sequence by sequence, or of the one sequence of a
// session.
enum class Setting { kText, kSession };

struct ResidualEdit {
  static constexpr int kEmbedding = -1;  // "layer" of the embedding output
  struct Range {
    int first = 0, last = 0;  // both in it
  };

  uint32_t site = routing::kSiteResidualAfterMoe;
  int layer = 0;
  bool adds = false;          // false: writes over
  std::string written;        // as a manifest has it, with a hash in place of the path
  std::vector<float> values;  // [rows, model_dim]
  // Additions: a single row holds for all positions (of `positions`, if there are any), of several
  // row i for the i-th position.
  std::vector<Range> positions;
  // Patches: the row of a position of a sequence.
  std::unordered_map<uint64_t, int64_t> row_of;
  bool any_sequence = false;  // patches: sequences are not told apart

  // The row of `values` for a row of a wave, -1 for none.
  int64_t RowFor(const routing::RowInfo& row, int dim) const;
};

// "FILE.npy@LAYER[:POSITIONS][xFACTOR]": the factor times the file's vector, or its i-th row for
// the i-th position, is added to what the layer hands on. Throws Error(kBadInput) for a form,
// layer, size or number that cannot be, and as files::NpyArray.
ResidualEdit ParseAddition(const std::string& text, const engine::Model& model);
// "FOLDER/SITE@LAYER[:POSITIONS]": what `capture` wrote of that layer is written over the residual
// at the same site, sequence and position. Throws Error(kBadInput) likewise, for a capture of
// another model, and for several sequences in a session; kResource for more than memory holds.
ResidualEdit ParsePatch(const std::string& text, const engine::Model& model, Setting setting);

// Whether what a manifest has among its interventions is one of these.
bool IsResidualEdit(std::string_view written);

// Applies edits in order. Thread-safe.
class ResidualProbe : public routing::Probe {
 public:
  explicit ResidualProbe(std::vector<ResidualEdit> edits);

  uint32_t sites() const override { return sites_; }
  uint32_t edits() const override { return sites_; }
  void OnResidualAfterAttention(const routing::ActivationBatch& batch) override {
    Apply(routing::kSiteResidualAfterAttention, batch);
  }
  void OnResidualAfterMoe(const routing::ActivationBatch& batch) override {
    Apply(routing::kSiteResidualAfterMoe, batch);
  }

 private:
  void Apply(uint32_t site, const routing::ActivationBatch& batch) const;
  std::vector<ResidualEdit> edits_;
  uint32_t sites_ = 0;
};

}  // namespace moescope::lab
