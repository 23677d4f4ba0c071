#pragma once

namespace headwise::tools {

/// Bytes of memory that can be had without swapping, by the operating system; where it does not tell, 4e9.
double available_memory();

}  // namespace headwise::tools
