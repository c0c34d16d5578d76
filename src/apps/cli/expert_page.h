// `-o page.html` of `ablate` and `audit`: their figure as one page.
#pragma once

#include <string>
#include <vector>

#include "lab/tokenised_text.h"
#include "study/figures/figure_table.h"
#include "study/report/expert_page_data.h"

namespace CLI {
class App;
}

namespace moescope::cli {

struct ExpertPageFile {
  std::string path, title;  // "": none; made from the model's name
};
void AddPageOptions(CLI::App& app, ExpertPageFile& file);
// Throws Error(kBadInput) for a title without a page, and as CheckPageWritable.
void CheckPage(const ExpertPageFile& file);

// Writes the page where one is asked for; "", or a line that says so. `page.title` is what the page
// is called where the user says nothing. Throws Error(kIo).
std::string WriteExpertPage(const ExpertPageFile& file, study::ExpertPage page,
                            const study::FigureTable& table, const study::Statement& statement,
                            const std::vector<lab::TextUnit>& units);

}  // namespace moescope::cli
