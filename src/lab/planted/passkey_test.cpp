// The passkey grid finds what a planted head does, and that nothing else does it.
#include "lab/eval/passkey.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "lab/planted/copy_head.h"
#include "store/test_directory.h"

namespace moescope::lab {
namespace {

class PasskeyGridTest : public store::TestDirectory {
 protected:
  static PasskeyOptions Options() {
    PasskeyOptions options;
    options.lengths = {32, 128, 512};
    options.depths = {0, 0.5, 1};
    // Digits are looked for, the trigger is unique, filler has neither.
    options.text = {.intro = "",
                    .filler = "abcdefghijklmnopqrstuvwxyz",
                    .needle = "#{key}",
                    .decoy = "{key}",
                    .question = "#",
                    .answer = "{key}"};
    return options;
  }

  Passkeys Run(const PlantedWeights& weights, const PasskeyOptions& options) {
    weights.Write(Path("model"));
    EvalModel model(Path("model"), {.n_threads = 2});
    return RunPasskeys(model, options);
  }

  // Right answers by condition.
  static std::vector<int> CountExact(const Passkeys& passkeys) {
    std::vector<int> exact(3);
    for (const PasskeyTrial& trial : passkeys.trials) {
      exact[static_cast<size_t>(trial.condition)] += trial.exact;
      EXPECT_FALSE(trial.took_decoy);
      EXPECT_EQ(trial.exact, trial.n_right == 5);
    }
    return exact;
  }
};

TEST_F(PasskeyGridTest, CopyModelRepeatsEveryKeyAndNoneThatIsNotThere) {
  const Passkeys passkeys = Run(CopyHeadModel(), Options());
  constexpr int kAll = 3 * 3 * 20;
  EXPECT_EQ(passkeys.trials.size(), 3u * kAll);
  EXPECT_EQ(CountExact(passkeys), (std::vector<int>{kAll, 0, kAll}));
  int64_t expected_rows = 0;  // a decoy is asked for twice: as the key, as itself
  for (int length : {32, 128, 512}) expected_rows += 4 * 3 * 20 * length;
  EXPECT_EQ(passkeys.cost.n_rows, expected_rows) << "lengths are exact";
}

TEST_F(PasskeyGridTest, NothingIsLeftWithoutTheCopyHead) {
  for (PlantedHead head : {kCopyHead, kPreviousTokenHead}) {
    PlantedWeights weights = CopyHeadModel();
    Silence(weights, head);
    PasskeyOptions options = Options();
    options.lengths = {64};
    EXPECT_EQ(CountExact(Run(weights, options)), (std::vector<int>{0, 0, 0}));
  }
}

TEST_F(PasskeyGridTest, ADecoyThatLooksLikeTheKeyIsTaken) {
  PasskeyOptions options = Options();
  options.lengths = {64};
  options.text.needle = "{key}";  // no trigger: cannot be found
  options.text.decoy = "#{key}";
  for (const PasskeyTrial& trial : Run(CopyHeadModel(), options).trials) {
    EXPECT_FALSE(trial.exact);
    EXPECT_EQ(trial.took_decoy, trial.condition == PasskeyCondition::kDecoy);
  }
}

TEST_F(PasskeyGridTest, RefusesWhatCannotBe) {
  const auto refuses = [&](auto change) {
    PasskeyOptions options = Options();
    change(options);
    EXPECT_THROW(Run(CopyHeadModel(), options), Error);
  };
  refuses([](PasskeyOptions& o) { o.n_keys = 19; });
  refuses([](PasskeyOptions& o) { o.depths = {1.5}; });
  refuses([](PasskeyOptions& o) { o.lengths = {12}; });
  refuses([](PasskeyOptions& o) { o.n_digits = 6; });
  refuses([](PasskeyOptions& o) { o.text.needle = "no key"; });
  refuses([](PasskeyOptions& o) { o.text.filler = ""; });
}

}  // namespace
}  // namespace moescope::lab
