#include "apps/cli/expert_page.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "apps/cli/page_file.h"
#include "base/error.h"
#include "base/units.h"
#include "study/report/report_page.h"
#include "study/report/web_bundle.h"

namespace moescope::cli {
namespace {

// Units come data set by data set.
std::vector<study::DatasetCounts> CountsOf(const store::RunDescription& run,
                                           const std::vector<lab::TextUnit>& units) {
  std::vector<study::DatasetCounts> counts;
  for (const lab::TextUnit& unit : units) {
    if (counts.empty() || counts.back().name != unit.dataset) {
      counts.push_back({.name = unit.dataset,
                        .unit_by = run.UnitBy(unit.dataset),
                        .documents = std::nullopt,
                        .units = 0,
                        .tokens = 0});
    }
    ++counts.back().units;
    counts.back().tokens += unit.n_tokens;
  }
  return counts;
}

}  // namespace

void AddPageOptions(CLI::App& app, ExpertPageFile& file) {
  app.add_option("-o,--output", file.path, "write a page of it, as page.html");
  app.add_option("--title", file.title, "heading of the page");
}

void CheckPage(const ExpertPageFile& file) {
  if (!file.title.empty() && file.path.empty()) {
    throw Error(ErrorKind::kBadInput, "--title is the heading of a page: name the page with -o");
  }
  if (!file.path.empty()) CheckPageWritable(file.path);
}

std::string WriteExpertPage(const ExpertPageFile& file, study::ExpertPage page,
                            const study::FigureTable& table, const study::Statement& statement,
                            const std::vector<lab::TextUnit>& units) {
  if (file.path.empty()) return "";
  if (!file.title.empty()) page.title = file.title;
  const std::string html = study::RenderPage(
      study::PageTemplate(study::Page::kExperts), page.title,
      study::ExpertPageData(page, table, statement, CountsOf(statement.description, units)));
  WritePage(file.path, html);
  return fmt::format("{}: {}, one file, works offline\nnext: open it in a browser\n", file.path,
                     FormatBytes(html.size()));
}

}  // namespace moescope::cli
