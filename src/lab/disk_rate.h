// How fast this machine's disk delivers a file past the page cache, as the reader of experts asks
// for it.
#pragma once

#include <cstdint>
#include <string>

namespace moescope::lab {

// 10^9 bytes a second of direct reads spread over the file, several in flight, for about a second.
// Throws Error(kNotFound, kIo); 0 for a file too small to tell.
double MeasureDiskRate(const std::string& path);
// The same of a file of 256 MB written for it into the system's temporary folder and removed; 0
// where there is no room for it.
double MeasureDiskRate();

}  // namespace moescope::lab
