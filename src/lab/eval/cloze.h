// Makes a task with choices out of any text: how a passage goes on, beside three passages of other
// works. Small models, at chance in what people know, are not at chance in this.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "text/document.h"

namespace moescope::lab {

struct ClozeOptions {
  std::vector<text::DataSpec> data;
  int n_items = 500;  // in all, data sets in turn
  int n_choices = 4;
  int context_bytes = 400;  // about: cuts are made at blanks
  int choice_bytes = 80;
  uint64_t seed = 1;
};

struct ClozeItem {
  std::string dataset, source, unit;  // of the passage
  std::string context;
  std::vector<std::string> choices;  // each begins with the blanks that stand after the context
  int answer = 0;
};

// Items are drawn by seed: a place in the text of a data set, each place alike. The others come
// from other units of the same data set, cut at blanks as the true one is. The same for every
// machine. Throws Error(kBadInput) for a data set of which fewer than two units have a passage long
// enough, and for numbers out of range; as OpenDocuments; kCancelled.
std::vector<ClozeItem> MakeCloze(const ClozeOptions& options,
                                 const text::ParquetOpener& open_parquet = nullptr);

// A JSON object a line, as the shape "cloze" reads it.
std::string FormatCloze(const std::vector<ClozeItem>& items);

}  // namespace moescope::lab
