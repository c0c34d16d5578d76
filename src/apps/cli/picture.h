// Pictures of charts, drawn by the Python package vl-convert-python where a Python has it.
#pragma once

#include <string>

namespace moescope::cli {

enum class PictureType { kSvg, kPng };

// Draws a Vega-Lite specification (one without addresses: nothing is fetched) to `path`.
// The Python is python3, or what MOESCOPE_PYTHON names.
// Throws Error(kNotFound) naming the package or program that is missing, Error(kIo) when the file
// cannot be written.
void WritePicture(const std::string& spec, PictureType type, const std::string& path);

}  // namespace moescope::cli
