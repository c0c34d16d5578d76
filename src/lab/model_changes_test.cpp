#include "lab/model_changes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "base/error.h"
#include "engine/generate/session.h"
#include "lab/capture.h"
#include "lab/text_model.h"
#include "lab/trace.h"
#include "store/test_directory.h"

namespace moescope::lab {
namespace {

class ModelChangesTest : public store::TestDirectory {
 protected:
  void SetUp() override {
    store::TestDirectory::SetUp();
    const char* root = std::getenv("MOESCOPE_SOURCE_DIR");
    if (root == nullptr) GTEST_SKIP() << "no source folder named";
    model_path_ = std::string(root) + "/demo/demo-mixtral-Q8_0.gguf";
    opened_ = OpenTextModel(model_path_);
    text::Encoding encoding;
    opened_.tokenizer->Encode("Once upon a time there was a king", encoding);
    prompt_ = encoding.ids;
  }

  // The logits after the prompt, and after each of some tokens decoded greedily.
  std::vector<float> LogitsOf(const ModelChanges& changes) {
    const PlannedChanges planned(changes, *opened_.model, Setting::kSession);
    engine::SessionOptions options{.context = 64};
    options.experts_per_token = planned.experts_per_token();
    engine::Session session(*opened_.model, engine::SelectKernels(), pool_, options);
    const std::vector<routing::Probe*> probes = planned.probes();
    std::span<const float> last = session.Advance(prompt_, probes);
    std::vector<float> all(last.begin(), last.end());
    for (int i = 0; i < 6; ++i) {
      const auto id =
          static_cast<int32_t>(std::max_element(last.begin(), last.end()) - last.begin());
      last = session.Decode(id, probes);
      all.insert(all.end(), last.begin(), last.end());
    }
    return all;
  }

  std::string model_path_;
  TextModel opened_;
  ThreadPool pool_{2};
  std::vector<int32_t> prompt_;
};

TEST_F(ModelChangesTest, ChangesThatChangeNothingLeaveEveryLogitOfASession) {
  const std::vector<float> plain = LogitsOf({});
  for (const char* text : {"bias=0", "temperature=1", "top-k=2", "skip:0"}) {
    EXPECT_EQ(LogitsOf({.interventions = {text}}), plain) << text;
  }
}

TEST_F(ModelChangesTest, InterventionsHoldInASession) {
  const std::vector<float> plain = LogitsOf({});
  for (const char* text : {"mask@all:3", "zero@0:1", "top-k=1", "top-k=5", "bias=2@0:1"}) {
    EXPECT_NE(LogitsOf({.interventions = {text}}), plain) << text;
  }
  EXPECT_EQ(PlannedChanges({.interventions = {"top-k=5@3"}}, *opened_.model, Setting::kSession)
                .experts_per_token(),
            5);
}

TEST_F(ModelChangesTest, ASessionForcesNoRoutes) {
  try {
    LogitsOf({.interventions = {"force=somewhere"}});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
    EXPECT_NE(std::string(error.what()).find("force=somewhere"), std::string::npos);
  }
}

// What is captured of a run, written over its own residuals, and over those of another text.
class ResidualEditTest : public ModelChangesTest {
 protected:
  void SetUp() override {
    ModelChangesTest::SetUp();
    if (IsSkipped()) return;
    trace_.model = model_path_;
    trace_.n_threads = 2;
    Traced("one", "Once upon a time there was a king.");
    Traced("other", "Never was any tree in that wood older.");
    Captured("one");
    Captured("other");
    dim_ = static_cast<size_t>(opened_.model->config().model_dim);
  }

  store::Run Traced(const std::string& name, const std::string& text,
                    const ModelChanges& changes = {}) {
    Write(name + ".jsonl", "{\"text\": \"" + text + "\"}\n{\"text\": \"And so it went on.\"}\n");
    trace_.data.resize(1);
    trace_.data[0].name = "text";
    trace_.data[0].path = Path(name + ".jsonl");
    trace_.changes = changes;
    trace_.output = Path(name);
    Trace(trace_);
    return store::Run::Open(Path(name));
  }
  void Captured(const std::string& name) {
    CaptureOptions options;
    options.sites = {CaptureSite::kResidualAfterAttention, CaptureSite::kResidualAfterMoe,
                     CaptureSite::kExpertOutput};
    options.layers = {0, 3, 7};
    options.rows_sql = "SELECT token FROM tokens";
    options.output = Path("captured-" + name);
    options.n_threads = 2;
    Capture(opened_, store::Run::Open(Path(name)), options);
  }
  // Losses, experts and weights of a run.
  std::string ViewOf(const std::string& name) const {
    const auto database = store::Run::Open(Path(name)).OpenViews({});
    std::string view;
    for (const char* sql : {"SELECT md5(string_agg(loss::VARCHAR, ',' ORDER BY token)) FROM tokens",
                            "SELECT md5(string_agg(weight_0::VARCHAR || ' ' || expert_0, ',' ORDER "
                            "BY layer, token)) FROM routes"}) {
      view += std::get<std::string>(database->Query(sql).rows.at(0).at(0));
    }
    return view;
  }
  std::string WriteArray(const std::string& name, const std::vector<float>& values,
                         size_t dim) const {
    std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" +
                         std::to_string(values.size() / dim) + ", " + std::to_string(dim) + ")}";
    std::string bytes("\x93NUMPY\x01\x00", 8);
    bytes += static_cast<char>(header.size());
    bytes += '\0';
    bytes += header;
    bytes.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
    return Write(name, bytes);
  }
  std::string MessageOf(const ModelChanges& changes, Setting setting = Setting::kText) const {
    try {
      PlannedChanges(changes, *opened_.model, setting);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  TraceOptions trace_;
  size_t dim_ = 0;
};

TEST_F(ResidualEditTest, PatchingARunsOwnActivationsChangesNoBit) {
  const std::string text = "Once upon a time there was a king.";
  for (const char* site : {"residual_after_attention", "residual_after_moe"}) {
    const std::string from = Path("captured-one") + "/" + site;
    Traced(site, text, {.patches = {from + "@0", from + "@3", from + "@7:1-4"}});
    EXPECT_EQ(ViewOf(site), ViewOf("one")) << site;
  }
}

TEST_F(ResidualEditTest, PatchingAnotherTextsLastLayerGivesItsLosses) {
  // What the last layer hands on is all that the head sees.
  const std::string from = Path("captured-other") + "/residual_after_moe";
  const store::Run run =
      Traced("patched", "Once upon a time there was a king.", {.patches = {from + "@7"}});
  EXPECT_NE(ViewOf("patched"), ViewOf("one"));
  ASSERT_EQ(run.description().interventions.size(), 1u);
  const std::string& written = run.description().interventions[0];
  EXPECT_TRUE(written.starts_with("patch=residual_after_moe:")) << written;
  EXPECT_TRUE(written.ends_with("@7")) << written;
  EXPECT_EQ(written.find(Path("")), std::string::npos);
}

TEST_F(ResidualEditTest, APatchedSessionHasTheLogitsOfTheOther) {
  // All of layer 7 comes from the other text, so the last prompt row's logits are the other's.
  const auto logits = [&](const std::vector<int32_t>& ids, const ModelChanges& changes) {
    const PlannedChanges planned(changes, *opened_.model, Setting::kSession);
    engine::Session session(*opened_.model, engine::SelectKernels(), pool_,
                            {.context = 64, .experts_per_token = planned.experts_per_token()});
    const std::span<const float> last = session.Advance(ids, planned.probes());
    return std::vector<float>(last.begin(), last.end());
  };
  const auto database = store::Run::Open(Path("other")).OpenViews({});
  std::vector<int32_t> other;
  for (const auto& row :
       database->Query("SELECT token_id FROM tokens WHERE sequence = 0 ORDER BY token").rows) {
    other.push_back(static_cast<int32_t>(std::get<int64_t>(row[0])));
  }
  CaptureOptions options;
  options.sites = {CaptureSite::kResidualAfterMoe};
  options.layers = {7};
  options.rows_sql = "SELECT token FROM tokens WHERE sequence = 0";
  options.output = Path("first");
  Capture(opened_, store::Run::Open(Path("other")), options);
  const std::vector<int32_t> same_length(other.size(), other.back());
  EXPECT_NE(logits(same_length, {}), logits(other, {}));
  EXPECT_EQ(logits(same_length, {.patches = {Path("first") + "/residual_after_moe@7"}}),
            logits(other, {}));
}

TEST_F(ResidualEditTest, AddingNothingChangesNoBit) {
  const std::vector<float> plain = LogitsOf({});
  const std::string zero = WriteArray("zero.npy", std::vector<float>(dim_, 0.0f), dim_);
  const std::string one = WriteArray("one.npy", std::vector<float>(dim_, 1.0f), dim_);
  for (const std::string& text : {zero + "@3", zero + "@-1x5", one + "@3x0", one + "@3:900-905"}) {
    EXPECT_EQ(LogitsOf({.additions = {text}}), plain) << text;
  }
  EXPECT_NE(LogitsOf({.additions = {one + "@3x0.25"}}), plain);
  EXPECT_NE(LogitsOf({.additions = {one + "@-1:0,2-3"}}), plain);
}

TEST_F(ResidualEditTest, RowsOfAnArrayGoToPositionsInOrder) {
  std::vector<float> rows(3 * dim_, 0.0f);
  for (size_t d = 0; d < dim_; ++d) rows[2 * dim_ + d] = 0.5f;
  const std::string file = WriteArray("rows.npy", rows, dim_);
  const std::string single = WriteArray("single.npy", std::vector<float>(dim_, 0.5f), dim_);
  EXPECT_EQ(LogitsOf({.additions = {file + "@2"}}), LogitsOf({.additions = {single + "@2:2"}}));
  EXPECT_EQ(LogitsOf({.additions = {file + "@2:1,3-4"}}),
            LogitsOf({.additions = {single + "@2:4"}}));
}

TEST_F(ResidualEditTest, RefusesWhatCannotBe) {
  const std::string narrow = WriteArray("narrow.npy", {1, 2, 3}, 3);
  const std::string two = WriteArray("two.npy", std::vector<float>(2 * dim_, 1.0f), dim_);
  const std::string infinite = WriteArray("infinite.npy", std::vector<float>(dim_, INFINITY), dim_);
  const std::string captured = Path("captured-one") + "/";
  const std::pair<ModelChanges, const char*> cases[] = {
      {{.additions = {two}}, "no '@'"},
      {{.additions = {two + "@8"}}, "a layer from 0 to 7"},
      {{.additions = {two + "@-2"}}, "a layer from 0 to 7"},
      {{.additions = {two + "@a"}}, "a layer from 0 to 7"},
      {{.additions = {two + "@1xnan"}}, "a number as the factor"},
      {{.additions = {two + "@1:3-1"}}, "increasing positions"},
      {{.additions = {two + "@1:"}}, "increasing positions"},
      {{.additions = {two + "@1:0-4"}}, "one for each of 5 positions"},
      {{.additions = {narrow + "@1"}}, "3"},
      {{.additions = {infinite + "@1"}}, "finite numbers"},
      {{.additions = {Path("nowhere.npy") + "@1"}}, "nowhere.npy"},
      {{.patches = {captured + "expert_output@3"}}, "residual_after_attention or"},
      {{.patches = {captured + "anything@3"}}, "anything"},
      {{.patches = {captured + "residual_after_moe@2"}}, "rows captured at layer 2"},
      {{.patches = {captured + "residual_after_moe@3:500"}}, "rows captured at layer 3"},
      {{.patches = {Path("nowhere/residual_after_moe@3")}}, "nowhere"},
  };
  for (const auto& [changes, part] : cases) {
    const std::string message = MessageOf(changes);
    EXPECT_NE(message.find(part), std::string::npos) << part << ": " << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
  EXPECT_NE(MessageOf({.patches = {captured + "residual_after_moe@3"}}, Setting::kSession)
                .find("a capture of one sequence"),
            std::string::npos);
  Write("captured-one/capture.json", "{\"model_identity\": \"0123\"}");
  EXPECT_NE(MessageOf({.patches = {captured + "residual_after_moe@3"}}).find("one of 0123"),
            std::string::npos);
}

TEST_F(ResidualEditTest, ARunOfChangedResidualsIsNotCapturedAgain) {
  const std::string one = WriteArray("one.npy", std::vector<float>(dim_, 1.0f), dim_);
  Traced("changed", "Once upon a time", {.additions = {one + "@3"}});
  EXPECT_THROW(Captured("changed"), Error);
}

}  // namespace
}  // namespace moescope::lab
