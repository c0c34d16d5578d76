// How far an ablation has come, in one small file, so that a killed one goes on where it stopped:
// the sums of losses by unit and column, and of each column how many sequences are in them. Sums
// are taken sequence by sequence, so going on gives the bits of a run that was never stopped,
// whatever the waves before and after. Layout: docs/interventions.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace moescope::lab {

// What the losses are of: names and values, in the order in which they are compared.
using AblationIdentity = std::vector<std::pair<std::string, std::string>>;

struct AblationState {
  AblationIdentity identity;
  int64_t n_sequences = 0;
  std::vector<int64_t> sequences_done;  // of each column, the baseline first
  std::vector<int64_t> predictions;     // of each unit, of the baseline's sequences
  std::vector<double> losses;           // [n_units, n_columns]
  // What it took so far.
  double flops = 0, seconds = 0;
  int64_t n_waves = 0;
  uint64_t weight_bytes = 0;

  size_t n_columns() const { return sequences_done.size(); }
};

// With a checksum at the end. Requires: the sizes belong together.
std::string FormatAblationState(const AblationState& state);
// Throws Error(kCorrupt) naming `path` for anything FormatAblationState cannot have written.
AblationState ParseAblationState(std::string_view bytes, const std::string& path);
// `head` with the checksum that ParseAblationState expects after it; for tests.
std::string SealAblationState(std::string head);

// Throws as ParseAblationState; Error(kIo), kNotFound.
AblationState ReadAblationState(const std::string& path);
// Replaces the file; a crash leaves the old one or the new. Throws Error(kIo).
void WriteAblationState(const std::string& path, const AblationState& state);

// Throws Error(kBadInput) naming the first thing in which what `path` holds differs from `ours`.
void RequireSameAblation(const AblationState& found, const AblationState& ours,
                         const std::string& path);

}  // namespace moescope::lab
