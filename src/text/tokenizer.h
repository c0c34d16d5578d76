// Text to token ids and back, with the byte range of the source each token covers. One interface
// for all kinds of vocabulary (docs/tokenizers.md).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "files/vocabulary.h"

namespace moescope::text {

// Token i covers source bytes [byte_start[i], byte_end[i]); ranges are in order and together cover
// the text. A dummy prefix covers nothing. Pieces of one multi-byte character split the range of
// their own bytes.
struct Encoding {
  std::vector<int32_t> ids;
  std::vector<uint32_t> byte_start;
  std::vector<uint32_t> byte_end;
  void clear() { ids.clear(), byte_start.clear(), byte_end.clear(); }
};

// Whether a text that spells a special token (<s>, <|im_start|>) means the token.
enum class Specials : uint8_t { kByFormat, kAsText, kRecognised };
// Whether a space is put before a text that begins with none.
enum class SpacePrefix : uint8_t { kByFormat, kOn, kOff };

struct EncodeOptions {
  Specials specials = Specials::kByFormat;
  SpacePrefix space_prefix = SpacePrefix::kByFormat;
  bool operator==(const EncodeOptions&) const = default;
};

// Immutable and thread-safe; Encode is linear in the text (docs/tokenizers.md).
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  static constexpr size_t kAllTokens = SIZE_MAX;
  // Replaces `out`. Nothing special is added: BOS and EOS are the caller's policy. Any bytes are
  // accepted: invalid UTF-8 goes through byte pieces (or the unknown piece where the vocabulary has
  // none). At most `max_tokens` tokens, those the whole text begins with, at the cost of little
  // more than them. Throws Error(kBadInput) for texts of 2^32 bytes or more.
  // Throws Error(kBadInput) also where a split expression takes more steps than its limit.
  void Encode(std::string_view text, Encoding& out, size_t max_tokens = kAllTokens) const {
    Encode(text, EncodeOptions{}, out, max_tokens);
  }
  void Encode(std::string_view text, const EncodeOptions& options, Encoding& out,
              size_t max_tokens = kAllTokens) const;
  // The bytes of one token as it continues a text (a leading U+2581 is a space); none for control
  // tokens.
  virtual std::string TokenBytes(int32_t id) const = 0;
  // The same without the space of a dummy prefix. `at_start` is true before the first token of a
  // text, and updated.
  virtual std::string NextBytes(int32_t id, bool& at_start) const = 0;
  // The token as the vocabulary spells it ("▁the", "<0x0A>", "<s>"), for display.
  virtual std::string TokenText(int32_t id) const = 0;
  // True for control and special tokens (BOS, EOS, <|im_start|>): they stand for no text.
  virtual bool IsControl(int32_t id) const = 0;
  // The text of ids, without the dummy prefix. Ids out of range throw Error(kBadInput).
  std::string Decode(const std::vector<int32_t>& ids) const;
  virtual int vocab_size() const = 0;
  virtual int bos_id() const = 0;  // -1: none
  virtual int eos_id() const = 0;
  // Whether the format's own tokenizer puts BOS before a text.
  virtual bool adds_bos() const = 0;
  // What kByFormat means here.
  virtual EncodeOptions FormatOptions() const = 0;
  // 16 hex digits; others than the vocabulary's own where the options make a difference.
  std::string Identity(const EncodeOptions& options = {}) const;

 private:
  // options: none is kByFormat.
  virtual void EncodeSome(std::string_view text, const EncodeOptions& options, size_t max_tokens,
                          Encoding& out) const = 0;
  virtual std::string VocabularyIdentity() const = 0;
  EncodeOptions Resolve(EncodeOptions options) const;
};

// The tokenizer of the vocabulary's kind.
// Throws Error(kUnsupported) for pieces or split expressions beyond the limits of
// docs/tokenizers.md.
std::unique_ptr<Tokenizer> MakeTokenizer(std::shared_ptr<const files::Vocabulary> vocabulary);

// Turns tokens into text as they come, holding back bytes until a character is complete. All pushes
// and the flush together give Decode's text with broken bytes replaced.
class StreamingDecoder {
 public:
  explicit StreamingDecoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}
  // The text that is now certain: whole UTF-8 characters; invalid bytes become U+FFFD.
  std::string Push(int32_t id);
  // What is left at the end, incomplete characters as U+FFFD.
  std::string Flush();

 private:
  const Tokenizer& tokenizer_;
  bool at_start_ = true;
  std::string pending_;
};

}  // namespace moescope::text
