#include "lab/planted/copy_head.h"

#include <gtest/gtest.h>

#include "engine/generate/generator.h"
#include "lab/attention.h"
#include "lab/planted/planted_run.h"
#include "store/test_directory.h"

namespace moescope::lab {
namespace {

class CopyHead : public store::TestDirectory {
 protected:
  // How many of n_keys passkeys the model repeats, greedily, in a text of n_tokens.
  int CountRepeated(const PlantedWeights& weights, int n_tokens, int n_keys) {
    PlantedRun run(weights, Path("model"));
    engine::Session session(run.model(), engine::SelectKernels(), run.pool(),
                            {.context = n_tokens});
    int n_repeated = 0;
    for (int i = 0; i < n_keys; ++i) {
      const Passkey passkey = MakePasskey(n_tokens, static_cast<uint32_t>(1000 * n_tokens + i));
      const std::vector<int32_t> prompt = run.Tokens(passkey.prompt);
      const auto n_key = static_cast<int>(passkey.key.size());
      EXPECT_EQ(static_cast<int>(prompt.size()) + n_key, n_tokens);
      session.Truncate(0);
      engine::GenerateOptions options;
      options.max_tokens = n_key;
      const engine::Generated generated =
          engine::Generate(session, run.tokenizer(), {}, prompt, options, [](auto, auto&) {});
      n_repeated += generated.text == passkey.key;
    }
    return n_repeated;
  }
};

TEST_F(CopyHead, RepeatsEveryPasskeyAtEveryLength) {
  for (int n_tokens : {16, 64, 256, 1024}) {
    EXPECT_EQ(CountRepeated(CopyHeadModel(), n_tokens, 20), 20) << n_tokens << " tokens";
  }
  EXPECT_EQ(CountRepeated(CopyHeadModel(), 2048, 5), 5) << "the whole context";
}

TEST_F(CopyHead, RepeatsNoneWithoutEitherHead) {
  for (PlantedHead head : {kCopyHead, kPreviousTokenHead}) {
    PlantedWeights weights = CopyHeadModel();
    Silence(weights, head);
    EXPECT_EQ(CountRepeated(weights, 64, 20), 0) << "layer " << head.layer;
  }
}

TEST_F(CopyHead, OtherHeadsDoNotMatter) {
  PlantedWeights weights = CopyHeadModel();
  Silence(weights, {kPreviousTokenHead.layer, 1 - kPreviousTokenHead.head});
  Silence(weights, {kCopyHead.layer, 1 - kCopyHead.head});
  EXPECT_EQ(CountRepeated(weights, 64, 20), 20);
}

TEST_F(CopyHead, FiguresTellWhatTheHeadsLookAt) {
  PlantedRun run(CopyHeadModel(), Path("model"));
  const int n_tokens = 1024;
  const Passkey passkey = MakePasskey(n_tokens, 7);
  const auto n = static_cast<int64_t>(run.Tokens(passkey.prompt).size());
  HeadFiguresProbe figures(run.model().config());
  AttentionRowsProbe last(kCopyHead.layer, kCopyHead.head, n - 1, n - 1, n);
  routing::Probe* probes[] = {&figures, &last};
  run.Run({passkey.prompt}, probes);

  for (const HeadFigures& head : figures.Figures()) {
    if (head.layer == kPreviousTokenHead.layer && head.head == kPreviousTokenHead.head) {
      EXPECT_GT(head.previous, 0.9999);
      EXPECT_NEAR(head.distance, 1, 1e-3);
    } else {
      EXPECT_LT(head.previous, 0.05) << "layer " << head.layer << " head " << head.head;
    }
    if (head.layer == kCopyHead.layer && head.head == kCopyHead.head) {
      EXPECT_GT(head.sink, 0.99);  // filler matches nothing
    }
  }
  // The last token is the trigger: it looks at the digit after the trigger before.
  EXPECT_GT(last.Row(n - 1)[static_cast<size_t>(passkey.place)], 0.9999f);
}

}  // namespace
}  // namespace moescope::lab
