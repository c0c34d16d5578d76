// How well the model predicts each data set: mean loss, perplexity, bits per byte.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "study/analysis/bootstrap.h"
#include "study/analysis/route_columns.h"

namespace moescope::study {

// Special rows count here: the loss of a BOS row is that of the first token after it.
struct PerplexityRow {
  std::string dataset;
  int64_t documents = 0;
  int64_t n_units = 0;
  int64_t tokens = 0;        // all rows
  int64_t plain_tokens = 0;  // without special rows
  int64_t predictions = 0;   // rows with a loss
  int64_t bytes = 0;         // bytes of text that the predicted tokens cover
  double mean_loss = 0;      // nats per prediction; NaN when there is none
  double perplexity = 0;     // exp(mean_loss)
  double bits_per_byte = 0;  // NaN when no bytes are known
  std::optional<Interval> mean_loss_interval;
  std::optional<Interval> perplexity_interval;
  std::optional<Interval> bits_per_byte_interval;
  std::string why_no_interval;
};

// Fills what follows from sums of units, [n_units, 4]: predictions, their loss, the loss of those
// whose bytes are known, and these bytes. The row's data set is named already.
inline constexpr int kUnitLossColumns = 4;
void FinishPerplexity(PerplexityRow& row, std::span<const double> unit_sums,
                      const std::string& unit_by, const BootstrapOptions& bootstrap,
                      ThreadPool& pool);

// One row per data set; empty when the run has no losses.
std::vector<PerplexityRow> PerplexityTable(const store::Run& run, store::Database& database,
                                           const BootstrapOptions& bootstrap, ThreadPool& pool);

}  // namespace moescope::study
