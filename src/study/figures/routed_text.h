// Figure 8: pieces of the run's own documents, each token with its first choice at a few layers.
// The text is rebuilt from the vocabulary; documents themselves are not stored.
// Source: Mixtral of Experts, arXiv 2401.04088, figure 8.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "store/run.h"
#include "study/figures/figure_table.h"

namespace moescope::study {

// Consecutive tokens of one document.
struct RoutedText {
  int64_t document = 0;
  std::string dataset;
  std::string unit;
  std::vector<int32_t> token_ids;  // [n]
  std::vector<int32_t> positions;  // [n]
  std::vector<std::string> bytes;  // [n] as in the vocabulary; not UTF-8 by themselves
  std::vector<int> layers;
  std::vector<std::vector<int16_t>> first_choice;  // [layers][n]; -1: dropped
};

struct RoutedTextOptions {
  std::vector<int64_t> documents;  // empty: the first of each data set
  int max_documents = 3;           // when documents is empty
  int max_tokens = 120;            // of each document, from its beginning
};

// Throws Error(kNotFound) for a document the run does not have.
std::vector<RoutedText> LoadRoutedTexts(const store::Run& run, store::Database& database,
                                        const std::vector<int>& layers,
                                        const RoutedTextOptions& options);

// The tokens as text, with what would break a line or a terminal made visible or replaced:
// control characters become pictures, invalid UTF-8 U+FFFD. Bytes of a character that is spread
// over several tokens are shown with the first of them, the others are empty.
std::vector<std::string> DisplayPieces(const std::vector<std::string>& bytes);

// One row per document, layer, token.
FigureTable RoutedTextFigure(const std::vector<RoutedText>& texts);

}  // namespace moescope::study
