// Speed and memory of the whole way from files to sequences.
//   documents_bench TOKENIZER.model NAME=PATH...
// Checks that byte ranges cover each text in order; the exit code is 1 if one does not.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/platform/file.h"
#include "files/vocabulary.h"
#include "text/sequences.h"

namespace moescope {
namespace {

bool Covers(const text::TokenisedDocument& document) {
  uint32_t at = 0;
  for (size_t i = 0; i < document.ids.size(); ++i) {
    if (document.byte_start[i] != at || document.byte_end[i] < at) return false;
    at = document.byte_end[i];
  }
  return at == document.n_bytes;
}

int Run(int argc, char** argv) {
  if (argc < 3) {
    fmt::print(stderr, "usage: documents_bench TOKENIZER.model NAME=PATH...\n");
    return 64;
  }
  const auto tokenizer = text::MakeTokenizer(std::make_shared<files::Vocabulary>(
      files::ParseSentencePieceModel(ReadWholeFile(argv[1], 1 << 28), argv[1])));
  std::vector<text::DataSpec> specs;
  for (int i = 2; i < argc; ++i) specs.push_back(text::ParseDataSpec(argv[i]));
  const auto begin = std::chrono::steady_clock::now();
  text::SequenceReader reader(text::OpenDocuments(specs), *tokenizer, {.chunk = 2048});
  uint64_t n_bytes = 0, n_longest = 0, n_tokens = 0;
  bool good = true;
  for (text::TokenisedDocument document; reader.Next(document);) {
    n_bytes += document.n_bytes;
    n_longest = std::max(n_longest, document.n_bytes);
    n_tokens += document.ids.size();
    good = good && Covers(document);
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  for (const std::string& warning : reader.Warnings()) fmt::print(stderr, "{}\n", warning);
  struct rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  fmt::print(
      "{:.2f} MB of text (longest {:.2f} MB), {} tokens, {:.2f} s, {:.1f} MB/s, peak memory "
      "{:.0f} MB  {}\n",
      n_bytes / 1e6, n_longest / 1e6, n_tokens, seconds.count(), n_bytes / seconds.count() / 1e6,
      static_cast<double>(usage.ru_maxrss) * 1024 / 1e6, good ? "covered" : "NOT COVERED");
  return good ? 0 : 1;
}

}  // namespace
}  // namespace moescope

int main(int argc, char** argv) {
  try {
    return moescope::Run(argc, argv);
  } catch (const moescope::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return moescope::ExitCode(error.kind());
  }
}
