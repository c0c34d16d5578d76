// How much processor time this process has used: what a benchmark on a shared machine compares.
#pragma once

namespace moescope {

// Seconds of user and system time of all threads, those that ended included. Only differences
// between two calls mean anything.
double ProcessCpuSeconds();

}  // namespace moescope
