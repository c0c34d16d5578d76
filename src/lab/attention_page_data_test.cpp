#include "lab/attention_page_data.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace moescope::lab {
namespace {

std::string Base64Of(std::string_view text) {
  return Base64(std::vector<uint8_t>(text.begin(), text.end()));
}

TEST(AttentionPageData, Base64IsThatOfTheStandard) {
  EXPECT_EQ(Base64Of(""), "");
  EXPECT_EQ(Base64Of("f"), "Zg==");
  EXPECT_EQ(Base64Of("fo"), "Zm8=");
  EXPECT_EQ(Base64Of("foo"), "Zm9v");
  EXPECT_EQ(Base64Of("foob"), "Zm9vYg==");
  EXPECT_EQ(Base64Of("fooba"), "Zm9vYmE=");
  EXPECT_EQ(Base64Of("foobar"), "Zm9vYmFy");
  EXPECT_EQ(Base64({0xfb, 0xff, 0xfe}), "+//+");
}

TEST(AttentionPageData, AByteKeepsAWeightWithinItsBound) {
  for (int i = 0; i <= 100'000; ++i) {
    const double weight = i / 100'000.0;
    const double root = ByteOfWeight(weight) / 255.0;
    ASSERT_LE(std::abs(root * root - weight), std::sqrt(weight) / 255 + 4e-6) << weight;
  }
  EXPECT_EQ(ByteOfWeight(0), 0);
  EXPECT_EQ(ByteOfWeight(1), 255);
  EXPECT_EQ(ByteOfWeight(1.0000001), 255) << "rows sum to one but for rounding";
}

// One layer of two heads over three tokens: head 0 looks at itself, head 1 at the first token.
struct TwoHeads {
  files::ModelConfig config;
  std::unique_ptr<AttentionMatricesProbe> matrices;
  std::unique_ptr<HeadFiguresProbe> figures;

  TwoHeads() {
    config.architecture = "mixtral";
    config.n_layers = 1;
    config.n_heads = 2;
    matrices = std::make_unique<AttentionMatricesProbe>(config, 3, 1);
    figures = std::make_unique<HeadFiguresProbe>(config);
    std::vector<routing::RowInfo> rows(3);
    for (int32_t i = 0; i < 3; ++i) rows[static_cast<size_t>(i)].position = i;
    const std::vector<float> self = {1, 0, 0, 0, 1, 0, 0, 0, 1}, sink = {1, 0, 0, 1, 0, 0, 1, 0, 0};
    for (int head = 0; head < 2; ++head) {
      const routing::AttentionBatch batch = {.layer = 0,
                                             .head = head,
                                             .first_row = 0,
                                             .rows = rows,
                                             .first_key = 0,
                                             .n_keys = 3,
                                             .weights = head == 0 ? self : sink};
      matrices->OnAttention(batch);
      figures->OnAttention(batch);
    }
  }
  AttentionPageModel Model(const std::string& path) const {
    AttentionPageModel model;
    model.path = path;
    model.config = &config;
    model.tokens = {"<s>", "</script>", "\xff"};
    model.heads = figures->Figures();
    model.matrices = matrices.get();
    return model;
  }
};

TEST(AttentionPageData, HoldsFiguresKindsAndMatricesOfEveryHead) {
  const TwoHeads heads;
  const auto page =
      nlohmann::json::parse(AttentionPageData({.title = "t", .command = "c"}, {heads.Model("m")}));
  const auto& model = page["models"][0];
  EXPECT_EQ(model["heads"]["columns"][7], "kind");
  EXPECT_EQ(model["heads"]["rows"][0][7], "self");
  EXPECT_EQ(model["heads"]["rows"][1][7], "sink");
  EXPECT_EQ(model["heads"]["rows"][1][2], 1.0);
  EXPECT_EQ(model["tokens"][1], "</script>");
  EXPECT_EQ(model["tokens"][2], "\xef\xbf\xbd") << "the block is UTF-8 whatever a token holds";
  EXPECT_EQ(model["block"], 1);
  EXPECT_TRUE(model["sink_routes"].empty());
  EXPECT_TRUE(page["first"].is_null());
  const std::vector<uint8_t> triangles = {255, 0,   255, 0,   0, 255,   // looks at itself
                                          255, 255, 0,   255, 0, 0,     // at the first
                                          255, 180, 180, 180, 0, 180};  // half, half: mean of heads
  EXPECT_EQ(model["weights"], Base64(triangles));
}

TEST(AttentionPageData, ModelsHaveNamesThatTellThemApart) {
  const TwoHeads heads;
  auto names = [&](const std::vector<std::string>& paths) {
    std::vector<AttentionPageModel> models;
    for (const std::string& path : paths) models.push_back(heads.Model(path));
    std::vector<std::string> found;
    const auto page = nlohmann::json::parse(AttentionPageData({}, models));
    for (const auto& model : page["models"]) found.push_back(model["name"]);
    return found;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(names({"a/gpt2/", "b/mixtral.gguf"}), (Names{"gpt2", "mixtral.gguf"}));
  EXPECT_EQ(names({"a/gpt2", "b/gpt2"}), (Names{"a/gpt2", "b/gpt2"}));
  EXPECT_EQ(names({"m", "m"}), (Names{"m", "m (2)"}));
}

}  // namespace
}  // namespace moescope::lab
