#include "lab/eval/passkey.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "text/tokenizer.h"

namespace moescope::lab {
namespace {

constexpr int kMinKeys = 20;  // a cell with fewer has an interval wider than 0.4
constexpr std::string_view kKeyMark = "{key}";

template <typename Number>
void CheckRange(std::string_view option, Number low, Number high, Number found) {
  if (low <= found && found <= high) return;  // NaN is refused
  throw Error(ErrorKind::kBadInput,
              fmt::format("{}: expected from {} to {}, found {}", option, low, high, found));
}

std::string Fill(const std::string& piece, const std::string& key) {
  std::string filled;
  for (size_t at = 0; at < piece.size();) {
    if (piece.compare(at, kKeyMark.size(), kKeyMark) == 0) {
      filled += key;
      at += kKeyMark.size();
    } else {
      filled += piece[at++];
    }
  }
  return filled;
}

// A prompt to be run, and which trial it tells about.
struct Asked {
  size_t trial = 0;
  bool answers_decoy = false;
};

class PasskeyGrid {
 public:
  PasskeyGrid(EvalModel& model, const PasskeyOptions& options)
      : model_(model), options_(options), tokenizer_(*model.opened.tokenizer) {
    Check();
    if (options.bos && tokenizer_.adds_bos()) intro_ = {tokenizer_.bos_id()};
    Append(options.text.intro, /*at_start=*/true, intro_);
    Append(options.text.question, false, question_);
    Append(options.text.filler, false, filler_);
    if (filler_.empty()) {
      throw Error(ErrorKind::kBadInput, "--filler: expected text, found none");
    }
    MakeTrials();
  }

  Passkeys Run() {
    auto make = [&](size_t i, ScoredSequence& sequence) { Make(asked_[i], sequence); };
    auto take = [&](const ScoredTokens& scored) {
      const Asked& asked = asked_[scored.sequence];
      PasskeyTrial& trial = result_.trials[asked.trial];
      const bool all = scored.n_greedy() == scored.losses.size();
      if (asked.answers_decoy) {
        trial.took_decoy = all;
      } else {
        trial.n_tokens = static_cast<int32_t>(scored.losses.size());
        trial.n_right = static_cast<int32_t>(scored.n_greedy());
        trial.exact = all;
      }
    };
    result_.cost = ScoreSequences(model_, asked_.size(), make, take, /*predictions=*/true);
    return std::move(result_);
  }

 private:
  void Check() const {
    CheckRange("--keys", kMinKeys, 1 << 20, options_.n_keys);
    // The decoy's digits are others.
    CheckRange("--digits", 1, 5, options_.n_digits);
    for (double depth : options_.depths) CheckRange("--depths", 0.0, 1.0, depth);
    const std::pair<const char*, const std::string*> pieces[] = {
        {"--needle", &options_.text.needle},
        {"--decoy", &options_.text.decoy},
        {"--answer", &options_.text.answer}};
    for (const auto& [option, piece] : pieces) {
      if (piece->find(kKeyMark) != std::string::npos) continue;
      throw Error(ErrorKind::kBadInput,
                  fmt::format("{} '{}': expected {{key}} in it, found none", option, *piece));
    }
  }

  void Append(const std::string& text, bool at_start, std::vector<int32_t>& ids) const {
    text::EncodeOptions encode;
    if (!at_start) encode.space_prefix = text::SpacePrefix::kOff;
    text::Encoding encoding;
    tokenizer_.Encode(text, encode, encoding);
    ids.insert(ids.end(), encoding.ids.begin(), encoding.ids.end());
  }

  void MakeTrials() {
    const int context = model_.config().context;
    const bool learned = model_.opened.model->rope_frequencies().empty();
    for (int length : options_.lengths) {
      CheckRange("--lengths", 2, learned ? context : 1 << 24, length);
      for (double depth : options_.depths) {
        for (int key = 0; key < options_.n_keys; ++key) AddTrials(length, depth, key);
      }
    }
  }

  void AddTrials(int length, double depth, int number) {
    // One set of keys for each cell; its conditions share them.
    Random random(Combine(Combine(KeyOfName("passkey"), options_.seed),
                          Combine(static_cast<uint64_t>(length) << 32 |
                                      static_cast<uint32_t>(std::lround(depth * 1e6)),
                                  static_cast<uint64_t>(number))));
    std::string digits = "0123456789";
    for (size_t i = 0; i + 1 < digits.size(); ++i) {
      std::swap(digits[i], digits[i + random.Below(digits.size() - i)]);
    }
    const auto n = static_cast<size_t>(options_.n_digits);
    for (PasskeyCondition condition :
         {PasskeyCondition::kKey, PasskeyCondition::kKeyless, PasskeyCondition::kDecoy}) {
      PasskeyTrial trial{.length = length,
                         .depth = depth,
                         .condition = condition,
                         .key = digits.substr(0, n),
                         .decoy = {}};
      if (condition == PasskeyCondition::kDecoy) trial.decoy = digits.substr(n, n);
      // Where the decoy stands is drawn: before the key or after it.
      asked_.push_back({result_.trials.size(), false});
      if (condition == PasskeyCondition::kDecoy) asked_.push_back({result_.trials.size(), true});
      decoy_depth_.push_back(random.Uniform());
      result_.trials.push_back(std::move(trial));
    }
  }

  void Make(const Asked& asked, ScoredSequence& sequence) {
    PasskeyTrial& trial = result_.trials[asked.trial];
    std::vector<int32_t> needle, decoy, answer;
    if (trial.condition != PasskeyCondition::kKeyless) {
      Append(Fill(options_.text.needle, trial.key), false, needle);
    }
    if (trial.condition == PasskeyCondition::kDecoy) {
      Append(Fill(options_.text.decoy, trial.decoy), false, decoy);
    }
    Append(Fill(options_.text.answer, asked.answers_decoy ? trial.decoy : trial.key), false,
           answer);
    const size_t fixed =
        intro_.size() + needle.size() + decoy.size() + question_.size() + answer.size();
    // At least one token of filler, so that the key does not stand beside its question.
    CheckRange("--lengths", static_cast<int>(fixed) + 1, 1 << 24, trial.length);
    const size_t n_filler = static_cast<size_t>(trial.length) - fixed;
    const auto part = [&](double depth) {
      return std::min(n_filler,
                      static_cast<size_t>(std::lround(depth * static_cast<double>(n_filler))));
    };
    const size_t of_key = part(trial.depth), of_decoy = part(decoy_depth_[asked.trial]);
    sequence.ids = intro_;
    size_t filled = 0;
    const auto fill = [&](size_t until) {
      for (; filled < until; ++filled) sequence.ids.push_back(filler_[filled % filler_.size()]);
    };
    const auto put = [&](size_t place, const std::vector<int32_t>& ids) {
      fill(place);
      sequence.ids.insert(sequence.ids.end(), ids.begin(), ids.end());
    };
    if (of_decoy <= of_key) put(of_decoy, decoy);
    fill(of_key);
    trial.key_position = static_cast<int64_t>(sequence.ids.size());
    put(of_key, needle);
    if (of_decoy > of_key) put(of_decoy, decoy);
    put(n_filler, question_);
    sequence.first_scored = sequence.ids.size();
    sequence.ids.insert(sequence.ids.end(), answer.begin(), answer.end());
  }

  EvalModel& model_;
  const PasskeyOptions& options_;
  const text::Tokenizer& tokenizer_;
  std::vector<int32_t> intro_, question_, filler_;
  std::vector<Asked> asked_;
  std::vector<double> decoy_depth_;  // of each trial
  Passkeys result_;
};

}  // namespace

std::string_view Name(PasskeyCondition condition) {
  constexpr std::string_view kNames[] = {"key", "keyless", "decoy"};
  return kNames[static_cast<int>(condition)];
}

Passkeys RunPasskeys(EvalModel& model, const PasskeyOptions& options) {
  return PasskeyGrid(model, options).Run();
}

}  // namespace moescope::lab
