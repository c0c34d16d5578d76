#include "text/sequences.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "text/test_vocabulary.h"

namespace moescope::text {
namespace {

// Documents given in memory.
class ListedDocuments : public DocumentSource {
 public:
  explicit ListedDocuments(std::vector<Document> documents) : documents_(std::move(documents)) {}
  bool Next(Document& document) override {
    if (next_ == documents_.size()) return false;
    document = documents_[next_++];
    return true;
  }
  uint64_t bytes_read() const override { return next_; }
  uint64_t bytes_total() const override { return documents_.size(); }

 private:
  std::vector<Document> documents_;
  size_t next_ = 0;
};

Document Text(const std::string& dataset, const std::string& text) {
  return {.dataset = dataset, .source = "s", .unit = "u", .text = text, .tokens = {}};
}
Document Tokens(const std::string& dataset, std::vector<int32_t> ids) {
  return {.dataset = dataset,
          .source = "s",
          .unit = "u",
          .text = {},
          .tokens = std::move(ids),
          .has_tokens = true};
}

class Sequences : public testing::Test {
 protected:
  std::vector<TokenisedDocument> Read(std::vector<Document> documents, SequencePolicy policy) {
    SequenceReader reader(std::make_unique<ListedDocuments>(std::move(documents)), *tokenizer_,
                          policy);
    std::vector<TokenisedDocument> all;
    for (TokenisedDocument document; reader.Next(document);) all.push_back(document);
    return all;
  }

  // One token a letter, from id 3 on.
  std::unique_ptr<Tokenizer> tokenizer_ = MakeTokenizer({{"a"}, {"b"}, {"c"}}, kNoBytes);
};

using Ids = std::vector<int32_t>;
using Starts = std::vector<int64_t>;

TEST_F(Sequences, PutBosBeforeEachDocumentAndOnlyInTheFirstChunk) {
  const auto all = Read({Text("x", "abcab"), Text("x", "c")}, {.chunk = 4});
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].ids, (Ids{1, 3, 4, 5, 3, 4}));
  EXPECT_EQ(all[0].sequence_starts, (Starts{0, 4}));
  EXPECT_TRUE(all[0].has_bos);
  EXPECT_EQ(all[0].byte_start, (std::vector<uint32_t>{0, 0, 1, 2, 3, 4}));
  EXPECT_EQ(all[0].byte_end, (std::vector<uint32_t>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(all[0].n_bytes, 5u);
  EXPECT_EQ(all[1].ids, (Ids{1, 5}));
  EXPECT_EQ(all[1].document, 1);
  EXPECT_EQ(all[1].sequence_starts, (Starts{0}));
}

TEST_F(Sequences, OfExactlyOneChunkAreNotCut) {
  EXPECT_EQ(Read({Text("x", "abc")}, {.chunk = 4})[0].sequence_starts, (Starts{0}));
  EXPECT_EQ(Read({Text("x", "abcabca")}, {.chunk = 4})[0].sequence_starts, (Starts{0, 4}));
  EXPECT_EQ(Read({Text("x", "abcabcab")}, {.chunk = 4})[0].sequence_starts, (Starts{0, 4, 8}));
}

TEST_F(Sequences, HaveNoBosWhenAskedForNone) {
  const auto all = Read({Text("x", "ab"), Text("x", "")}, {.bos = BosPolicy::kNone});
  ASSERT_EQ(all.size(), 1u);  // an empty document has no rows
  EXPECT_EQ(all[0].ids, (Ids{3, 4}));
  EXPECT_FALSE(all[0].has_bos);
}

TEST_F(Sequences, OfAStreamJoinADataSetsTextsExactly) {
  const auto all = Read({Text("x", "ab"), Text("x", "ca"), Text("y", "b")},
                        {.bos = BosPolicy::kStream, .chunk = 3});
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].ids, (Ids{1, 3, 4, 5, 3}));
  EXPECT_EQ(all[0].sequence_starts, (Starts{0, 3}));
  EXPECT_EQ(all[0].unit, "x");
  EXPECT_EQ(all[1].ids, (Ids{1, 4}));
  EXPECT_EQ(all[1].dataset, "y");
  EXPECT_EQ(all[1].document, 1);
}

TEST_F(Sequences, StopAfterMaxTokensInTheMiddleOfADocument) {
  const auto all = Read({Text("x", "ab"), Text("x", "abc"), Text("x", "a")}, {.max_tokens = 5});
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[1].ids, (Ids{1, 3}));
  EXPECT_EQ(all[1].byte_end.size(), 2u);
  EXPECT_EQ(all[1].n_bytes, 3u);  // of the whole document
}

TEST_F(Sequences, KeepGivenIdsAndSeeTheirBos) {
  const auto all = Read({Tokens("x", {1, 5, 5}), Tokens("x", {4})}, {.chunk = 2});
  EXPECT_EQ(all[0].ids, (Ids{1, 5, 5}));
  EXPECT_TRUE(all[0].has_bos);
  EXPECT_EQ(all[0].sequence_starts, (Starts{0, 2}));
  EXPECT_FALSE(all[1].has_bos);
  EXPECT_EQ(all[1].byte_end, (std::vector<uint32_t>{0}));
  EXPECT_NE(all[0].hash, all[1].hash);
}

TEST_F(Sequences, RefuseIdsOutsideTheVocabulary) {
  try {
    Read({Tokens("x", {6})}, {});
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
    EXPECT_STREQ(error.what(), "cannot take the tokens of s in x: expected ids below 6, found 6");
  }
}

TEST_F(Sequences, RefuseAStreamOfTextAndTokens) {
  EXPECT_THROW(Read({Text("x", "a"), Tokens("x", {3})}, {.bos = BosPolicy::kStream}), Error);
}

TEST_F(Sequences, HashTheTextNotItsPlace) {
  const auto all = Read({Text("x", "ab"), Text("y", "ab"), Text("y", "ba")}, {});
  EXPECT_EQ(all[0].hash, all[1].hash);
  EXPECT_NE(all[0].hash, all[2].hash);
}

TEST(BosPolicyNames, AreReadBack) {
  for (const char* name : {"document", "none", "stream"}) {
    EXPECT_EQ(Name(ParseBosPolicy(name)), name);
  }
  EXPECT_THROW(ParseBosPolicy("each"), Error);
}

}  // namespace
}  // namespace moescope::text
