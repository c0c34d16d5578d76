#include "study/report/model_limits.h"

#include <gtest/gtest.h>

namespace moescope::study {
namespace {

store::RunDescription Demo() {
  store::RunDescription run;
  run.model_name = "demo-mixtral-Q8_0.gguf";
  run.n_layers = 8;
  run.n_experts = 8;
  run.experts_per_token = 2;
  run.vocab_size = 4096;
  return run;
}

TEST(ModelLimits, KnowsTheDemoModelByNameAndSize) {
  EXPECT_TRUE(IsDemoModel(Demo()));
  store::RunDescription traced = Demo();
  traced.model_name = "mixtral 16.0 M";  // as trace names it, whatever the file is called
  EXPECT_TRUE(IsDemoModel(traced));
  store::RunDescription larger = Demo();
  larger.n_layers = 32;
  EXPECT_FALSE(IsDemoModel(larger));
  store::RunDescription other = Demo();
  other.model_name = "mixtral-8x7b";
  EXPECT_FALSE(IsDemoModel(other));
}

TEST(ModelLimits, ADenseModelIsNotSpokenOfAsRouting) {
  store::RunDescription run = Demo();
  run.n_experts = run.experts_per_token = 0;
  std::string all;
  for (const auto& [label, text] : LimitsOf(run).paragraphs) all += label + " " + text + "\n";
  EXPECT_NE(all.find("dense"), std::string::npos) << all;
  EXPECT_EQ(all.find("Flat shares"), std::string::npos) << all;
}

TEST(ModelLimits, EveryModelIsToldNotToStandBesideThePaperUnmarked) {
  for (const bool demo : {true, false}) {
    store::RunDescription run = Demo();
    if (!demo) run.model_name = "other";
    std::string all;
    for (const auto& [label, text] : LimitsOf(run).paragraphs) all += label + " " + text + "\n";
    std::string lower = all;
    for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    EXPECT_NE(lower.find("different model and text"), std::string::npos) << all;
  }
}

}  // namespace
}  // namespace moescope::study
