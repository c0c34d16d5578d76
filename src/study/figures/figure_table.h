// A figure's numbers as one table, printed three ways: aligned text with bars, CSV, JSON rows.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "study/analysis/expert_shares.h"
#include "study/analysis/findings.h"
#include "study/analysis/perplexity.h"
#include "study/analysis/repetition.h"
#include "study/analysis/statement.h"
#include "study/analysis/token_views.h"

namespace moescope::study {

// A table of counts inside a cell, row by row: a list of lists in JSON, rows separated by ";" and
// counts by blanks in CSV.
struct CountTable {
  int n_columns = 1;
  std::vector<int64_t> counts;
  std::vector<std::vector<int64_t>> Rows() const;
};

// Empty: null in JSON, nothing in CSV, "-" on a terminal.
using Cell = std::variant<std::monostate, int64_t, double, std::string, CountTable>;

// A further list of rows that belongs to a figure: links of a diagram, losses beside routes.
struct NamedRows {
  std::string name;
  std::vector<std::string> columns;
  std::vector<std::vector<Cell>> rows;
};

// The rows as --json and --csv give them: fractions, full precision, one name a column.
struct FigureTable {
  std::string figure;                               // "7", "table5", "perplexity"
  std::vector<std::pair<std::string, Cell>> about;  // what holds for all rows: "convention", "lag"
  std::vector<std::string> columns;
  std::vector<std::vector<Cell>> rows;
  std::vector<NamedRows> more;  // in JSON only, each under its name
};

FigureTable SharesFigure(const std::vector<ExpertShare>& shares,
                         ShareConvention convention = ShareConvention::kAssignments);
FigureTable RepetitionFigure(const std::vector<RepetitionCell>& cells,
                             bool differing_tokens = false);
FigureTable PerplexityFigure(const std::vector<PerplexityRow>& rows);
FigureTable ExpertTokensFigure(int layer, int expert, const std::vector<ExpertToken>& tokens);
FigureTable FindingsFigure(const Findings& findings);
FigureTable TokenExpertsFigure(const std::vector<TokenExpert>& experts);

// {"figure": ..., about..., "rows": [{column: value}], "statement": {...}}, one line a row.
std::string FigureJson(const FigureTable& table, const Statement& statement);
// The same for a figure about two runs: "statement": {"a": {...}, "b": {...}}.
std::string FigureJson(const FigureTable& table, const Statement& a, const Statement& b);
// RFC 4180, with a header line.
std::string FigureCsv(const FigureTable& table);
// {"model": ..., ...}: the statement alone, as it stands in every JSON.
std::string StatementJson(const Statement& statement);

}  // namespace moescope::study
