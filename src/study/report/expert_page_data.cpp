#include "study/report/expert_page_data.h"

#include <nlohmann/json.hpp>

#include "study/report/report_figures.h"

namespace moescope::study {

std::string ExpertPageData(const ExpertPage& page, const FigureTable& table,
                           const Statement& statement, const std::vector<DatasetCounts>& datasets) {
  const nlohmann::json json = {
      {"title", page.title},
      {"sentences", page.sentences},
      {"command", page.command},
      {"run", RunJson(statement, datasets)},
      {"shown_layers", nlohmann::json::array()},
      {"figures", {{table.figure, FigureBlock(table, statement, page.command)}}},
      {"limits", LimitsJson(LimitsOf(statement.description))}};
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace moescope::study
