// What a tokenizer file says about cutting text: SentencePiece models, Hugging Face's
// tokenizer.json and the vocabularies inside GGUF files. text/ does the cutting
// (docs/tokenizers.md).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace moescope::files {

enum class TokenizerKind : uint8_t {
  kSentencePiece = 1,  // tokenizer.model, GGUF `llama`: pieces merge by text and score
  kBpe = 2,            // tokenizer.json, GGUF `gpt2`: pieces merge by a list of pairs
};

// Values as in sentencepiece_model.proto and GGUF tokenizer.ggml.token_type.
enum class PieceType : uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

// One change of the text before it is cut, in the order of the file.
struct NormaliserStep {
  enum class Kind : uint8_t {
    kNfc = 1,
    kNfd,
    kNfkc,
    kNfkd,
    kPrepend,
    kReplace,
    kLowercase,
    kStrip
  };
  Kind kind = Kind::kNfc;
  std::string text;         // kPrepend: put before a text; kReplace: looked for, not empty
  std::string replacement;  // kReplace
  bool left = false;        // kStrip
  bool right = false;
};

// One cut of the text into parts that never merge with each other.
struct PreTokeniserStep {
  enum class Kind : uint8_t { kSplit = 1, kDigits, kMetaspace, kByteLevel };
  enum class Behaviour : uint8_t {
    kRemoved = 1,
    kIsolated,
    kMergedWithPrevious,
    kMergedWithNext,
    kContiguous
  };
  // Where a space is put before a part that begins with none.
  enum class Prefix : uint8_t { kNever = 1, kFirst, kAlways };
  Kind kind = Kind::kSplit;
  std::string pattern;    // kSplit: an expression or a plain text; kMetaspace: what spaces become
  bool is_regex = false;  // kSplit
  Behaviour behaviour = Behaviour::kIsolated;  // kSplit; kDigits: isolated or contiguous
  bool invert = false;                         // kSplit
  Prefix prefix = Prefix::kNever;              // kMetaspace, kByteLevel
  bool split = false;  // kMetaspace: before each space; kByteLevel: by the expression of GPT-2
};

// How token texts become a text again, in the order of the file.
struct DecoderStep {
  enum class Kind : uint8_t { kByteLevel = 1, kReplace, kByteFallback, kFuse, kStrip, kMetaspace };
  Kind kind = Kind::kByteLevel;
  std::string text;          // kReplace, kStrip, kMetaspace: looked for
  std::string replacement;   // kReplace
  bool drops_first = false;  // kMetaspace: none in the first token; kStrip: one at its beginning
};

// A piece that is found in the text before anything else happens to it.
struct AddedToken {
  int32_t id = 0;
  std::string text;
  bool single_word = false;  // only where no letter or digit touches it
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;
  bool normalized = false;  // looked for after normalising, itself normalised
  bool special = false;     // stands for no text: <|im_start|>, <s>
  bool in_model = false;    // the model has it too, so text may merge to it
  bool operator==(const AddedToken&) const = default;
};

struct Vocabulary {
  struct Piece {
    std::string text;  // as the file spells it: U+2581 or an alphabet of bytes; "<0x0A>"
    float score = 0;   // kSentencePiece: larger merges first
    PieceType type = PieceType::kNormal;
  };
  struct Merge {
    int32_t left = 0, right = 0, merged = 0;  // piece ids
  };
  TokenizerKind kind = TokenizerKind::kSentencePiece;
  std::vector<Piece> pieces;  // index = token id
  int unknown_id = 0;         // -1: none (kBpe only)
  int bos_id = 1;             // -1: none
  int eos_id = 2;

  // kSentencePiece
  bool add_space_prefix = true;
  bool remove_extra_whitespaces = false;

  // kBpe
  bool adds_bos = false;      // whether the file's own tokenizer puts BOS before a text
  std::vector<Merge> merges;  // the first merges first
  bool byte_fallback = false;
  bool fuse_unknown = false;
  bool ignore_merges = false;
  std::vector<NormaliserStep> normaliser;
  std::vector<PreTokeniserStep> pre_tokeniser;
  std::vector<AddedToken> added_tokens;
  std::vector<DecoderStep> decoder;  // none: token texts joined by spaces

  // Whether pieces are spelled in GPT-2's alphabet of bytes.
  bool IsByteLevel() const;
  // 16 hex digits of XXH3 over all of the above but adds_bos: the tokenizer's identity.
  std::string Identity() const;
};

// Expressions known by name; text/ has a scanner for each.
extern const char* const kGpt2Pattern;
extern const char* const kLlama3Pattern;
extern const char* const kQwen2Pattern;

// The byte that "<0x0A>" stands for; -1 for any other text.
int ByteOfPiece(std::string_view text);

// What every vocabulary fulfils, wherever it came from: finite scores, UTF-8, no repeated normal
// pieces, all 256 byte pieces or none, ids in range, merges that make the piece they name.
// Throws Error(kCorrupt) naming the piece.
void CheckVocabulary(const Vocabulary& vocabulary, const std::string& path);

// Parses the protobuf of a tokenizer.model: bounded (at most 2^22 pieces, their text
// <= 64 MiB together); models other than BPE and normalisers other than identity are refused.
// Throws Error(kCorrupt) with the offset, Error(kUnsupported).
// Source: sentencepiece_model.proto of SentencePiece; protobuf wire format.
Vocabulary ParseSentencePieceModel(std::string_view bytes, const std::string& path);

}  // namespace moescope::files
