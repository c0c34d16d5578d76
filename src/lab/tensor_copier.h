// Streams tensors of a checkpoint, in the type and order of rows a plan wants, through buffers of a
// few megabytes.
#pragma once

#include <cstddef>
#include <vector>

#include "base/bytes.h"
#include "base/function_ref.h"
#include "lab/convert_plan.h"

namespace moescope::lab {

// Not thread-safe.
class TensorCopier {
 public:
  // Called with the bytes of tensors in order, and how many bytes have been read so far.
  using Sink = FunctionRef<void(ByteSpan bytes, uint64_t bytes_read)>;

  // Both must outlive the copier.
  TensorCopier(const files::Checkpoint& checkpoint, Sink sink)
      : checkpoint_(checkpoint), sink_(sink) {}

  // Throws Error(kCorrupt) for the first value that is not finite and Error(kBadInput) for one that
  // the wanted type cannot hold, naming the tensor; kIo; kCancelled; and what the sink throws.
  void Copy(const OutputTensor& tensor);

  // True when every value of the tensor is one of `dtype`, too. Throws Error(kIo), kCancelled.
  bool FitsExactly(const OutputTensor& tensor, DType dtype);

  uint64_t bytes_read() const { return bytes_read_; }

 private:
  struct Stretch;  // consecutive values of one part
  void CopyRows(const OutputTensor& tensor, const OutputTensor::Part& part);
  void CopyTransposed(const OutputTensor& tensor);
  void FillColumns(const files::TensorLocation& location, DType dtype, const Stretch& columns,
                   std::byte* out, uint64_t out_stride);
  void ReadRows(const files::TensorLocation& location, int64_t first, int64_t n);
  ByteSpan Converted(const files::TensorLocation& location, DType dtype, uint64_t columns);
  void Dequantise(DType stored);
  void CheckValues(const files::TensorLocation& location, DType dtype, uint64_t columns) const;
  ByteSpan Reordered(ByteSpan rows, RowOrder order, uint64_t row_bytes);

  const files::Checkpoint& checkpoint_;
  Sink sink_;
  uint64_t bytes_read_ = 0;
  std::vector<std::byte> input_, output_, reordered_, columns_;
  std::vector<float> values_;
};

}  // namespace moescope::lab
