// What is bundled from web/ at build and lies in the program.
#pragma once

#include <string_view>

namespace moescope::study {

// One HTML file with the places {{title}} and {{data}}.
std::string_view PageTemplate();
// {"dataset_colours": [...], "shapes": {name: spec}, "charts": {name: template}}
std::string_view ChartTemplates();

}  // namespace moescope::study
