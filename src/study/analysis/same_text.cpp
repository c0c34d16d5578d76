#include "study/analysis/same_text.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <string>

#include "base/cancellation.h"
#include "base/error.h"

namespace moescope::study {
namespace {

constexpr const char* kTokens =
    "SELECT token, document, position, coalesce(token_id, -1), special, "
    "coalesce(loss, 'NaN'::FLOAT) FROM tokens";

// What has to agree, in token order.
struct Text {
  std::vector<int32_t> ids;    // -1: unknown
  std::vector<uint8_t> marks;  // bit 0: special, bit 1: first token of a document
  std::vector<float> losses;
};

constexpr uint8_t kSpecial = 1, kBeginsDocument = 2;

Text LoadText(const OpenRun& a) {
  Text text;
  int64_t document = -1;
  a.database.Stream(kTokens, [&](store::Chunk& chunk) {
    ThrowIfCancelled();
    const auto documents = chunk.Integers(1), ids = chunk.Integers(3), special = chunk.Integers(4);
    const auto losses = chunk.Reals(5);
    for (int64_t row = 0; row < chunk.n_rows(); ++row) {
      const bool begins = documents[row] != document;
      document = documents[row];
      text.ids.push_back(static_cast<int32_t>(ids[row]));
      text.marks.push_back(static_cast<uint8_t>((special[row] != 0 ? kSpecial : 0) |
                                                (begins ? kBeginsDocument : 0)));
      text.losses.push_back(static_cast<float>(losses[row]));
    }
  });
  return text;
}

[[noreturn]] void ThrowDifferent(const OpenRun& a, const OpenRun& b, const std::string& expected,
                                 const std::string& found, const std::string& where) {
  throw Error(ErrorKind::kBadInput,
              fmt::format("cannot compare {} with {}: {}: expected {} as in the first, found {}; "
                          "both must be traced from the same data with the same tokenizer, BOS "
                          "policy and --max-tokens",
                          b.run.directory(), a.run.directory(), where, expected, found));
}

std::string DescribeMarks(uint8_t marks) {
  return fmt::format("{}{}", marks & kSpecial ? "a special token" : "a token of the text",
                     marks & kBeginsDocument ? " that begins a document" : " inside a document");
}

std::string DescribeId(int32_t id) {
  return id < 0 ? "no token id" : fmt::format("token id {}", id);
}

}  // namespace

std::vector<DocumentLosses> CompareTexts(const OpenRun& a, const OpenRun& b,
                                         const RowColumns& rows) {
  const Text text = LoadText(a);
  const auto n_tokens = static_cast<int64_t>(text.ids.size());
  std::vector<DocumentLosses> losses(rows.documents.size());
  int64_t next = 0, document = -1, at_document = -1;
  b.database.Stream(kTokens, [&](store::Chunk& chunk) {
    ThrowIfCancelled();
    const auto tokens = chunk.Integers(0), documents = chunk.Integers(1),
               positions = chunk.Integers(2), ids = chunk.Integers(3), special = chunk.Integers(4);
    const auto loss = chunk.Reals(5);
    for (int64_t row = 0; row < chunk.n_rows(); ++row, ++next) {
      if (tokens[row] != next) {
        throw Error(ErrorKind::kCorrupt,
                    fmt::format("cannot analyse {}/tokens: expected token {}, found {}; run "
                                "'moescope verify' on it",
                                b.run.directory(), next, tokens[row]));
      }
      if (next >= n_tokens) continue;  // counted, and complained about below
      const bool begins = documents[row] != document;
      document = documents[row];
      const auto marks =
          static_cast<uint8_t>((special[row] != 0 ? kSpecial : 0) | (begins ? kBeginsDocument : 0));
      const auto id = static_cast<int32_t>(ids[row]);
      const std::string where =
          id != text.ids[next] || marks != text.marks[next]
              ? fmt::format("token {} (document {}, position {})", next, document, positions[row])
              : "";
      if (id != text.ids[next]) {
        ThrowDifferent(a, b, DescribeId(text.ids[next]), DescribeId(id), where);
      }
      if (marks != text.marks[next]) {
        ThrowDifferent(a, b, DescribeMarks(text.marks[next]), DescribeMarks(marks), where);
      }
      at_document += begins;
      const double loss_a = double{text.losses[next]}, loss_b = loss[row];
      if (std::isnan(loss_a) || std::isnan(loss_b)) continue;
      MOESCOPE_CHECK(at_document < static_cast<int64_t>(losses.size()));
      ++losses[at_document].predictions;
      losses[at_document].loss_a += loss_a;
      losses[at_document].loss_b += loss_b;
    }
  });
  if (next != n_tokens) {
    ThrowDifferent(a, b, fmt::format("{} tokens", n_tokens), fmt::format("{}", next), "tokens");
  }
  return losses;
}

}  // namespace moescope::study
