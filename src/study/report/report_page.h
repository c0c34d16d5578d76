// The page around the data: one HTML file that needs nothing else. Its template is one of the
// bundles of web/, carried in the program.
#pragma once

#include <string>
#include <string_view>

namespace moescope::study {

enum class Page { kReport, kAttention };

// The page's template, with the places {{title}} and {{data}}, in this order.
std::string_view PageTemplate(Page page);

// `title` as plain text and `data` as JSON, both escaped for where they stand: whatever a token or
// a document's name holds, the page's structure stays.
std::string RenderPage(std::string_view page_template, std::string_view title,
                       std::string_view data);

}  // namespace moescope::study
