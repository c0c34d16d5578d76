#include "text/bpe_encoder.h"

#include <algorithm>

#include "text/encoding_room.h"
#include "text/utf8.h"

namespace moescope::text {
namespace {

using files::NormaliserStep;
using files::PreTokeniserStep;
using Behaviour = PreTokeniserStep::Behaviour;
using Unit = BpeTables::Unit;

// A part of the text on its way, and where it lies in what it is a part of.
struct Part {
  std::string_view text;
  const Part* whole = nullptr;        // null: the source
  size_t begin = 0;                   // of this, before it was changed, in `whole`
  NormalisedText* changed = nullptr;  // if `text` is not as it is there

  Part Sub(size_t sub_begin, size_t sub_end) const {
    const std::string_view sub = text.substr(sub_begin, sub_end - sub_begin);
    if (changed != nullptr) return {sub, this, sub_begin, nullptr};
    return {sub, whole, begin + sub_begin, nullptr};
  }
  size_t EndInSource(size_t at) const {
    for (const Part* part = this; part != nullptr; part = part->whole) {
      if (part->changed != nullptr) at = part->changed->EndInSource(at);
      at += part->begin;
    }
    return at;
  }
  size_t BeginInSource() const {
    size_t at = 0;
    for (const Part* part = this; part != nullptr; part = part->whole) {
      if (part->changed != nullptr) at = part->changed->BeginInSource(at);
      at += part->begin;
    }
    return at;
  }
};

// One call of Encode.
class Encoder {
 public:
  Encoder(const BpeTables& tables, const BpePipeline& pipeline, BpeScratch& scratch,
          std::string_view source, bool specials, size_t max_tokens, Encoding& out)
      : tables_(tables),
        pipeline_(pipeline),
        scratch_(scratch),
        source_(source),
        specials_(specials),
        max_tokens_(max_tokens),
        out_(out) {}

  void Run() {
    AddedTokens::Walk walk(pipeline_.tokens, source_, specials_);
    for (AddedTokens::Match match; !Full() && walk.Next(match);) {
      const Part part = {source_.substr(match.begin, match.end - match.begin), nullptr, match.begin,
                         nullptr};
      if (match.token != nullptr) {
        Emit(match.token->id, part, part.text.size());
      } else {
        Normalise(part);
      }
    }
    if (out_.ids.size() > max_tokens_) {
      Truncate(out_, max_tokens_);
    } else if (!out_.byte_end.empty()) {
      out_.byte_end.back() = static_cast<uint32_t>(source_.size());  // what was left out at the end
    }
  }

 private:
  bool Full() const { return out_.ids.size() > max_tokens_; }
  void Normalise(const Part& part);
  void Cut(size_t step, const Part& part);
  NormalisedText& Changed(size_t step);
  bool NeedsPrefix(const CutStep& cut, const Part& part) const;
  void EncodeWord(const Part& word);
  void EncodeRuns(const Part& word);
  void EncodeRun(const Part& run);
  size_t EndOfRun(std::string_view word, size_t at) const;
  void AddUnit(const Unit& unit, std::string_view word, size_t at);
  bool EncodeFromCache(const Part& word, WordCache::Entry& entry);
  void Remember(const Part& word, size_t first_token, WordCache::Entry& entry);
  void Emit(int32_t id, const Part& part, size_t end);

  const BpeTables& tables_;
  const BpePipeline& pipeline_;
  BpeScratch& scratch_;
  std::string_view source_;
  bool specials_;
  size_t max_tokens_;
  Encoding& out_;
  uint32_t source_at_ = 0;
  bool last_unknown_ = false;   // the unit before was unknown
  std::vector<uint32_t> ends_;  // of the tokens of the run encoded last, in the run
};

void Encoder::Normalise(const Part& part) {
  Part normalised = part;
  if (!pipeline_.normaliser.empty()) {
    pipeline_.normaliser.Apply(part.text, scratch_.normalised);
    normalised.text = scratch_.normalised.text();
    if (normalised.text.data() != part.text.data()) normalised.changed = &scratch_.normalised;
  }
  AddedTokens::Walk walk(pipeline_.normalised_tokens, normalised.text, specials_);
  for (AddedTokens::Match match; !Full() && walk.Next(match);) {
    const Part sub = normalised.Sub(match.begin, match.end);
    if (match.token != nullptr) {
      Emit(match.token->id, sub, sub.text.size());
    } else {
      Cut(0, sub);
    }
  }
}

// Calls take(begin, end, is_match) for the stretches that a step tells apart, in order, until it
// returns false.
template <typename F>
void ForEachStretch(const CutStep& cut, std::string_view text, RegexMatcher::Workspace& regex,
                    F&& take) {
  size_t done = 0;
  // A match, and what lies before it.
  const auto match = [&](size_t begin, size_t end) {
    if (begin > done && !take(done, begin, false)) return false;
    done = end;
    return take(begin, end, true);
  };
  if (cut.scanner) {
    while (done < text.size()) {
      if (!match(done, cut.scanner->EndOfPart(text, done))) return;
    }
  } else if (cut.regex != nullptr) {
    RegexMatcher::Search search(*cut.regex, text, regex);
    while (done < text.size()) {
      const RegexMatcher::Search::Match found = search.Next(done);
      if (found.begin == found.end) break;
      if (!match(found.begin, found.end)) return;
    }
  } else if (cut.step.kind == PreTokeniserStep::Kind::kDigits) {
    const UnicodeClasses& classes = UnicodeClasses::Get();
    for (size_t at = 0; at < text.size();) {
      const Utf8Step step = StepUtf8(text, at);
      const bool numeric = step.valid && classes.IsNumeric(step.code_point);
      if (numeric && !match(at, at + step.n_bytes)) return;
      at += step.n_bytes;
    }
  } else {
    const std::string& pattern = cut.step.pattern;
    for (size_t at = 0; (at = text.find(pattern, at)) != std::string_view::npos;) {
      if (!match(at, at + pattern.size())) return;
      at += pattern.size();
    }
  }
  if (done < text.size()) take(done, text.size(), false);
}

// Calls take(begin, end) for the parts a step makes of a text, until it returns false.
template <typename F>
void ForEachPart(const CutStep& cut, std::string_view text, RegexMatcher::Workspace& regex,
                 F&& take) {
  const Behaviour behaviour = cut.step.behaviour;
  bool has_pending = false, pending_match = false, stopped = false;
  size_t pending_begin = 0, pending_end = 0;
  const auto flush = [&] {
    if (has_pending) stopped = !take(pending_begin, pending_end);
    has_pending = false;
    return !stopped;
  };
  ForEachStretch(cut, text, regex, [&](size_t begin, size_t end, bool is_match) {
    is_match = is_match != cut.step.invert;
    if (behaviour == Behaviour::kIsolated) return take(begin, end);
    if (behaviour == Behaviour::kRemoved) return is_match || take(begin, end);
    const bool joins = behaviour == Behaviour::kContiguous           ? is_match == pending_match
                       : behaviour == Behaviour::kMergedWithPrevious ? is_match && !pending_match
                                                                     : !is_match && pending_match;
    pending_match = is_match;
    if (has_pending && joins) {
      pending_end = end;
      return true;
    }
    if (!flush()) return false;
    has_pending = true;
    pending_begin = begin;
    pending_end = end;
    return true;
  });
  if (!stopped) flush();
}

NormalisedText& Encoder::Changed(size_t step) {
  std::vector<std::unique_ptr<NormalisedText>>& changed = scratch_.changed;
  while (changed.size() <= step) changed.push_back(std::make_unique<NormalisedText>());
  return *changed[step];
}

bool Encoder::NeedsPrefix(const CutStep& cut, const Part& part) const {
  const PreTokeniserStep& step = cut.step;
  if (step.prefix == PreTokeniserStep::Prefix::kNever || part.text.starts_with(' ')) return false;
  if (step.kind == PreTokeniserStep::Kind::kMetaspace && part.text.starts_with(step.pattern)) {
    return false;
  }
  return step.prefix == PreTokeniserStep::Prefix::kAlways || part.BeginInSource() == 0;
}

// Runs the steps from `step` on over a part. Recursion is over steps, of which there are few.
void Encoder::Cut(size_t step, const Part& part) {
  if (step == pipeline_.steps.size()) return EncodeWord(part);
  const CutStep& cut = pipeline_.steps[step];
  Part changed = part;
  const bool prefixed = NeedsPrefix(cut, part);
  const Normaliser& change = prefixed ? cut.changed_prefixed : cut.changed;
  if (!change.empty()) {
    NormalisedText& text = Changed(step);
    change.Apply(part.text, text);
    changed.text = text.text();
    if (changed.text.data() != part.text.data()) {
      changed = {text.text(), part.whole, part.begin, &text};
      // A part that was changed before keeps that change: this one is a part of it.
      if (part.changed != nullptr) changed = {text.text(), &part, 0, &text};
    }
  }
  const bool cuts = cut.scanner || cut.step.kind == PreTokeniserStep::Kind::kSplit ||
                    cut.step.kind == PreTokeniserStep::Kind::kDigits || cut.step.split;
  if (!cuts) return Cut(step + 1, changed);
  ForEachPart(cut, changed.text, scratch_.regex, [&](size_t begin, size_t end) {
    Cut(step + 1, changed.Sub(begin, end));
    return !Full();
  });
}

// One part of the pre-tokeniser: it merges with nothing outside.
void Encoder::EncodeWord(const Part& word) {
  if (word.text.size() > WordCache::kMaxBytes) {
    const int32_t whole = tables_.ignore_merges() ? tables_.WholeWord(word.text) : BpeTables::kNone;
    if (whole != BpeTables::kNone) return Emit(whole, word, word.text.size());
    return EncodeRuns(word);
  }
  WordCache::Entry& entry = scratch_.cache.Slot(word.text);
  if (EncodeFromCache(word, entry)) return;
  const size_t first_token = out_.ids.size();
  const int32_t whole = tables_.ignore_merges() ? tables_.WholeWord(word.text) : BpeTables::kNone;
  if (whole != BpeTables::kNone) {
    Emit(whole, word, word.text.size());
    ends_.assign(1, static_cast<uint32_t>(word.text.size()));
  } else {
    EncodeRun(word);
  }
  Remember(word, first_token, entry);
}

bool Encoder::EncodeFromCache(const Part& word, WordCache::Entry& entry) {
  if (!WordCache::Holds(entry, word.text)) return false;
  size_t end = 0;
  for (int i = 0; i < entry.n_tokens; ++i) Emit(entry.ids[i], word, end += entry.token_bytes[i]);
  return true;
}

void Encoder::Remember(const Part& word, size_t first_token, WordCache::Entry& entry) {
  const size_t n_tokens = out_.ids.size() - first_token;
  if (n_tokens == 0 || n_tokens > WordCache::kMaxTokens || n_tokens != ends_.size()) return;
  uint32_t begin = 0;
  for (size_t i = 0; i < n_tokens; ++i) {
    entry.ids[i] = out_.ids[first_token + i];
    entry.token_bytes[i] = static_cast<uint8_t>(ends_[i] - begin);
    begin = ends_[i];
  }
  entry.n_tokens = static_cast<uint8_t>(n_tokens);
  entry.n_bytes = static_cast<uint8_t>(word.text.size());
  std::copy(word.text.begin(), word.text.end(), entry.bytes);
}

// A long word in runs that cannot merge with each other. What merging makes of a run does not
// depend on what is around it, so runs are remembered like words, unless whole words count.
void Encoder::EncodeRuns(const Part& word) {
  for (size_t at = 0; at < word.text.size() && !Full();) {
    const size_t end = EndOfRun(word.text, at);
    const Part run = word.Sub(at, end);
    if (end - at <= WordCache::kMaxBytes && !tables_.ignore_merges()) {
      EncodeWord(run);
    } else {
      EncodeRun(run);
    }
    at = end;
  }
}

size_t Encoder::EndOfRun(std::string_view word, size_t at) const {
  Unit unit = tables_.UnitAt(word, at);
  at += unit.n_bytes;
  while (at < word.size()) {
    const Unit next = tables_.UnitAt(word, at);
    if (!tables_.MayMerge(unit, next)) break;
    unit = next;
    at += next.n_bytes;
  }
  return at;
}

void Encoder::AddUnit(const Unit& unit, std::string_view word, size_t at) {
  const auto add = [&](int32_t symbol, size_t end) {
    scratch_.symbols.push_back(symbol);
    scratch_.unit_ends.push_back(static_cast<uint32_t>(end));
  };
  const size_t end = at + unit.n_bytes;
  switch (unit.kind) {
    case Unit::Kind::kSymbol:
      return add(unit.symbol, end);
    case Unit::Kind::kBytes:
      for (size_t i = at; i < end; ++i) {
        add(tables_.BytePiece(static_cast<uint8_t>(word[i])), i + 1);
      }
      return;
    case Unit::Kind::kUnknown:
      if (tables_.fuse_unknown() && last_unknown_) {
        scratch_.unit_ends.back() = static_cast<uint32_t>(end);
      } else {
        add(tables_.unknown_id(), end);
      }
      return;
    case Unit::Kind::kLeftOut:
      return;
  }
}

void Encoder::EncodeRun(const Part& run) {
  scratch_.symbols.clear();
  scratch_.unit_ends.clear();
  ends_.clear();
  last_unknown_ = false;
  for (size_t at = 0; at < run.text.size();) {
    const Unit unit = tables_.UnitAt(run.text, at);
    AddUnit(unit, run.text, at);
    last_unknown_ = unit.kind == Unit::Kind::kUnknown;
    at += unit.n_bytes;
  }
  scratch_.merger.Merge(scratch_.symbols, &scratch_.lengths);
  size_t unit = 0;
  for (size_t i = 0; i < scratch_.symbols.size(); ++i) {
    unit += scratch_.lengths[i];
    const uint32_t end = scratch_.unit_ends[unit - 1];
    Emit(scratch_.symbols[i], run, end);
    ends_.push_back(end);
  }
}

void Encoder::Emit(int32_t id, const Part& part, size_t end) {
  const size_t source_end = std::min(part.EndInSource(end), source_.size());
  if (out_.ids.size() == out_.ids.capacity()) {
    MakeRoom(out_, source_.size(), source_at_, max_tokens_);
  }
  out_.ids.push_back(id);
  out_.byte_start.push_back(source_at_);
  source_at_ = std::max(source_at_, static_cast<uint32_t>(source_end));
  out_.byte_end.push_back(source_at_);
}

NormaliserStep MakeStep(NormaliserStep::Kind kind, const std::string& text,
                        const std::string& replacement = "") {
  NormaliserStep step;
  step.kind = kind;
  step.text = text;
  step.replacement = replacement;
  return step;
}

NormaliserStep PrependStep(const std::string& text) {
  return MakeStep(NormaliserStep::Kind::kPrepend, text);
}

NormaliserStep ReplaceStep(const std::string& text, const std::string& replacement) {
  return MakeStep(NormaliserStep::Kind::kReplace, text, replacement);
}

}  // namespace

CutStep::CutStep(const PreTokeniserStep& its_step) : step(its_step) {
  using Kind = PreTokeniserStep::Kind;
  switch (step.kind) {
    case Kind::kSplit: {
      const KnownPattern known =
          step.is_regex ? FindKnownPattern(step.pattern) : KnownPattern::kNone;
      if (known != KnownPattern::kNone) {
        scanner.emplace(known);
      } else if (step.is_regex) {
        regex = std::make_shared<const RegexMatcher>(step.pattern);
      }
      break;
    }
    case Kind::kDigits:
      break;
    case Kind::kMetaspace:
      changed = Normaliser({ReplaceStep(" ", step.pattern)});
      changed_prefixed = Normaliser({ReplaceStep(" ", step.pattern), PrependStep(step.pattern)});
      step.behaviour = Behaviour::kMergedWithNext;
      break;
    case Kind::kByteLevel:
      changed_prefixed = Normaliser({PrependStep(" ")});
      if (step.split) scanner.emplace(KnownPattern::kGpt2);
      break;
  }
}

BpePipeline::BpePipeline(const files::Vocabulary& vocabulary) : normaliser(vocabulary.normaliser) {
  for (const PreTokeniserStep& step : vocabulary.pre_tokeniser) steps.emplace_back(step);
  NormalisedText text;
  for (const files::AddedToken& token : vocabulary.added_tokens) {
    if (!token.normalized) {
      tokens.Add(token, token.text);
      continue;
    }
    normaliser.Apply(token.text, text);
    normalised_tokens.Add(token, std::string(text.text()));
  }
}

size_t BpeScratch::capacity() const {
  size_t n_bytes = normalised.capacity() + symbols.capacity() * sizeof(int32_t);
  for (const auto& text : changed) n_bytes += text->capacity();
  return n_bytes;
}

void EncodeBpe(const BpeTables& tables, const BpePipeline& pipeline, BpeScratch& scratch,
               std::string_view text, bool specials, size_t max_tokens, Encoding& out) {
  out.clear();
  Encoder(tables, pipeline, scratch, text, specials, max_tokens, out).Run();
}

}  // namespace moescope::text
