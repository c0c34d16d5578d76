#include "study/figures/claims_figure.h"

#include <fmt/format.h>

#include <cmath>

#include "study/figures/cells.h"
#include "study/figures/text_table.h"

namespace moescope::study {
namespace {

// Breaks between words; lines after the first are indented.
std::string Wrapped(const std::string& text, size_t width, const std::string& indent) {
  std::string lines = indent;
  size_t used = indent.size();
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    if (used + (end - at) > width && used > indent.size()) {
      lines += "\n" + indent;
      used = indent.size();
    } else if (used > indent.size()) {
      lines += ' ';
      ++used;
    }
    lines += text.substr(at, end - at);
    used += end - at;
    at = end + 1;
  }
  return lines + "\n";
}

std::string EffectSentence(const Claim& claim) {
  std::string text;
  if (claim.threshold > 0) {
    text += fmt::format(" An effect ({}) below {:g} counts as none.", claim.unit, claim.threshold);
  }
  if (std::isfinite(claim.smallest_effect)) {
    text += fmt::format(" Smallest one that these data could show: {:.3g} (median).",
                        claim.smallest_effect);
  }
  return text;
}

}  // namespace

FigureTable ClaimsFigure(const std::vector<Claim>& claims) {
  FigureTable table;
  table.figure = "claims";
  table.columns = {"name",  "claim",    "source",    "verdict",   "evidence",        "figure",
                   "agree", "disagree", "undecided", "threshold", "smallest_effect", "unit"};
  for (const Claim& claim : claims) {
    const bool tested = claim.verdict != Verdict::kNotTested;
    table.rows.push_back({claim.name, claim.text, claim.source, Name(claim.verdict), claim.evidence,
                          claim.figure, int64_t{claim.n_for}, int64_t{claim.n_against},
                          int64_t{claim.n_undecided}, Number(claim.threshold),
                          tested ? Number(claim.smallest_effect) : Cell(), claim.unit});
  }
  return table;
}

std::string ClaimsText(const std::vector<Claim>& claims, const TerminalStyle& style) {
  const auto width = static_cast<size_t>(style.width);
  std::string text;
  for (const Claim& claim : claims) {
    text += fmt::format("{:<13} {}\n", Name(claim.verdict), claim.text);
    text += Wrapped(Printable(claim.evidence) + EffectSentence(claim), width, "              ");
    text += fmt::format("              ({}; figure {})\n\n", claim.source, claim.figure);
  }
  return text;
}

}  // namespace moescope::study
