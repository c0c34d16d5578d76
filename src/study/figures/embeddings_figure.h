// Hidden states against embeddings, as rows and on a terminal.
#pragma once

#include <string>
#include <vector>

#include "study/analysis/embedding_table.h"
#include "study/figures/figure_table.h"

namespace moescope::study {

FigureTable EmbeddingsFigure(const std::vector<EmbeddingRow>& rows);
// A table for each layer and site of the rows, of a dense model or a mixture of experts.
std::string EmbeddingsText(const std::vector<EmbeddingRow>& rows, bool is_dense);

}  // namespace moescope::study
