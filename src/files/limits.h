// Limits that hostile files meet before anything is allocated. They are far above every published
// model and low enough that products of a few of them fit 64 bits.
#pragma once

#include <cstddef>
#include <cstdint>

namespace moescope::files {

inline constexpr int64_t kMaxLayers = 1024;
inline constexpr int64_t kMaxExperts = 4096;
inline constexpr int64_t kMaxModelDim = 65'536;
inline constexpr int64_t kMaxFfnDim = int64_t{1} << 20;
inline constexpr int64_t kMaxHeads = 4096;
inline constexpr int64_t kMaxHeadDim = 4096;
inline constexpr int64_t kMaxVocabSize = int64_t{1} << 22;
inline constexpr int64_t kMaxContext = int64_t{1} << 24;

inline constexpr uint64_t kMaxTensors = 65'536;  // of one file
inline constexpr uint64_t kMaxKeys = 65'536;     // of one file's metadata
inline constexpr int kMaxRank = 4;
inline constexpr uint64_t kMaxTensorNameBytes = 256;
inline constexpr uint64_t kMaxStringBytes = uint64_t{16} << 20;
inline constexpr uint64_t kMaxVocabularyBytes = uint64_t{64} << 20;  // all pieces together

inline constexpr uint64_t kMaxConfigBytes = uint64_t{1} << 20;
inline constexpr uint64_t kMaxSafetensorsHeaderBytes = 100'000'000;
inline constexpr uint64_t kMaxIndexBytes = 100'000'000;
inline constexpr uint64_t kMaxTokenizerModelBytes = uint64_t{128} << 20;
inline constexpr uint64_t kMaxTokenizerConfigBytes = uint64_t{16} << 20;  // lists added tokens
inline constexpr uint64_t kMaxChatTemplateBytes = uint64_t{1} << 20;
inline constexpr uint64_t kMaxTokenizerJsonBytes = uint64_t{128} << 20;
inline constexpr size_t kMaxMerges = size_t{1} << 23;  // of one vocabulary
inline constexpr size_t kMaxTokenizerSteps = 32;  // of one kind: normaliser, pre-tokeniser, decoder
inline constexpr size_t kMaxStepTextBytes = 64 << 10;  // an expression, a prefix, a replacement
inline constexpr int kMaxJsonDepth = 64;

}  // namespace moescope::files
