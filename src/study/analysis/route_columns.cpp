#include "study/analysis/route_columns.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/error.h"

namespace moescope::study {

int32_t RowColumnsBuilder::IndexOfDataset(const std::string& name) {
  const auto [place, is_new] =
      dataset_index_.try_emplace(name, static_cast<int32_t>(columns_.datasets.size()));
  if (is_new) columns_.datasets.emplace_back().name = name;
  return place->second;
}

int32_t RowColumnsBuilder::IndexOfUnit(int32_t dataset, const std::string& name) {
  // A NUL cannot be mistaken for part of the number before it.
  const std::string key = std::to_string(dataset) + '\0' + name;
  const auto [place, is_new] =
      unit_index_.try_emplace(key, static_cast<int32_t>(columns_.units.size()));
  if (is_new) {
    columns_.units.push_back({name, dataset});
    columns_.datasets[dataset].units.push_back(place->second);
  }
  return place->second;
}

void RowColumnsBuilder::BeginDocument(int64_t document, const std::string& dataset,
                                      const std::string& unit) {
  DocumentRange range;
  range.document = document;
  range.dataset = IndexOfDataset(dataset);
  range.unit = IndexOfUnit(range.dataset, unit);
  range.first_sequence = static_cast<int64_t>(columns_.sequences.size());
  range.first_row = columns_.n_rows();
  columns_.datasets[range.dataset].documents.push_back(
      static_cast<int32_t>(columns_.documents.size()));
  columns_.documents.push_back(range);
}

void RowColumnsBuilder::BeginSequence() {
  MOESCOPE_CHECK(!columns_.documents.empty());
  columns_.sequences.push_back({columns_.n_rows(), 0});
  ++columns_.documents.back().n_sequences;
}

void RowColumnsBuilder::AddRow(int32_t token_id, int32_t position, bool special) {
  MOESCOPE_CHECK(!columns_.sequences.empty());
  if (special) {
    ++columns_.n_special;
    columns_.row_of_token.push_back(-1);
    return;
  }
  columns_.row_of_token.push_back(static_cast<int32_t>(columns_.n_rows()));
  columns_.token_id.push_back(token_id);
  columns_.position.push_back(position);
  ++columns_.sequences.back().n_rows;
  DocumentRange& document = columns_.documents.back();
  ++document.n_rows;
  ++columns_.datasets[document.dataset].n_rows;
}

void RowColumnsBuilder::SkipRow() {
  ++columns_.n_other;
  columns_.row_of_token.push_back(-1);
}

void RowColumnsBuilder::Reserve(int64_t n_tokens) {
  columns_.token_id.reserve(n_tokens);
  columns_.position.reserve(n_tokens);
  columns_.row_of_token.reserve(n_tokens);
}

RowColumns RowColumnsBuilder::Finish() {
  if (columns_.n_special + columns_.n_other == 0) columns_.row_of_token.clear();
  return std::move(columns_);
}

bool RowColumns::HasTokenIds(int dataset) const {
  for (int32_t d : datasets[dataset].documents) {
    const DocumentRange& document = documents[d];
    for (int64_t row = 0; row < document.n_rows; ++row) {
      if (token_id[document.first_row + row] < 0) return false;
    }
  }
  return true;
}

std::vector<int> ParseLayers(const std::string& text, const std::vector<int>& available) {
  if (available.empty()) throw Error(ErrorKind::kBadInput, "the run has no routes");
  if (text == "all") return available;
  std::vector<int> layers;
  if (text.empty()) {
    layers = {available.front(), available[(available.size() - 1) / 2], available.back()};
  }
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    int layer = 0;
    const auto [stop, error] = std::from_chars(text.data() + begin, text.data() + end, layer);
    if (error != std::errc() || stop != text.data() + end) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("--layers {}: expected numbers separated by commas, or 'all'", text));
    }
    if (!std::binary_search(available.begin(), available.end(), layer)) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("--layers {}: the run has layers {} to {}, not {}", text,
                              available.front(), available.back(), layer));
    }
    layers.push_back(layer);
    begin = end + 1;
  }
  std::sort(layers.begin(), layers.end());
  layers.erase(std::unique(layers.begin(), layers.end()), layers.end());
  return layers;
}

}  // namespace moescope::study
