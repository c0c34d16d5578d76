#include "study/analysis/perplexity.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <unordered_map>

#include "base/cancellation.h"
#include "base/error.h"
#include "base/random.h"

namespace moescope::study {
namespace {

enum { kPredictions, kLoss, kLossWithBytes, kBytes, kColumns = kUnitLossColumns };

struct DocumentLoss {
  int64_t tokens = 0;
  int64_t plain_tokens = 0;
  double sums[kColumns] = {};
};

// The loss of a row is that of the next row's token, so its bytes are the next row's too.
std::unordered_map<int64_t, DocumentLoss> SumDocuments(store::Database& database) {
  std::unordered_map<int64_t, DocumentLoss> documents;
  DocumentLoss* document = nullptr;
  int64_t document_id = -1, sequence = -1;
  double pending_loss = 0;
  bool is_pending = false;
  const char* sql = "SELECT document, sequence, special, loss, byte_end - byte_start FROM tokens";
  database.Stream(sql, [&](store::Chunk& chunk) {
    ThrowIfCancelled();
    const auto document_column = chunk.Integers(0), sequence_column = chunk.Integers(1),
               special_column = chunk.Integers(2), bytes_column = chunk.Integers(4);
    const auto loss_column = chunk.Reals(3);
    for (int64_t row = 0; row < chunk.n_rows(); ++row) {
      if (document == nullptr || document_column[row] != document_id) {
        document_id = document_column[row];
        document = &documents[document_id];
        is_pending = false;
      }
      if (sequence_column[row] != sequence) is_pending = false;
      sequence = sequence_column[row];
      if (is_pending && !chunk.IsNull(4, row)) {
        document->sums[kLossWithBytes] += pending_loss;
        document->sums[kBytes] += static_cast<double>(bytes_column[row]);
      }
      ++document->tokens;
      document->plain_tokens += special_column[row] == 0;
      is_pending = !chunk.IsNull(3, row);
      if (!is_pending) continue;
      pending_loss = loss_column[row];
      document->sums[kLoss] += pending_loss;
      document->sums[kPredictions] += 1;
    }
  });
  return documents;
}

struct DatasetLoss {
  PerplexityRow row;
  std::vector<double> unit_sums;  // [n_units, kColumns]
  std::unordered_map<std::string, size_t> units;
};

}  // namespace

void FinishPerplexity(PerplexityRow& row, std::span<const double> unit_sums,
                      const std::string& unit_by, const BootstrapOptions& bootstrap,
                      ThreadPool& pool) {
  double sums[kColumns] = {};
  for (size_t i = 0; i < unit_sums.size(); ++i) sums[i % kColumns] += unit_sums[i];
  row.n_units = static_cast<int64_t>(unit_sums.size() / kColumns);
  row.predictions = static_cast<int64_t>(sums[kPredictions]);
  row.bytes = static_cast<int64_t>(sums[kBytes]);
  row.mean_loss = row.predictions > 0 ? sums[kLoss] / sums[kPredictions] : std::nan("");
  row.perplexity = std::exp(row.mean_loss);
  const double nats_per_byte = row.bytes > 0 ? sums[kLossWithBytes] / sums[kBytes] : std::nan("");
  row.bits_per_byte = nats_per_byte / std::numbers::ln2;
  row.why_no_interval = WhyNoInterval(row.n_units, unit_by);
  if (row.predictions == 0) row.why_no_interval = "no losses";
  const Ratio ratios[] = {{kLoss, kPredictions}, {kLossWithBytes, kBytes}};
  const auto intervals =
      BootstrapRatios(unit_sums, kColumns, ratios, KeyOfName(row.dataset), bootstrap, pool);
  if (intervals.empty() || row.predictions == 0) return;
  row.mean_loss_interval = intervals[0];
  row.perplexity_interval = {std::exp(intervals[0].low), std::exp(intervals[0].high)};
  if (row.bytes == 0) return;
  row.bits_per_byte_interval = {intervals[1].low / std::numbers::ln2,
                                intervals[1].high / std::numbers::ln2};
}

std::vector<PerplexityRow> PerplexityTable(const store::Run& run, store::Database& database,
                                           const BootstrapOptions& bootstrap, ThreadPool& pool) {
  if (!run.description().has_losses) return {};
  const auto documents = SumDocuments(database);
  std::vector<DatasetLoss> datasets;
  std::unordered_map<std::string, size_t> index;
  const store::Table names =
      database.Query("SELECT document, dataset, unit FROM documents ORDER BY document");
  for (const auto& name : names.rows) {
    const auto found = documents.find(std::get<int64_t>(name[0]));
    if (found == documents.end()) continue;  // a document without tokens
    const auto& dataset_name = std::get<std::string>(name[1]);
    const auto [place, is_new] = index.try_emplace(dataset_name, datasets.size());
    if (is_new) datasets.emplace_back().row.dataset = dataset_name;
    DatasetLoss& dataset = datasets[place->second];
    const auto [unit, new_unit] =
        dataset.units.try_emplace(std::get<std::string>(name[2]), dataset.units.size());
    if (new_unit) dataset.unit_sums.resize(dataset.unit_sums.size() + kColumns);
    ++dataset.row.documents;
    dataset.row.tokens += found->second.tokens;
    dataset.row.plain_tokens += found->second.plain_tokens;
    for (int column = 0; column < kColumns; ++column) {
      dataset.unit_sums[unit->second * kColumns + column] += found->second.sums[column];
    }
  }
  std::vector<PerplexityRow> rows;
  for (DatasetLoss& dataset : datasets) {
    std::string unit_by;
    for (const auto& described : run.description().datasets) {
      if (described.name == dataset.row.dataset) unit_by = described.unit_by;
    }
    if (run.description().bos == "stream") unit_by = "-";
    FinishPerplexity(dataset.row, dataset.unit_sums, unit_by, bootstrap, pool);
    rows.push_back(std::move(dataset.row));
  }
  return rows;
}

}  // namespace moescope::study
