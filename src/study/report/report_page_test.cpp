#include "study/report/report_page.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "study/report/web_bundle.h"

namespace moescope::study {
namespace {

constexpr std::string_view kTemplate = "<title>{{title}}</title><script>{{data}}</script>end";

TEST(ReportPage, KeepsTheScriptElementWhateverTheTextHolds) {
  const std::string hostile = "</script><!--<script>\xE2\x80\xA8 {{data}} {{title}} \\ \"";
  const std::string json = nlohmann::json({{"token", hostile}}).dump();
  const std::string page = RenderPage(kTemplate, "t", json);
  const size_t begin = page.find("<script>") + 8;
  const size_t end = page.find("</script>");
  EXPECT_EQ(page.substr(end), "</script>end");
  const std::string data = page.substr(begin, end - begin);
  EXPECT_EQ(data.find('<'), std::string::npos);
  EXPECT_EQ(nlohmann::json::parse(data)["token"], hostile);
}

TEST(ReportPage, ShowsATitleAsPlainText) {
  const std::string page = RenderPage(kTemplate, "</title><b>&\"{{data}}", "{}");
  EXPECT_EQ(page,
            "<title>&lt;/title&gt;&lt;b&gt;&amp;&quot;{{data}}</title><script>{}</script>end");
}

TEST(ReportPage, TemplateWithoutItsPlacesIsABug) {
  EXPECT_THROW(RenderPage("<title>{{title}}</title>", "t", "{}"), Error);
}

TEST(ReportPage, TheBundledTemplatesTakeTitleAndDataOnce) {
  for (const Page page : {Page::kReport, Page::kAttention}) {
    const std::string_view bundled = PageTemplate(page);
    EXPECT_GT(bundled.size(), 100000u) << "Vega alone is larger";
    EXPECT_EQ(bundled.substr(0, 15), "<!doctype html>");
    EXPECT_EQ(bundled.find("http://localhost"), std::string_view::npos);
    const size_t title = bundled.find("{{title}}");
    const size_t data = bundled.find("{{data}}");
    ASSERT_NE(title, std::string_view::npos);
    ASSERT_NE(data, std::string_view::npos);
    EXPECT_LT(title, data);
    EXPECT_NE(bundled.find("default-src 'none'"), std::string_view::npos);
  }
  EXPECT_NE(PageTemplate(Page::kReport), PageTemplate(Page::kAttention));
}

}  // namespace
}  // namespace moescope::study
