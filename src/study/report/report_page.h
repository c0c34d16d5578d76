// The page around the data: one HTML file that needs nothing else.
#pragma once

#include <string>
#include <string_view>

namespace moescope::study {

// Fills the places {{title}} and {{data}}, in this order, of a template (web_bundle.h).
// `title` as plain text and `data` as JSON, both escaped for where they stand: whatever a token or
// a document's name holds, the page's structure stays.
std::string RenderPage(std::string_view page_template, std::string_view title,
                       std::string_view data);

}  // namespace moescope::study
