#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "buffers/float_buffer.hpp"
#include "cases/case.hpp"
#include "files/attention_file.hpp"
#include "files/attention_rules.hpp"
#include "headwise/tensor.hpp"

namespace headwise::tools {

/// Query, key, value and out of one attention call, with the memory they lie in.
struct AttentionTensors {
    AttentionCase sizes;  ///< of the call: batch is the number of sequences, lengths are those of the longest
    Extents query_extents{}, key_extents{}, value_extents{};  ///< of the tensors: others where sequences are packed or paged
    FloatBuffer query_data, key_data, value_data, out_data;

    /// What the model itself computed, for some of the queries, laid out as out; none where the file has no "expected".
    FloatBuffer expected_data;
    std::vector<std::int32_t> expected_rows;  ///< the queries, ascending

    TensorView<const float, 4> query() const;
    TensorView<const float, 4> key() const;
    TensorView<const float, 4> value() const;
    TensorView<float, 4> out() const;

    /// The arguments with these four.
    AttentionArguments with_tensors(AttentionArguments arguments) const;
    TensorView<const float, 4> expected() const;  ///< [batch, heads, expected_rows.size(), value_dim]

    /// [batch, heads, length, dim]
    Extents out_view_extents() const;
    /// The shape of out as it lies in memory.
    std::vector<std::int64_t> out_extents() const;
};

/// Reproducible random tensors of the given sizes.
AttentionTensors random_attention_tensors(const AttentionCase& sizes);

/// The sizes of plain attention on the tensors of a file, by its header. Throws UsageError, naming file and tensor, as for a file
/// with tensors that ask for more.
AttentionCase plain_attention_case(const AttentionFile& file, const AttentionFileOptions& options);

/// Bytes of "q", "k", "v" and of the result, by the header. Throws UsageError where the three do not fit together.
double attention_tensor_bytes(const AttentionFile& file);

/// Bytes of "expected" and its rows in memory, by the header; 0 where there is none.
double expected_bytes(const AttentionFile& file, const AttentionShape& shape);

/// The queries that "expected", if it is there, is the output of: reads "expected_rows", and nothing large. Throws UsageError where
/// its shape is not that of these.
std::vector<std::int32_t> checked_expected_rows(const AttentionFile& file, const AttentionShape& shape);

/// The tensors "q", "k" and "v" of a file, in sequences as `rules` say, which are those of the file. Throws UsageError, naming file
/// and tensor.
AttentionTensors read_attention_tensors(const AttentionFile& file, const AttentionFileOptions& options,
                                        const AttentionRules& rules);

/// For plain attention, and with the model's own output where there is one: "expected", of all queries or of those that
/// "expected_rows" (I32) names.
AttentionTensors read_attention_tensors_with_expected(const std::string& path, const AttentionFileOptions& options);

}  // namespace headwise::tools
