// A run as plain arrays: what all layers share (tokens, sequences, documents, units), and the
// decisions of one layer at a time. Analyses are pure functions over these.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "store/run.h"

namespace moescope::study {

// Consecutive plain rows of one sequence.
struct SequenceRange {
  int64_t first_row = 0;
  int64_t n_rows = 0;
};

// Consecutive plain rows and sequences of one document.
struct DocumentRange {
  int64_t document = 0;  // as in the store
  int32_t dataset = 0;   // into RowColumns::datasets
  int32_t unit = 0;      // into RowColumns::units
  int64_t first_sequence = 0;
  int64_t n_sequences = 0;
  int64_t first_row = 0;
  int64_t n_rows = 0;
};

// A source that documents come from: what statistics resample. Unit names count within a data set.
struct UnitInfo {
  std::string name;
  int32_t dataset = 0;
};

// One data set: its documents and units, and why it may have no interval.
struct DatasetInfo {
  std::string name;
  std::string unit_by;             // from the manifest; "-": a single stream
  std::vector<int32_t> documents;  // into RowColumns::documents, in token order
  std::vector<int32_t> units;      // into RowColumns::units, in order of first appearance
  int64_t n_rows = 0;
};

// One entry per plain row of the data sets looked at (special rows such as BOS are left out), in
// token order. 12 bytes a row.
struct RowColumns {
  std::vector<DatasetInfo> datasets;  // in order of first appearance
  std::vector<UnitInfo> units;
  std::vector<DocumentRange> documents;
  std::vector<SequenceRange> sequences;
  std::vector<int32_t> token_id;      // [n_rows]
  std::vector<int32_t> position;      // [n_rows] in its sequence, special rows counted
  std::vector<int32_t> row_of_token;  // [tokens of the run] -1: left out; empty: the identity
  int64_t n_special = 0;              // special rows of these data sets
  int64_t n_other = 0;                // rows of data sets left out

  int64_t n_rows() const { return static_cast<int64_t>(token_id.size()); }
  int64_t n_tokens() const { return n_rows() + n_special + n_other; }  // of the run
  // False for imported routes without token ids.
  bool HasTokenIds(int dataset) const;
};

// Decisions of one layer, for the rows of a RowColumns.
struct LayerColumns {
  int layer = 0;
  int n_experts = 0;
  int experts_per_token = 0;
  std::vector<int16_t> experts;  // [n_rows, experts_per_token], first choice first; -1: dropped
};

// Builds RowColumns from tokens in order: for imported or generated data and for tests.
class RowColumnsBuilder {
 public:
  // Starts a document; documents of one data set and unit name belong to one unit.
  void BeginDocument(int64_t document, const std::string& dataset, const std::string& unit);
  void BeginSequence();
  void AddRow(int32_t token_id, int32_t position, bool special);
  // A token of a data set that is left out.
  void SkipRow();
  RowColumns Finish();
  void Reserve(int64_t n_tokens);

 private:
  int32_t IndexOfDataset(const std::string& name);
  int32_t IndexOfUnit(int32_t dataset, const std::string& name);
  RowColumns columns_;
  std::unordered_map<std::string, int32_t> dataset_index_;
  std::unordered_map<std::string, int32_t> unit_index_;
};

// Reads what all layers share; needs about 12 bytes a row. Tokens of a partial run beyond its last
// committed part are absent.
//   datasets  names of those to look at; empty: all
// Throws Error(kNotFound) for a name the run does not have, naming those it has, Error(kCorrupt)
// when tokens are out of order or name a document that is not there, kResource for runs of 2^31
// rows or more.
RowColumns LoadRows(const store::Run& run, store::Database& database,
                    const std::vector<std::string>& datasets = {});

// Throws Error(kBadInput) when the run has no routes because its model is dense, naming what works
// with it. What needs routes calls it first.
void RequireRoutes(const store::Run& run);

// Row of a token that the routes of a layer name, -1 for a special one.
// Throws Error(kCorrupt) for a token that the run does not have.
int64_t RowOfToken(const store::Run& run, const RowColumns& rows, int layer, int64_t token);

// Reads one layer's decisions (2 K bytes a row), in whatever order the store hands them over.
// Throws Error(kBadInput) for a layer the run does not have or a dense run, kCorrupt for experts
// out of range or rows missing.
LayerColumns LoadLayer(const store::Run& run, store::Database& database, const RowColumns& rows,
                       int layer);

// "0,3", "all", or "" for the default: first, middle, last of those available (0, 15, 31 of 32).
// Throws Error(kBadInput) naming the text or the layer that is not there.
std::vector<int> ParseLayers(const std::string& text, const std::vector<int>& available);

}  // namespace moescope::study
