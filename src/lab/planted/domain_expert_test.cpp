// The planted domain expert from the checkpoint to the statistics: texts through the engine into a
// run, the run into `figure affinity`.
#include "lab/planted/domain_expert.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "lab/trace.h"
#include "store/run.h"
#include "store/test_directory.h"
#include "study/analysis/affinity.h"

namespace moescope::lab {
namespace {

bool Is(const study::AffinityCell& cell, PlantedExpert planted) {
  return cell.layer == planted.layer && cell.expert == planted.expert;
}

class DomainExpert : public store::TestDirectory {
 protected:
  text::DataSpec Corpus(const std::string& name, const DomainCorpus& corpus) {
    text::DataSpec spec;
    spec.name = name;
    spec.path = Path(name + ".jsonl");
    std::ofstream out(spec.path);
    for (const std::string& text : DomainTexts(corpus)) out << "{\"text\": \"" << text << "\"}\n";
    return spec;
  }

  // Affinity of texts that open with [ against those that open with ].
  study::Affinity Trace(double share_of_low_square, double share_of_low_other) {
    DomainExpertModel().Write(Path("model"));
    TraceOptions options;
    options.model = Path("model");
    options.output = Path("run");
    options.n_threads = 2;
    options.data = {
        Corpus("square", {.share_of_low = share_of_low_square, .seed = 1}),
        Corpus("other", {.square_first = false, .share_of_low = share_of_low_other, .seed = 2})};
    lab::Trace(options);
    const store::Run run = store::Run::Open(options.output);
    const auto database = run.OpenViews({});
    const study::RowColumns rows = study::LoadRows(run, *database);
    ThreadPool pool(2);
    study::AffinityOptions affinity;
    affinity.group = {"square"};
    return study::AffinityTable(run, *database, rows, run.description().LayerNumbers(), affinity,
                                pool);
  }

  // Found raw, by all tokens, with token control, and on both halves of the units.
  void ExpectFound(const study::AffinityCell& cell, int side) {
    EXPECT_EQ(cell.raw.side(), side);
    EXPECT_LE(cell.p_max, 0.001);
    EXPECT_EQ(cell.controlled.side(), side);
    EXPECT_LE(cell.controlled_p, 0.001);
    EXPECT_TRUE(cell.replicated);
  }
};

TEST_F(DomainExpert, IsFoundAndNothingElseIsWhereTokensAreAlike) {
  const study::Affinity affinity = Trace(0.5, 0.5);
  EXPECT_EQ(affinity.group_units, 24);
  EXPECT_EQ(affinity.rest_units, 24);
  ASSERT_EQ(affinity.cells.size(), 24u);
  for (const study::AffinityCell& cell : affinity.cells) {
    SCOPED_TRACE("layer " + std::to_string(cell.layer) + " expert " + std::to_string(cell.expert));
    if (Is(cell, kDomainExpert)) {
      ExpectFound(cell, 1);
      EXPECT_GT(cell.group_share, 0.8);
      EXPECT_EQ(cell.rest_share, 0);
    } else if (Is(cell, kOtherDomainExpert)) {
      ExpectFound(cell, -1);
      EXPECT_EQ(cell.group_share, 0);
    } else {
      EXPECT_GT(cell.p_max, 0.05);
      EXPECT_FALSE(cell.replicated);
      EXPECT_EQ(cell.controlled.side(), 0);
    }
  }
}

// The router of layer 1 reads tokens, and one kind of text has more of some.
TEST_F(DomainExpert, IsToldFromARouterThatReadsTokens) {
  const study::Affinity affinity = Trace(0.7, 0.3);
  for (const study::AffinityCell& cell : affinity.cells) {
    SCOPED_TRACE("layer " + std::to_string(cell.layer) + " expert " + std::to_string(cell.expert));
    if (Is(cell, kDomainExpert) || Is(cell, kOtherDomainExpert)) {
      ExpectFound(cell, Is(cell, kDomainExpert) ? 1 : -1);
      continue;
    }
    EXPECT_EQ(cell.controlled.side(), 0);
    if (!Is(cell, kTokenExpert) && !Is(cell, kOtherTokenExpert)) continue;
    EXPECT_EQ(cell.raw.side(), Is(cell, kTokenExpert) ? 1 : -1);
    EXPECT_LE(cell.p_max, 0.001);
    EXPECT_TRUE(cell.replicated);
    EXPECT_GT(cell.controlled_p, 0.05);
    EXPECT_NEAR(std::log(cell.controlled.odds_ratio), 0, 4 * cell.controlled_log_error_rows);
  }
}

}  // namespace
}  // namespace moescope::lab
