#include "lab/tensor_copier.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/cancellation.h"
#include "base/error.h"
#include "base/tensor/convert_rows.h"

namespace moescope::lab {
namespace {

using files::TensorLocation;

// What a buffer may take: large enough for the disk, small enough for any machine.
constexpr uint64_t kBufferBytes = uint64_t{8} << 20;

// Rows of so many columns that fit a buffer as float32, in whole units.
int64_t RowsPerStep(uint64_t columns, int64_t unit) {
  const auto rows = static_cast<int64_t>(kBufferBytes / (columns * sizeof(float)));
  return std::max(unit, rows / unit * unit);
}

uint64_t BytesOf(DType dtype, uint64_t n_values) {
  const DTypeInfo& info = Info(dtype);
  return n_values / static_cast<uint64_t>(info.block_elements) *
         static_cast<uint64_t>(info.block_bytes);
}

// The largest magnitude that does not round to infinity. Q8_0's scale is a binary16.
float LargestOf(DType dtype) {
  constexpr float kLargestF16 = 65519.996f;
  switch (dtype) {
    case DType::kF16:
      return kLargestF16;
    case DType::kQ8_0:
      return 127 * kLargestF16;
    case DType::kBF16:
      return 0x1.fefffep127f;
    default:
      return std::numeric_limits<float>::max();
  }
}

}  // namespace

struct TensorCopier::Stretch {
  int64_t first;
  int64_t n;
};

void TensorCopier::Copy(const OutputTensor& tensor) {
  if (!tensor.values.empty()) {
    MOESCOPE_CHECK(tensor.dtype == DType::kF32);
    return sink_(std::as_bytes(std::span(tensor.values)), bytes_read_);
  }
  if (tensor.transposed) return CopyTransposed(tensor);
  for (const OutputTensor::Part& part : tensor.parts) CopyRows(tensor, part);
}

void TensorCopier::CopyRows(const OutputTensor& tensor, const OutputTensor::Part& part) {
  const TensorLocation& location = *part.location;
  const auto columns = static_cast<uint64_t>(location.shape.back());
  const bool vector = location.shape.size() == 1;
  // Reordering happens within a head, so a step is whole heads; of a vector, elements are the rows.
  const int head_dim =
      part.order == RowOrder::kAsStored || vector ? 1 : checkpoint_.config().head_dim;
  const int64_t step = RowsPerStep(columns, head_dim);
  for (int64_t first = 0; first < location.n_rows(); first += step) {
    ReadRows(location, first, std::min(step, location.n_rows() - first));
    const ByteSpan rows = Converted(location, tensor.dtype, columns);
    sink_(Reordered(rows, part.order, BytesOf(tensor.dtype, vector ? 1 : columns)), bytes_read_);
  }
}

// A row of the output is one column of every part. Parts stored by rows are gone through once for
// as many columns as a buffer holds.
void TensorCopier::CopyTransposed(const OutputTensor& tensor) {
  const uint64_t element = BytesOf(tensor.dtype, 1);
  const int64_t n_columns = tensor.shape[0];
  const uint64_t row_bytes = static_cast<uint64_t>(tensor.shape[1]) * element;
  const int64_t step = RowsPerStep(static_cast<uint64_t>(tensor.shape[1]), 1);
  for (int64_t first = 0; first < n_columns; first += step) {
    const Stretch columns = {first, std::min(step, n_columns - first)};
    columns_.resize(static_cast<uint64_t>(columns.n) * row_bytes);
    std::byte* out = columns_.data();
    for (const OutputTensor::Part& part : tensor.parts) {
      MOESCOPE_CHECK(part.order == RowOrder::kAsStored);
      FillColumns(*part.location, tensor.dtype, columns, out, row_bytes);
      out += static_cast<uint64_t>(part.location->n_rows()) * element;
      bytes_read_ += part.location->n_bytes * static_cast<uint64_t>(columns.n) /
                     static_cast<uint64_t>(n_columns);
    }
    sink_(columns_, bytes_read_);
  }
}

// Column `columns.first + i` goes to out + i * out_stride.
void TensorCopier::FillColumns(const TensorLocation& location, DType dtype, const Stretch& columns,
                               std::byte* out, uint64_t out_stride) {
  const uint64_t element = BytesOf(dtype, 1);
  const auto n_columns = static_cast<uint64_t>(location.shape.back());
  if (location.column_stride != 0) {  // a column is one stretch of the file
    for (int64_t i = 0; i < columns.n; ++i) {
      ThrowIfCancelled();
      input_.resize(location.n_bytes / n_columns);
      const auto column = static_cast<uint64_t>(columns.first + i);
      checkpoint_.file(location.file)
          .Read(location.offset + column * location.column_stride, input_);
      const ByteSpan converted =
          Converted(location, dtype, static_cast<uint64_t>(location.n_rows()));
      std::memcpy(out + static_cast<uint64_t>(i) * out_stride, converted.data(), converted.size());
    }
    return;
  }
  const uint64_t read_before = bytes_read_;
  const int64_t step = RowsPerStep(n_columns, 1);
  for (int64_t first = 0; first < location.n_rows(); first += step) {
    const int64_t n = std::min(step, location.n_rows() - first);
    ReadRows(location, first, n);
    const ByteSpan rows = Converted(location, dtype, n_columns);
    for (int64_t i = 0; i < columns.n; ++i) {
      const std::byte* from = rows.data() + static_cast<uint64_t>(columns.first + i) * element;
      std::byte* to =
          out + static_cast<uint64_t>(i) * out_stride + static_cast<uint64_t>(first) * element;
      for (int64_t row = 0; row < n; ++row, from += n_columns * element, to += element) {
        std::memcpy(to, from, element);
      }
    }
  }
  bytes_read_ = read_before;  // counted by the share of columns that is done
}

void TensorCopier::ReadRows(const TensorLocation& location, int64_t first, int64_t n) {
  ThrowIfCancelled();
  input_.resize(static_cast<uint64_t>(n) * location.row_bytes());
  checkpoint_.ReadRows(location, first, n, input_);
  bytes_read_ += input_.size();
}

// input_ as rows of `dtype`; the same bytes where that is the stored type.
ByteSpan TensorCopier::Converted(const TensorLocation& location, DType dtype, uint64_t columns) {
  const bool same = location.dtype == dtype;
  if (same && Info(dtype).block_elements > 1) return input_;
  Dequantise(location.dtype);
  CheckValues(location, dtype, columns);
  if (same) return input_;
  output_.resize(BytesOf(dtype, values_.size()));
  QuantiseRow(dtype, values_, output_.data());
  return output_;
}

void TensorCopier::Dequantise(DType stored) {
  const DTypeInfo& info = Info(stored);
  values_.resize(input_.size() / static_cast<uint64_t>(info.block_bytes) *
                 static_cast<uint64_t>(info.block_elements));
  DequantiseRow(stored, input_.data(), values_);
}

void TensorCopier::CheckValues(const TensorLocation& location, DType dtype,
                               uint64_t columns) const {
  const float limit = LargestOf(dtype);
  for (size_t i = 0; i < values_.size(); ++i) {
    if (std::fabs(values_[i]) <= limit) continue;
    const bool finite = std::isfinite(values_[i]);
    throw Error(
        finite ? ErrorKind::kBadInput : ErrorKind::kCorrupt,
        fmt::format(
            "cannot convert: {}: tensor '{}' column {}: expected {}, found {}{}",
            checkpoint_.files()[static_cast<size_t>(location.file)], location.name, i % columns,
            finite ? fmt::format("numbers that {} can hold", Name(dtype)) : "finite numbers",
            values_[i],
            !finite                 ? ""
            : dtype == DType::kBF16 ? "; use --type f32"
                                    : "; use --type bf16"));
  }
}

// Of a head of halves, row d + s * head_dim / 2 (s = 0, 1) is row 2 d + s of a head of pairs.
ByteSpan TensorCopier::Reordered(ByteSpan rows, RowOrder order, uint64_t row_bytes) {
  if (order == RowOrder::kAsStored) return rows;
  const auto head_dim = static_cast<uint64_t>(checkpoint_.config().head_dim);
  reordered_.resize(rows.size());
  for (uint64_t row = 0; row < rows.size() / row_bytes; ++row) {
    const uint64_t head = row / head_dim * head_dim, in_head = row % head_dim;
    const uint64_t in_halves = head + in_head % 2 * (head_dim / 2) + in_head / 2;
    const bool to_pairs = order == RowOrder::kHalvesToPairs;
    std::memcpy(reordered_.data() + (to_pairs ? row : in_halves) * row_bytes,
                rows.data() + (to_pairs ? in_halves : row) * row_bytes, row_bytes);
  }
  return reordered_;
}

bool TensorCopier::FitsExactly(const OutputTensor& tensor, DType dtype) {
  const uint64_t read_before = bytes_read_;
  std::vector<float> back;
  bool fits = true;
  for (const OutputTensor::Part& part : tensor.parts) {
    const TensorLocation& location = *part.location;
    const int64_t step = RowsPerStep(static_cast<uint64_t>(location.shape.back()), 1);
    for (int64_t first = 0; fits && first < location.n_rows(); first += step) {
      ReadRows(location, first, std::min(step, location.n_rows() - first));
      Dequantise(location.dtype);
      output_.resize(BytesOf(dtype, values_.size()));
      QuantiseRow(dtype, values_, output_.data());
      back.resize(values_.size());
      DequantiseRow(dtype, output_.data(), back);
      fits = std::equal(back.begin(), back.end(), values_.begin());
    }
  }
  bytes_read_ = read_before;  // looked at, not yet copied
  return fits;
}

}  // namespace moescope::lab
