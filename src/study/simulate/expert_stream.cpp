#include "study/simulate/expert_stream.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/random.h"
#include "routing/eviction_order.h"
#include "study/analysis/unit_counts.h"

namespace moescope::study {
namespace {

constexpr int32_t kNever = routing::BeladyOrder::kNever;

// Appends the experts of a row at layer number `place` of the stream; returns how many.
int AppendRow(const LayerColumns& layer, int64_t row, size_t place, std::vector<int32_t>& experts) {
  const int n_slots = layer.experts_per_token;
  const int16_t* chosen = layer.experts.data() + row * n_slots;
  const int32_t first_expert = static_cast<int32_t>(place) * layer.n_experts;
  int n = 0;
  for (int slot = 0; slot < n_slots; ++slot) {
    if (chosen[slot] < 0 || RepeatsEarlierSlot(chosen, slot)) continue;
    experts.push_back(first_expert + chosen[slot]);
    ++n;
  }
  experts.insert(experts.end(), static_cast<size_t>(n_slots - n), -1);
  return n;
}

void Shuffle(std::vector<int64_t>& rows, uint64_t key) {
  Random random(key);
  for (size_t i = rows.size(); i > 1; --i) std::swap(rows[i - 1], rows[random.Below(i)]);
}

}  // namespace

ExpertStream MakeExpertStream(const RowColumns& rows, const DatasetInfo& dataset,
                              std::span<const LayerColumns> layers,
                              std::optional<uint64_t> shuffle_key) {
  const LayerColumns& shape = layers.front();
  ExpertStream stream;
  stream.n_experts = shape.n_experts * static_cast<int>(layers.size());
  stream.experts_per_token = shape.experts_per_token;
  stream.n_units = static_cast<int>(dataset.units.size());
  stream.experts.reserve(static_cast<size_t>(dataset.n_rows) * layers.size() *
                         static_cast<size_t>(shape.experts_per_token));
  std::vector<int32_t> unit_place(rows.units.size());
  for (size_t u = 0; u < dataset.units.size(); ++u) {
    unit_place[dataset.units[u]] = static_cast<int32_t>(u);
  }
  std::vector<int64_t> order;
  int64_t n_rows = 0;
  for (int32_t d : dataset.documents) {
    const DocumentRange& document = rows.documents[d];
    for (int64_t s = 0; s < document.n_sequences; ++s) {
      const SequenceRange& sequence = rows.sequences[document.first_sequence + s];
      stream.sequences.push_back({n_rows, sequence.n_rows * static_cast<int64_t>(layers.size()),
                                  stream.n_lookups, unit_place[document.unit]});
      n_rows += stream.sequences.back().n_rows;
      order.resize(static_cast<size_t>(sequence.n_rows));
      std::iota(order.begin(), order.end(), sequence.first_row);
      if (shuffle_key) {
        Shuffle(order, Combine(*shuffle_key, static_cast<uint64_t>(sequence.first_row)));
      }
      for (int64_t row : order) {
        for (size_t l = 0; l < layers.size(); ++l) {
          stream.n_lookups += AppendRow(layers[l], row, l, stream.experts);
        }
      }
    }
  }
  return stream;
}

std::vector<int32_t> NextUses(const ExpertStream& stream, bool restarts) {
  if (stream.n_lookups >= kNever) {
    throw Error(ErrorKind::kResource,
                "cannot look ahead for Belady's bound: expected fewer than 2^31 lookups, found " +
                    std::to_string(stream.n_lookups) + "; give fewer layers or a smaller run");
  }
  std::vector<int32_t> next(static_cast<size_t>(stream.n_lookups));
  std::vector<int32_t> seen(static_cast<size_t>(stream.n_experts), kNever);
  size_t lookup = next.size();
  for (auto sequence = stream.sequences.rbegin(); sequence != stream.sequences.rend(); ++sequence) {
    if (restarts) std::fill(seen.begin(), seen.end(), kNever);
    for (int64_t row = sequence->first_row + sequence->n_rows - 1; row >= sequence->first_row;
         --row) {
      const auto experts = stream.Row(row);
      for (size_t i = experts.size(); i-- > 0;) {
        --lookup;
        next[lookup] =
            std::exchange(seen[static_cast<size_t>(experts[i])], static_cast<int32_t>(lookup));
      }
    }
  }
  return next;
}

}  // namespace moescope::study
