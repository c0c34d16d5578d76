// Published routes of DeepSeek-V2-Lite (ESFT) through `import esft`: repetition, locality, load.
#include <gtest/gtest.h>

#include <cstdlib>

#include "store/import_esft.h"
#include "store/test_directory.h"
#include "study/analysis/locality.h"
#include "study/analysis/repetition.h"

namespace moescope::study {
namespace {

// Percent, as published: figures of docs/analyses.md computed by others from the same routes.
struct Published {
  const char* task;
  int layer;
  int64_t tokens, pairs;
  double first_repeat, any_overlap, overlap_share;
  double lru_hit[4];  // caches of 6, 8, 16, 32 experts
  double max_load;
};
constexpr Published kPublished[] = {
    {"intent", 1, 8222, 8095, 4.04, 53.76, 16.03, {15.78, 20.41, 43.43, 67.92}, 4.18},
    {"intent", 13, 8222, 8095, 18.74, 87.40, 32.02, {32.54, 37.09, 56.37, 76.74}, 4.00},
    {"intent", 26, 8222, 8095, 8.75, 65.98, 23.34, {22.98, 27.56, 46.97, 73.93}, 3.57},
    {"law", 13, 8327, 8294, 24.14, 84.82, 34.05, {34.17, 38.71, 55.80, 78.43}, 4.75},
};

using EsftFigures = store::TestDirectory;

TEST_F(EsftFigures, RepetitionLocalityAndLoadAreThePublishedOnes) {
  const char* fixtures = std::getenv("MOESCOPE_FIXTURES");
  if (fixtures == nullptr) GTEST_SKIP() << "skipped: no fixtures";
  ThreadPool pool(2);
  RepetitionOptions options;
  options.bootstrap.n_samples = 50;
  for (const char* task : {"intent", "law"}) {
    store::EsftImport import;
    import.path = std::string(fixtures) + "/golden/esft/" + task + "/expert_weights.tar.xz";
    import.dataset = task;
    store::ImportEsft(import, Path(task));
    const store::Run run = store::Run::Open(Path(task));
    auto database = run.OpenViews({});
    const RowColumns rows = LoadRows(run, *database);
    for (const Published& published : kPublished) {
      if (std::string(published.task) != task) continue;
      SCOPED_TRACE(std::string(task) + " layer " + std::to_string(published.layer));
      const LayerColumns layer = LoadLayer(run, *database, rows, published.layer);
      const RepetitionCell cell = ComputeRepetition(rows, layer, options, pool)[0];
      EXPECT_EQ(rows.n_rows(), published.tokens);
      EXPECT_EQ(cell.pairs, published.pairs);
      EXPECT_NEAR(100 * cell.first_repeat, published.first_repeat, 0.00501);
      EXPECT_NEAR(100 * cell.any_overlap, published.any_overlap, 0.00501);
      EXPECT_NEAR(100 * cell.uniform.first_repeat, 1.56, 0.00501);
      EXPECT_NEAR(100 * cell.uniform.any_overlap, 46.01, 0.00501);
      const LocalityCell locality = ComputeLocality(rows, layer, {6, 8, 16, 32})[0];
      EXPECT_NEAR(100 * locality.overlap_share, published.overlap_share, 0.00501);
      for (int i = 0; i < 4; ++i) {
        // Equal gate values leave the order of touching open, which moves a hit or two.
        EXPECT_NEAR(100 * locality.lru_hit[i], published.lru_hit[i], 0.01) << "cache " << i;
      }
      EXPECT_NEAR(locality.max_load, published.max_load, 0.00501);
    }
  }
}

}  // namespace
}  // namespace moescope::study
