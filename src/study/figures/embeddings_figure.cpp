#include "study/figures/embeddings_figure.h"

#include <fmt/format.h>

#include <cmath>

#include "study/figures/cells.h"
#include "study/figures/number_text.h"
#include "study/figures/text_table.h"

namespace moescope::study {
namespace {

const char* SiteName(EmbeddingSite site) {
  return site == EmbeddingSite::kAfterAttention ? "after_attention" : "after_moe";
}

const char* SiteTitle(EmbeddingSite site, bool is_dense) {
  if (site == EmbeddingSite::kAfterAttention) {
    return is_dense ? "after the attention"
                    : "after the attention: what the router reads, before its norm";
  }
  return is_dense ? "after the feed-forward network: what the layer hands on"
                  : "after the experts: what the layer hands on";
}

// input_correlation, input_low, ...; output_...
constexpr const char* kEstimateColumns[] = {"correlation",
                                            "low",
                                            "high",
                                            "null",
                                            "excess",
                                            "excess_low",
                                            "excess_high",
                                            "against_rest",
                                            "against_rest_low",
                                            "against_rest_high"};

std::vector<Cell> EstimateCells(const EmbeddingEstimate& estimate) {
  return {Number(estimate.correlation),
          Low(estimate.interval),
          High(estimate.interval),
          Number(estimate.null),
          Number(estimate.excess),
          Low(estimate.excess_interval),
          High(estimate.excess_interval),
          Number(estimate.against_rest),
          Low(estimate.against_rest_interval),
          High(estimate.against_rest_interval)};
}

// Intervals here have negative ends.
std::string Between(const std::optional<Interval>& interval) {
  if (!interval) return "-";
  return RealText(interval->low, 3) + " to " + RealText(interval->high, 3);
}

// The interval says enough where there is one.
std::string RestText(const EmbeddingEstimate& estimate) {
  return estimate.against_rest_interval ? Between(estimate.against_rest_interval)
                                        : RealText(estimate.against_rest, 3);
}

TextTable NewTable(bool has_prediction) {
  TextTable table;
  table.AddColumn("data set", TextTable::Align::kLeft);
  for (const char* heading :
       {"own token", "95 %", "null", "minus rest", "next token", "95 %", "null", "minus rest"}) {
    table.AddColumn(heading);
  }
  if (has_prediction) table.AddColumn("predicted");
  return table;
}

std::vector<std::string> EstimateTexts(const EmbeddingEstimate& estimate) {
  return {RealText(estimate.correlation, 3), Between(estimate.interval), RealText(estimate.null, 3),
          RestText(estimate)};
}

}  // namespace

FigureTable EmbeddingsFigure(const std::vector<EmbeddingRow>& rows) {
  FigureTable table;
  table.figure = "embeddings";
  table.columns = {"dataset", "layer", "site", "units", "tokens", "pairs"};
  for (const char* side : {"input", "output"}) {
    for (const char* column : kEstimateColumns) {
      table.columns.push_back(fmt::format("{}_{}", side, column));
    }
  }
  for (const char* column :
       {"predicted_correlation", "predicted_low", "predicted_high", "why_no_interval"}) {
    table.columns.emplace_back(column);
  }
  for (const EmbeddingRow& row : rows) {
    std::vector<Cell>& cells = table.rows.emplace_back();
    cells = {row.dataset, int64_t{row.layer}, SiteName(row.site),
             row.n_units, row.n_tokens,       row.n_pairs};
    for (const EmbeddingEstimate* estimate : {&row.input, &row.output}) {
      for (Cell& cell : EstimateCells(*estimate)) cells.push_back(std::move(cell));
    }
    cells.push_back(Number(row.predicted));
    cells.push_back(Low(row.predicted_interval));
    cells.push_back(High(row.predicted_interval));
    cells.push_back(TextOrNull(row.why_no_interval));
  }
  return table;
}

std::string EmbeddingsText(const std::vector<EmbeddingRow>& rows, bool is_dense) {
  std::string text =
      "Mean correlation of a token's hidden state with its own input embedding, and with the\n"
      "output embedding of the token that follows. null: a token drawn from the data set in its\n"
      "place; minus rest: less the mean of the other data sets, as an interval where there is "
      "one\n";
  for (size_t begin = 0; begin < rows.size();) {
    const EmbeddingRow& first = rows[begin];
    const bool has_prediction = std::isfinite(first.predicted);
    TextTable table = NewTable(has_prediction);
    size_t end = begin;
    for (; end < rows.size() && rows[end].layer == first.layer && rows[end].site == first.site;
         ++end) {
      const EmbeddingRow& row = rows[end];
      std::vector<std::string> cells = {Printable(row.dataset)};
      for (const EmbeddingEstimate* estimate : {&row.input, &row.output}) {
        for (std::string& cell : EstimateTexts(*estimate)) cells.push_back(std::move(cell));
      }
      if (has_prediction) cells.push_back(RealText(row.predicted, 3));
      table.AddRow(std::move(cells));
    }
    text += fmt::format("\nLayer {}, {}\n\n{}", first.layer, SiteTitle(first.site, is_dense),
                        table.Format());
    begin = end;
  }
  const std::string why = WhyLines(rows);
  return why.empty() ? text : text + "\n" + why;
}

}  // namespace moescope::study
