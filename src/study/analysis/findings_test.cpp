#include "study/analysis/findings.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/random.h"
#include "store/test_directory.h"
#include "study/analysis/tiny_run.h"
#include "study/analysis/token_classes.h"

namespace moescope::study {
namespace {

// Lines of code: indented, a word, punctuation, a number.
std::vector<std::string> CodeLine(int line) {
  const std::vector<std::string> indentations = {"    ", "        ", "\t"};
  return {indentations[line % 3], "if", " x", " ==", " 12", ":", "\n"};
}

// Documents of both data sets, each a unit of its own. With `planted`, layer 1 sends indentation
// to expert 3 in 90 of 100 cases and data set b prefers expert 2; otherwise experts are even.
std::vector<TinyDocument> MakeDocuments(int n_documents, bool planted) {
  std::vector<TinyDocument> documents;
  Random random(21);
  for (int d = 0; d < n_documents; ++d) {
    TinyDocument& document = documents.emplace_back();
    document.dataset = d % 2 == 0 ? "a" : "b";
    document.unit = "unit " + std::to_string(d);
    document.tokens.push_back({"<s>", {0, 0}});
    for (int line = 0; line < 20; ++line) {
      for (const std::string& bytes : CodeLine(line)) {
        auto layer0 = static_cast<int16_t>(random.Below(4));
        auto layer1 = static_cast<int16_t>(random.Below(4));
        const bool blank = bytes.find_first_not_of(" \t") == std::string::npos;
        if (planted && blank && random.Uniform() < 0.9) layer1 = 3;
        if (planted && document.dataset == "b" && random.Uniform() < 0.3) layer0 = 2;
        document.tokens.push_back({bytes, {layer0, layer1}});
      }
    }
  }
  return documents;
}

class FindingsTest : public store::TestDirectory {
 protected:
  Findings Compute(const std::string& name, int n_documents, bool planted, int n_threads = 2) {
    if (!std::filesystem::exists(Path(name))) {
      WriteTinyRun(Path(name), 2, 4, 1, MakeDocuments(n_documents, planted));
    }
    const store::Run run = store::Run::Open(Path(name));
    auto database = run.OpenViews({});
    const RowColumns rows = LoadRows(run, *database);
    ThreadPool pool(n_threads);
    return ComputeFindings(run, *database, rows, {}, pool);
  }
};

TEST_F(FindingsTest, FindsWhatWasPlantedAndMeasuresItOnTheOtherHalf) {
  const Findings findings = Compute("run", 80, true);
  ASSERT_GE(findings.findings.size(), 2u);
  const Finding& indentation = findings.findings[0];
  EXPECT_EQ(indentation.subject, "indentation tokens");
  EXPECT_EQ(indentation.layer, 1);
  EXPECT_EQ(indentation.expert, 3);
  EXPECT_EQ(indentation.n, 40 * 20);
  EXPECT_EQ(indentation.n_units, 40);
  const double truth = 0.9 + 0.1 * 0.25;
  EXPECT_NEAR(indentation.value, truth, 4 * std::sqrt(truth * (1 - truth) / 800));
  EXPECT_NEAR(indentation.null_value, 0.25, 0.03);
  ASSERT_TRUE(indentation.interval.has_value());
  EXPECT_GT(indentation.interval->low, 0.88);
  const Finding& domain = findings.findings[1];
  EXPECT_EQ(domain.kind, FindingKind::kDomain);
  EXPECT_EQ(domain.subject, "b");
  EXPECT_EQ(domain.layer, 0);
  EXPECT_EQ(domain.expert, 2);
  EXPECT_NEAR(domain.value, 0.3 + 0.7 * 0.25, 0.05);
  EXPECT_NE(indentation.sentence.find("25.0 % in an even split"), std::string::npos)
      << indentation.sentence;
}

TEST_F(FindingsTest, AreTheSameForAnyNumberOfThreads) {
  const Findings one = Compute("run", 40, true, 1), three = Compute("run", 40, true, 3);
  ASSERT_EQ(one.findings.size(), three.findings.size());
  for (size_t i = 0; i < one.findings.size(); ++i) {
    EXPECT_EQ(one.findings[i].sentence, three.findings[i].sentence);
  }
}

// Nothing is planted, dozens of cells are searched: what comes through is the occasional interval
// that misses a null it should hold, and small.
TEST_F(FindingsTest, ReportNothingLargeWhereNothingIs) {
  const Findings findings = Compute("run", 80, false);
  for (const Finding& finding : findings.findings) {
    EXPECT_LT(finding.value - finding.null_value, 0.08) << finding.sentence;
  }
  EXPECT_GT(findings.cells_searched, 20);
}

TEST_F(FindingsTest, SayWhyThereIsNoInterval) {
  const Findings findings = Compute("run", 12, true);
  ASSERT_FALSE(findings.findings.empty());
  EXPECT_FALSE(findings.findings[0].interval.has_value());
  EXPECT_NE(findings.findings[0].sentence.find("6 units; no interval: 6 units, fewer than 10"),
            std::string::npos)
      << findings.findings[0].sentence;
}

TEST(TokenClasses, AreToldFromBytesAndPlace) {
  const std::vector<std::string> vocabulary = {"  ",  "def", " x",    "yz", "\n",
                                               " 42", " (",  "Ünder", "\t"};
  RowColumnsBuilder builder;
  builder.BeginDocument(0, "d", "u");
  builder.BeginSequence();
  //            "  def xyz\n\t 42 (Ünder"
  const std::vector<int32_t> ids = {0, 1, 2, 3, 4, 8, 5, 6, 7};
  for (size_t i = 0; i < ids.size(); ++i) builder.AddRow(ids[i], static_cast<int32_t>(i), false);
  builder.BeginSequence();  // in the middle of a line, as far as is known
  builder.AddRow(0, 0, false);
  builder.AddRow(99, 1, false);  // not in the vocabulary
  const auto classes = ClassifyRows(builder.Finish(), vocabulary);
  const auto bit = [](std::initializer_list<int> list) {
    unsigned bits = 0;
    for (int c : list) bits |= 1u << c;
    return bits;
  };
  EXPECT_EQ(classes[0], bit({kIndentation}));
  EXPECT_EQ(classes[1], bit({kLineStart}));
  EXPECT_EQ(classes[2], 0);
  EXPECT_EQ(classes[3], bit({kContinuation}));
  EXPECT_EQ(classes[4], bit({kLineBreak}));
  EXPECT_EQ(classes[5], bit({kIndentation}));
  EXPECT_EQ(classes[6], bit({kLineStart, kDigits}));
  EXPECT_EQ(classes[7], bit({kPunctuation}));
  EXPECT_EQ(classes[8], bit({kNonAscii}));
  EXPECT_EQ(classes[9], 0);
  EXPECT_EQ(classes[10], 0);
}

}  // namespace
}  // namespace moescope::study
