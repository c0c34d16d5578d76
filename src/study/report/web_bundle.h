// What is bundled from web/ at build and lies in the program.
#pragma once

#include <string_view>

namespace moescope::study {

enum class Page { kReport, kAttention, kExperts };

// One HTML file with the places {{title}} and {{data}}, in this order.
std::string_view PageTemplate(Page page);
// {"dataset_colours": [...], "shapes": {name: spec}, "charts": {name: template}}
std::string_view ChartTemplates();

}  // namespace moescope::study
