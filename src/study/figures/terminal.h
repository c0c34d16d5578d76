// Figures for people at a terminal: aligned tables, bars of block characters, coloured text.
#pragma once

#include <string>
#include <vector>

#include "study/analysis/expert_shares.h"
#include "study/analysis/findings.h"
#include "study/analysis/perplexity.h"
#include "study/analysis/repetition.h"
#include "study/analysis/statement.h"
#include "study/analysis/token_views.h"
#include "study/figures/routed_text.h"

namespace moescope::study {

struct TerminalStyle {
  bool colour = false;  // 24-bit escape codes
  int width = 100;      // columns
};

std::string SharesText(const std::vector<ExpertShare>& shares, const TerminalStyle& style);
std::string RepetitionText(const std::vector<RepetitionCell>& cells, const TerminalStyle& style);
std::string PerplexityText(const std::vector<PerplexityRow>& rows, const TerminalStyle& style);
std::string ExpertTokensText(int layer, int expert, const std::vector<ExpertToken>& tokens,
                             const TerminalStyle& style);
std::string TokenExpertsText(const std::vector<TokenExpert>& experts, const TerminalStyle& style);
std::string RoutedTextText(const std::vector<RoutedText>& texts, int n_experts,
                           const TerminalStyle& style);
std::string FindingsText(const Findings& findings, const TerminalStyle& style);
// The statement in a few lines, to stand under any of the above.
std::string StatementText(const Statement& statement, const TerminalStyle& style);

}  // namespace moescope::study
