// Speed of tokenising: documents in MB/s, and runs of one repeated character at 1 and 2 MB.
//   tokenizer_bench TOKENIZER.model|TOKENIZER.json [DOCUMENTS...]
// Every text is decoded again and compared; the exit code is 1 if one differs.
#include <fmt/format.h>
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/platform/file.h"
#include "files/tokenizer_json.h"
#include "files/vocabulary.h"
#include "text/document.h"
#include "text/tokenizer.h"

namespace moescope {
namespace {

using text::Encoding;
using text::Tokenizer;

constexpr int kRepeats = 5;

std::unique_ptr<Tokenizer> Open(const std::string& path) {
  const std::string bytes = ReadWholeFile(path, 1 << 28);
  return text::MakeTokenizer(std::make_shared<files::Vocabulary>(
      path.ends_with(".json") ? files::ParseTokenizerJson(bytes, path)
                              : files::ParseSentencePieceModel(bytes, path)));
}

std::vector<int32_t> EncodeAll(const Tokenizer& tokenizer, const std::string& text) {
  Encoding encoding;
  tokenizer.Encode(text, encoding);
  return encoding.ids;
}

double Seconds(const std::function<void()>& work) {
  // Of this thread, so that other work on the machine counts less.
  const auto now = [] {
    struct timespec time = {};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  };
  const double begin = now();
  work();
  return now() - begin;
}

double FastestSeconds(const std::function<void()>& work) {
  double fastest = Seconds(work);
  for (int i = 1; i < kRepeats; ++i) fastest = std::min(fastest, Seconds(work));
  return fastest;
}

// Decoding gives the text back, but for a literal U+2581, which comes back as a space from
// vocabularies of characters, and a first space where the tokenizer puts one.
bool ComesBack(const Tokenizer& tokenizer, const std::string& original) {
  std::string expected;
  const bool replaces = tokenizer.Decode(EncodeAll(tokenizer, "a\u2581")) == "a ";
  for (size_t i = 0; i < original.size(); ++i) {
    const bool meta = replaces && original.compare(i, 3, "\u2581") == 0;
    expected.push_back(meta ? ' ' : original[i]);
    if (meta) i += 2;
  }
  Encoding encoding;
  tokenizer.Encode(original, encoding);
  const std::string decoded = tokenizer.Decode(encoding.ids);
  return decoded == expected || " " + decoded == expected;
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
    fmt::print(stderr, "usage: tokenizer_bench TOKENIZER.model|TOKENIZER.json [DOCUMENTS...]\n");
    return 64;
  }
  std::unique_ptr<Tokenizer> tokenizer;
  const double opening = Seconds([&] { tokenizer = Open(argv[1]); });
  fmt::print("{}: {} pieces, opened in {:.1f} ms\n", argv[1], tokenizer->vocab_size(),
             1e3 * opening);
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
