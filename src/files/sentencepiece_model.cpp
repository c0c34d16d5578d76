// tokenizer.model: the few fields of SentencePiece's protobuf that decide how text is cut.
#include <fmt/format.h>

#include <bit>
#include <optional>

#include "base/bytes.h"
#include "base/error.h"
#include "files/limits.h"
#include "files/vocabulary.h"

namespace moescope::files {
namespace {

enum class Wire { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct Field {
  uint64_t number = 0;
  Wire wire = Wire::kVarint;
  uint64_t value = 0;      // varint or fixed
  std::string_view bytes;  // kBytes
  uint64_t offset = 0;     // of the field in the file
};

// The fields of one protobuf message, in order. Sub-messages get a reader of their own.
class MessageReader {
 public:
  MessageReader(std::string_view bytes, uint64_t base, const std::string& path)
      : bytes_(bytes), base_(base), path_(path) {}

  bool Next(Field& field) {
    if (at_ == bytes_.size()) return false;
    field.offset = base_ + at_;
    uint64_t key = Varint();
    field.number = key >> 3;
    if (field.number == 0 || field.number >= (uint64_t{1} << 29)) Corrupt("a field number");
    switch (key & 7) {
      case 0:
        field.wire = Wire::kVarint;
        field.value = Varint();
        return true;
      case 1:
        field.wire = Wire::kFixed64;
        field.value = LoadUnaligned<uint64_t>(AsBytes(Take(8)), 0);
        return true;
      case 2:
        field.wire = Wire::kBytes;
        field.bytes = Take(Varint());
        return true;
      case 5:
        field.wire = Wire::kFixed32;
        field.value = LoadUnaligned<uint32_t>(AsBytes(Take(4)), 0);
        return true;
      default:
        Corrupt("a known wire type");
    }
  }
  // File offset of a sub-message's content.
  uint64_t ContentOffset(const Field& field) const {
    return base_ + static_cast<uint64_t>(field.bytes.data() - bytes_.data());
  }
  [[noreturn]] void Corrupt(const std::string& expected) const {
    throw Error(ErrorKind::kCorrupt, fmt::format("cannot read tokenizer: {}@{}: expected {}", path_,
                                                 base_ + at_, expected));
  }
  void Expect(const Field& field, Wire wire, std::string_view name) const {
    if (field.wire != wire) {
      throw Error(
          ErrorKind::kCorrupt,
          fmt::format("cannot read tokenizer: {}@{}: {}: expected wire type {}, found {}", path_,
                      field.offset, name, static_cast<int>(wire), static_cast<int>(field.wire)));
    }
  }

 private:
  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == bytes_.size()) Corrupt("more bytes of a number");
      auto byte = static_cast<uint8_t>(bytes_[at_++]);
      if (shift == 63 && byte > 1) break;
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    Corrupt("a number below 2^64");
  }
  std::string_view Take(uint64_t n) {
    if (n > bytes_.size() - at_) {
      Corrupt(fmt::format("{} more bytes, found {}", n, bytes_.size() - at_));
    }
    std::string_view taken = bytes_.substr(at_, n);
    at_ += n;
    return taken;
  }

  std::string_view bytes_;
  uint64_t base_;
  const std::string& path_;
  size_t at_ = 0;
};

constexpr int kModelTypeUnigram = 1;  // the default of the format
constexpr int kModelTypeBpe = 2;

// TrainerSpec and NormalizerSpec as far as they matter, with the defaults of the format.
struct Specification {
  bool has_trainer = false;
  bool has_normalizer = false;
  uint64_t model_type = kModelTypeUnigram;
  uint64_t vocab_size = 0;
  bool whitespace_suffix = false;
  int64_t unknown_id = 0, bos_id = 1, eos_id = 2;
  std::string normalizer_name;
  bool has_charsmap = false;
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
};

// int32 fields are sign-extended to 64 bits on the wire.
int64_t SignedValue(const Field& field) {
  return std::bit_cast<int64_t>(field.value);
}

Vocabulary::Piece ParsePiece(MessageReader reader) {
  Vocabulary::Piece piece;
  for (Field field; reader.Next(field);) {
    if (field.number == 1) {
      reader.Expect(field, Wire::kBytes, "piece");
      piece.text = field.bytes;
    } else if (field.number == 2) {
      reader.Expect(field, Wire::kFixed32, "score");
      piece.score = std::bit_cast<float>(static_cast<uint32_t>(field.value));
    } else if (field.number == 3) {
      reader.Expect(field, Wire::kVarint, "type");
      if (field.value < 1 || field.value > 6) reader.Corrupt("a piece type from 1 to 6");
      piece.type = static_cast<PieceType>(field.value);
    }
  }
  return piece;
}

void ParseTrainer(MessageReader reader, Specification& spec) {
  for (Field field; reader.Next(field);) {
    auto number = [&](std::string_view name) {
      reader.Expect(field, Wire::kVarint, name);
      return field.value;
    };
    switch (field.number) {
      case 3:
        spec.model_type = number("model_type");
        break;
      case 4:
        spec.vocab_size = number("vocab_size");
        break;
      case 24:
        spec.whitespace_suffix = number("treat_whitespace_as_suffix") != 0;
        break;
      case 40:
        number("unk_id"), spec.unknown_id = SignedValue(field);
        break;
      case 41:
        number("bos_id"), spec.bos_id = SignedValue(field);
        break;
      case 42:
        number("eos_id"), spec.eos_id = SignedValue(field);
        break;
      default:
        break;
    }
  }
}

void ParseNormalizer(MessageReader reader, Specification& spec) {
  for (Field field; reader.Next(field);) {
    auto flag = [&](std::string_view name) {
      reader.Expect(field, Wire::kVarint, name);
      return field.value != 0;
    };
    switch (field.number) {
      case 1:
        reader.Expect(field, Wire::kBytes, "name");
        spec.normalizer_name = field.bytes;
        break;
      case 2:
        reader.Expect(field, Wire::kBytes, "precompiled_charsmap");
        spec.has_charsmap = !field.bytes.empty();
        break;
      case 3:
        spec.add_dummy_prefix = flag("add_dummy_prefix");
        break;
      case 4:
        spec.remove_extra_whitespaces = flag("remove_extra_whitespaces");
        break;
      case 5:
        spec.escape_whitespaces = flag("escape_whitespaces");
        break;
      default:
        break;
    }
  }
}

// Refuses what we would cut differently from SentencePiece.
void CheckSpecification(const Specification& spec, size_t n_pieces, const std::string& path) {
  auto unsupported = [&](const std::string& what) {
    throw Error(ErrorKind::kUnsupported, fmt::format("cannot use tokenizer: {}: {}", path, what));
  };
  // A file cut at the end of a field is still a protobuf; without these two parts it is not a
  // model.
  if (n_pieces == 0 || !spec.has_trainer || !spec.has_normalizer) {
    throw Error(ErrorKind::kCorrupt,
                fmt::format("cannot read tokenizer: {}: expected pieces, trainer and normalizer "
                            "specifications, found a part of them; fetch the file again",
                            path));
  }
  if (spec.model_type != kModelTypeBpe) {
    constexpr const char* kTypes[] = {"0", "unigram", "BPE", "word", "char"};
    unsupported(fmt::format(
        "supported is a BPE model, found {}",
        spec.model_type < 5 ? kTypes[spec.model_type] : std::to_string(spec.model_type).c_str()));
  }
  // Vocabularies are extended without touching the specification, but never shortened.
  if (spec.vocab_size > n_pieces) {
    throw Error(ErrorKind::kCorrupt,
                fmt::format("cannot read tokenizer: {}: expected at least {} pieces, found {}",
                            path, spec.vocab_size, n_pieces));
  }
  if (spec.has_charsmap) {
    unsupported(fmt::format("supported is the identity normaliser, found '{}' with a character map",
                            spec.normalizer_name.substr(0, 40)));
  }
  if (spec.whitespace_suffix) unsupported("whitespace as a suffix is not supported");
  if (!spec.escape_whitespaces) unsupported("unescaped whitespace is not supported");
}

int CheckedId(int64_t id, size_t n_pieces, const char* name, const std::string& path) {
  if (id < -1 || id >= static_cast<int64_t>(n_pieces)) {
    throw Error(ErrorKind::kCorrupt,
                fmt::format("cannot read tokenizer: {}: {}: expected -1 to {}, found {}", path,
                            name, n_pieces - 1, id));
  }
  return static_cast<int>(id);
}

}  // namespace

Vocabulary ParseSentencePieceModel(std::string_view bytes, const std::string& path) {
  Vocabulary vocabulary;
  Specification spec;
  uint64_t text_bytes = 0;
  MessageReader reader(bytes, 0, path);
  for (Field field; reader.Next(field);) {
    if (field.number < 1 || field.number > 3) continue;
    reader.Expect(field, Wire::kBytes, "message");
    MessageReader message(field.bytes, reader.ContentOffset(field), path);
    if (field.number == 1) {
      vocabulary.pieces.push_back(ParsePiece(message));
      text_bytes += vocabulary.pieces.back().text.size();
      if (vocabulary.pieces.size() > static_cast<size_t>(kMaxVocabSize)) {
        reader.Corrupt(fmt::format("at most {} pieces", kMaxVocabSize));
      }
      if (text_bytes > kMaxVocabularyBytes) {
        reader.Corrupt(fmt::format("at most {} bytes of pieces", kMaxVocabularyBytes));
      }
    } else if (field.number == 2) {
      spec.has_trainer = true;
      ParseTrainer(message, spec);
    } else {
      spec.has_normalizer = true;
      ParseNormalizer(message, spec);
    }
  }
  size_t n_pieces = vocabulary.pieces.size();
  CheckSpecification(spec, n_pieces, path);
  vocabulary.unknown_id = CheckedId(spec.unknown_id, n_pieces, "unk_id", path);
  vocabulary.bos_id = CheckedId(spec.bos_id, n_pieces, "bos_id", path);
  vocabulary.eos_id = CheckedId(spec.eos_id, n_pieces, "eos_id", path);
  vocabulary.add_space_prefix = spec.add_dummy_prefix;
  vocabulary.remove_extra_whitespaces = spec.remove_extra_whitespaces;
  CheckVocabulary(vocabulary, path);
  return vocabulary;
}

}  // namespace moescope::files
