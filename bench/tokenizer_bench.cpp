// Speed of tokenising: documents in MB/s, and runs of one repeated character at 1 and 2 MB.
//   tokenizer_bench TOKENIZER.model [DOCUMENTS...]
// Every text is decoded again and compared; the exit code is 1 if one differs.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/platform/file.h"
#include "files/vocabulary.h"
#include "text/document.h"
#include "text/tokenizer.h"

namespace moescope {
namespace {

using text::Encoding;
using text::Tokenizer;

constexpr int kRepeats = 5;

double Seconds(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double FastestSeconds(const std::function<void()>& work) {
  double fastest = Seconds(work);
  for (int i = 1; i < kRepeats; ++i) fastest = std::min(fastest, Seconds(work));
  return fastest;
}

// Decoding gives the text back, but for a literal U+2581, which comes back as a space.
bool ComesBack(const Tokenizer& tokenizer, const std::string& original) {
  std::string expected;
  for (size_t i = 0; i < original.size(); ++i) {
    const bool meta = original.compare(i, 3, "\u2581") == 0;
    expected.push_back(meta ? ' ' : original[i]);
    if (meta) i += 2;
  }
  Encoding encoding;
  tokenizer.Encode(original, encoding);
  return tokenizer.Decode(encoding.ids) == expected;
}

bool MeasureDocuments(const Tokenizer& tokenizer, const std::string& path) {
  const auto source = text::OpenDocuments({text::ParseDataSpec(path)});
  std::vector<std::string> texts;
  uint64_t n_bytes = 0;
  for (text::Document document; source->Next(document);) {
    n_bytes += document.text.size();
    texts.push_back(std::move(document.text));
  }
  uint64_t n_tokens = 0;
  Encoding encoding;
  const double seconds = FastestSeconds([&] {
    n_tokens = 0;
    for (const std::string& each : texts) {
      tokenizer.Encode(each, encoding);
      n_tokens += encoding.ids.size();
    }
  });
  const bool good = std::all_of(texts.begin(), texts.end(),
                                [&](const std::string& t) { return ComesBack(tokenizer, t); });
  fmt::print("{:<50} {:8.2f} MB {:9} tokens {:7.1f} MB/s  {}\n", path, n_bytes / 1e6, n_tokens,
             n_bytes / seconds / 1e6, good ? "comes back" : "DIFFERS");
  return good;
}

bool MeasureRun(const Tokenizer& tokenizer, const std::string& name, const std::string& character) {
  double seconds[2];
  bool good = true;
  for (int doubled = 0; doubled < 2; ++doubled) {
    std::string run;
    while (run.size() < (size_t{1000000} << doubled)) run += character;
    Encoding encoding;
    seconds[doubled] = FastestSeconds([&] { tokenizer.Encode(run, encoding); });
    good = good && ComesBack(tokenizer, run);
  }
  fmt::print("1 MB of {:<42} {:8.1f} ms, twice the size {:.2f} times the time  {}\n", name,
             seconds[0] * 1e3, seconds[1] / seconds[0], good ? "comes back" : "DIFFERS");
  return good;
}

int Run(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: tokenizer_bench TOKENIZER.model [DOCUMENTS...]\n");
    return 64;
  }
  const auto tokenizer = text::MakeTokenizer(std::make_shared<files::Vocabulary>(
      files::ParseSentencePieceModel(ReadWholeFile(argv[1], 1 << 28), argv[1])));
  bool good = true;
  for (int i = 2; i < argc; ++i) good = MeasureDocuments(*tokenizer, argv[i]) && good;
  const std::pair<const char*, std::string> kinds[] = {
      {"space", " "},
      {"newline", "\n"},
      {"tab", "\t"},
      {"a", "a"},
      {"e", "e"},
      {"Z", "Z"},
      {"digit 0", "0"},
      {"digit 7", "7"},
      {"full stop", "."},
      {"hyphen", "-"},
      {"equals", "="},
      {"quote", "\""},
      {"NUL", std::string(1, '\0')},
      {"U+2581", "\u2581"},
      {"e acute", "\u00e9"},
      {"combining acute", "e\u0301"},
      {"CJK", "\u4e2d"},
      {"emoji", "\U0001F600"},
      {"emoji joined", "\U0001F468\u200D\U0001F469"},
      {"broken byte FF", "\xff"},
      {"carriage return, newline", "\r\n"},
      {"ab", "ab"},
      {"space a", " a"},
      {"no-break space", "\u00a0"},
  };
  for (const auto& [name, character] : kinds) {
    good = MeasureRun(*tokenizer, name, character) && good;
  }
  struct rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  fmt::print("peak memory {:.0f} MB\n", static_cast<double>(usage.ru_maxrss) / 1024);
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
