#include "study/figures/terminal.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/units.h"
#include "study/figures/number_text.h"
#include "study/figures/palette.h"
#include "study/figures/text_table.h"

namespace moescope::study {
namespace {

constexpr auto kLeft = TextTable::Align::kLeft;

// Shares of one layer and choice: data sets down, experts across.
struct Panel {
  int layer = 0;
  int choice = kEitherChoice;
  double even_share = 0;
  std::vector<std::pair<std::string, std::vector<const ExpertShare*>>> datasets;
};

std::vector<Panel> MakePanels(const std::vector<ExpertShare>& shares) {
  std::vector<Panel> panels;
  for (const ExpertShare& share : shares) {
    auto panel = std::find_if(panels.begin(), panels.end(), [&](const Panel& p) {
      return p.layer == share.layer && p.choice == share.choice;
    });
    if (panel == panels.end()) {
      panel = panels.insert(panels.end(), {share.layer, share.choice, share.even_share, {}});
    }
    if (panel->datasets.empty() || panel->datasets.back().first != share.dataset) {
      panel->datasets.push_back({share.dataset, {}});
    }
    panel->datasets.back().second.push_back(&share);
  }
  return panels;
}

double LargestShare(const Panel& panel) {
  double largest = panel.even_share;
  for (const auto& [name, shares] : panel.datasets) {
    for (const ExpertShare* share : shares) {
      if (std::isfinite(share->share)) largest = std::max(largest, share->share);
    }
  }
  return largest;
}

std::string ExpertHeading(int expert, const TerminalStyle& style) {
  if (!style.colour) return fmt::format("e{}", expert);
  const Colour colour = ExpertColour(expert);
  return fmt::format("\x1b[48;2;{};{};{}m\x1b[30m e{} \x1b[0m", colour.red, colour.green,
                     colour.blue, expert);
}

// A column an expert: a small bar and the share.
std::string WidePanel(const Panel& panel, const TerminalStyle& style) {
  TextTable table;
  table.AddColumn("data set", kLeft);
  const size_t n_experts = panel.datasets.front().second.size();
  for (size_t e = 0; e < n_experts; ++e) {
    table.AddColumn(ExpertHeading(static_cast<int>(e), style));
  }
  const double largest = LargestShare(panel);
  for (const auto& [name, shares] : panel.datasets) {
    std::vector<std::string> cells = {Printable(name)};
    for (const ExpertShare* share : shares) {
      cells.push_back(Spark(share->share / largest) + fmt::format("{:>5}", Percent(share->share)));
    }
    table.AddRow(std::move(cells));
  }
  return table.Format();
}

// Too many experts for columns: one character each, and the three busiest by name.
std::string NarrowPanel(const Panel& panel) {
  TextTable table;
  table.AddColumn("data set", kLeft);
  table.AddColumn(fmt::format("experts 0 to {}", panel.datasets.front().second.size() - 1), kLeft);
  table.AddColumn("busiest", kLeft);
  const double largest = LargestShare(panel);
  for (const auto& [name, shares] : panel.datasets) {
    std::string bars;
    for (const ExpertShare* share : shares) bars += Spark(share->share / largest);
    std::vector<const ExpertShare*> order = shares;
    std::stable_sort(order.begin(), order.end(), [](const ExpertShare* a, const ExpertShare* b) {
      return a->share > b->share;
    });
    std::string busiest;
    for (size_t i = 0; i < std::min<size_t>(3, order.size()); ++i) {
      busiest +=
          fmt::format("{}e{} {}", i == 0 ? "" : "  ", order[i]->expert, Percent(order[i]->share));
    }
    table.AddRow({Printable(name), bars, busiest});
  }
  return table.Format();
}

}  // namespace

std::string SharesText(const std::vector<ExpertShare>& shares, const TerminalStyle& style) {
  std::string text;
  for (const Panel& panel : MakePanels(shares)) {
    text += fmt::format(
        "Layer {}, {}: percent, even split {}\n\n", panel.layer,
        panel.choice == kEitherChoice ? "any choice" : ChoiceName(panel.choice) + " choice",
        Percent(panel.even_share));
    const size_t n_experts = panel.datasets.front().second.size();
    size_t name_width = 8;
    for (const auto& dataset : panel.datasets) {
      name_width = std::max<size_t>(name_width, DisplayWidth(Printable(dataset.first)));
    }
    const bool fits = name_width + 8 * n_experts <= static_cast<size_t>(style.width);
    text += (fits ? WidePanel(panel, style) : NarrowPanel(panel)) + "\n";
  }
  return text + WhyLines(shares);
}

std::string RepetitionText(const std::vector<RepetitionCell>& cells, const TerminalStyle&) {
  if (cells.empty()) return "";
  TextTable table;
  table.AddColumn("data set", kLeft);
  table.AddColumn("layer");
  for (const char* statistic : {"first", "any"}) {
    table.AddColumn(statistic);
    for (const char* heading : {"95 %", "even", "marg", "shuf", "token"}) table.AddColumn(heading);
  }
  table.AddColumn("cover");
  table.AddColumn("pairs");
  const std::string* previous = nullptr;
  for (const RepetitionCell& cell : cells) {
    const bool is_new = previous == nullptr || *previous != cell.dataset;
    std::vector<std::string> row = {is_new ? Printable(cell.dataset) : "",
                                    fmt::format("{}", cell.layer)};
    const auto add = [&](double value, const std::optional<Interval>& interval, auto statistic) {
      row.push_back(Percent(value));
      row.push_back(PercentInterval(interval));
      for (const NullRepetition* null :
           {&cell.uniform, &cell.marginal, &cell.shuffle, &cell.token}) {
        row.push_back(Percent(null->*statistic));
      }
    };
    add(cell.first_repeat, cell.first_repeat_interval, &NullRepetition::first_repeat);
    add(cell.any_overlap, cell.any_overlap_interval, &NullRepetition::any_overlap);
    row.push_back(Percent(cell.token_coverage));
    row.push_back(FormatCount(cell.pairs));
    table.AddRow(std::move(row));
    previous = &cell.dataset;
  }
  const int lag = cells.front().lag;
  return fmt::format(
             "Repetition between tokens {} apart, percent. first: same first choice; any: a common "
             "expert among those chosen.\nNulls: even (uniform choice), marg (two rows of the data "
             "set), shuf (rows shuffled in their sequence),\ntoken (what the same tokens get in "
             "other documents; cover: pairs it is known for).\n\n",
             lag) +
         table.Format() + "\n" + WhyLines(cells);
}

std::string PerplexityText(const std::vector<PerplexityRow>& rows, const TerminalStyle&) {
  if (rows.empty()) return "The run has no losses.\n";
  TextTable table;
  table.AddColumn("data set", kLeft);
  for (const char* heading :
       {"perplexity", "95 %", "loss", "bits/byte", "predictions", "tokens", "documents", "units"}) {
    table.AddColumn(heading);
  }
  table.AddColumn("", kLeft);
  double largest = 0;
  for (const PerplexityRow& row : rows) {
    if (std::isfinite(row.bits_per_byte)) largest = std::max(largest, row.bits_per_byte);
  }
  for (const PerplexityRow& row : rows) {
    table.AddRow({Printable(row.dataset), RealText(row.perplexity, 2),
                  IntervalText(row.perplexity_interval, 2), RealText(row.mean_loss, 4),
                  RealText(row.bits_per_byte, 3), FormatCount(row.predictions),
                  FormatCount(row.tokens), FormatCount(row.documents), FormatCount(row.n_units),
                  largest > 0 ? Bar(row.bits_per_byte / largest, 12) : ""});
  }
  return "Perplexity (bars: bits per byte, which compare over languages and tokenizers)\n\n" +
         table.Format() + "\n" + WhyLines(rows);
}

std::string ExpertTokensText(int layer, int expert, const std::vector<ExpertToken>& tokens,
                             const TerminalStyle&) {
  TextTable table;
  table.AddColumn("token", kLeft);
  for (const char* heading : {"id", "chose it", "of", "share", "lift", "of the expert"}) {
    table.AddColumn(heading);
  }
  table.AddColumn("", kLeft);
  for (const ExpertToken& token : tokens) {
    table.AddRow({"'" + Printable(token.text) + "'", fmt::format("{}", token.token_id),
                  FormatCount(token.count), FormatCount(token.occurrences),
                  Percent(token.share_of_token), RealText(token.lift, 2),
                  Percent(token.share_of_expert), Bar(token.share_of_token, 16)});
  }
  return fmt::format(
             "Tokens at layer {} expert {}. share: of the token's occurrences, percent; "
             "lift: against all tokens\n\n",
             layer, expert) +
         table.Format() + "\n";
}

std::string TokenExpertsText(const std::vector<TokenExpert>& experts, const TerminalStyle&) {
  TextTable table;
  table.AddColumn("token", kLeft);
  for (const char* heading : {"id", "layer", "expert", "count", "first", "of", "share"}) {
    table.AddColumn(heading);
  }
  table.AddColumn("", kLeft);
  const TokenExpert* previous = nullptr;
  for (const TokenExpert& expert : experts) {
    const bool is_new = previous == nullptr || previous->token_id != expert.token_id;
    if (previous != nullptr && (is_new || previous->layer != expert.layer)) table.AddGap();
    table.AddRow({is_new ? "'" + Printable(expert.text) + "'" : "",
                  is_new ? fmt::format("{}", expert.token_id) : "", fmt::format("{}", expert.layer),
                  fmt::format("{}", expert.expert), FormatCount(expert.count),
                  FormatCount(expert.first_count), FormatCount(expert.occurrences),
                  Percent(expert.share), Bar(expert.share, 24)});
    previous = &expert;
  }
  if (experts.empty()) return "The token does not occur in the run.\n";
  return "Experts that saw the token. count: any choice; share: of its occurrences, percent\n\n" +
         table.Format() + "\n";
}

std::string FindingsText(const Findings& findings, const TerminalStyle&) {
  std::string text;
  for (size_t i = 0; i < findings.findings.size(); ++i) {
    text += fmt::format("{}. {}\n", i + 1, findings.findings[i].sentence);
  }
  if (findings.findings.empty()) text = "Nothing stands out from its null in this run.\n";
  return text + fmt::format("({})\n", findings.rule);
}

std::string StatementText(const Statement& statement, const TerminalStyle&) {
  std::string text;
  for (const auto& [label, value] : StatementLines(statement)) {
    text += fmt::format("{:<13} {}\n", label, Printable(value));
  }
  return text;
}

}  // namespace moescope::study
