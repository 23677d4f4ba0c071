#include "cases/case.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "text/usage_error.hpp"

using namespace headwise;
using namespace headwise::tools;

namespace {

std::string error_of(const std::string& text) {
    try {
        parse_case(text);
    } catch (const UsageError& error) {
        return error.what();
    }
    return "no error";
}

}  // namespace

TEST_CASE("an attention case is read key by key, whatever their order") {
    const auto c = std::get<AttentionCase>(
        parse_case("attention:dv=96,d=128,b=2,hkv=8,hq=32,skv=300,sq=200,causal=bottom-right,scale=0.5,layout=bshd"));
    CHECK(c.shape.batch == 2);
    CHECK(c.shape.num_heads == 32);
    CHECK(c.shape.num_kv_heads == 8);
    CHECK(c.shape.query_length == 200);
    CHECK(c.shape.key_length == 300);
    CHECK(c.shape.head_dim == 128);
    CHECK(c.shape.value_dim == 96);
    CHECK(c.causal == Causal::bottom_right);
    CHECK(c.scale == 0.5f);
    CHECK(c.layout == Layout::bshd);
}

TEST_CASE("what is left out of a case has its natural value") {
    const auto a = std::get<AttentionCase>(parse_case("attention:hq=12,sq=512,d=64"));
    CHECK(a.shape.batch == 1);
    CHECK(a.shape.num_kv_heads == 12);
    CHECK(a.shape.key_length == 512);
    CHECK(a.shape.value_dim == 64);
    CHECK(a.causal == Causal::none);
    CHECK(!a.scale);
    CHECK(std::get<MatmulCase>(parse_case("matmul:m=1,n=2,k=3")).batch == 1);
    const auto l = std::get<LayerCase>(parse_case("layer:s=512,model=768,heads=12"));
    CHECK(l.batch == 1);
    CHECK(l.num_kv_heads == 12);
    CHECK(l.head_dim() == 64);
}

TEST_CASE("the text of a case reads back as the same case") {
    for (const std::string text : {"attention:b=2,hq=32,hkv=8,sq=200,skv=300,d=128,dv=96,causal=top-left,scale=0.3,layout=bshd",
                                   "attention:sq=1,d=1", "matmul:m=512,n=768,k=768", "matmul:batch=3,m=1,n=2,k=3",
                                   "layer:b=4,s=512,model=768,heads=12,kv_heads=4,causal=bottom-right"}) {
        CHECK(case_text(parse_case(text)) == text);
    }
}

TEST_CASE("a bad case is refused by the name of its key") {
    const std::vector<std::pair<std::string, std::string>> examples{
        {"", "expected OP:KEY=VALUE"},
        {"matmul", "expected OP:KEY=VALUE"},
        {"product:m=1", "unknown operation 'product'"},
        {"matmul:", "'m' is missing"},
        {"matmul:m=1,n=1", "'k' is missing"},
        {"matmul:m=1,n=1,k=1,q=1", "unknown key 'q'"},
        {"matmul:m=1,m=2,n=1,k=1", "'m' appears twice"},
        {"matmul:m,n=1,k=1", "'m' is not KEY=VALUE"},
        {"matmul:=1", "'=1' is not KEY=VALUE"},
        {"matmul:m=,n=1,k=1", "m is ''"},
        {"matmul:m=0,n=1,k=1", "m is '0'"},
        {"matmul:m=-1,n=1,k=1", "m is '-1'"},
        {"matmul:m=1.5,n=1,k=1", "m is '1.5'"},
        {"matmul:m=1e3,n=1,k=1", "m is '1e3'"},
        {"matmul:m= 1,n=1,k=1", "m is ' 1'"},
        {"matmul:m=99999999999999999999,n=1,k=1", "m is '99999999999999999999'"},
        {"matmul:m=2147483649,n=1,k=1", "m is '2147483649'"},
        {"attention:hq=12,hkv=5,sq=1,d=64", "hq must be a multiple of hkv"},
        {"attention:sq=1,d=577", "at most 576"},
        {"attention:sq=1,d=1,dv=577", "at most 576"},
        {"attention:sq=1,d=1,causal=yes", "none, top-left, bottom-right"},
        {"attention:sq=1,d=1,scale=nan", "scale is 'nan'"},
        {"attention:sq=1,d=1,scale=0.5x", "scale is '0.5x'"},
        {"attention:sq=1,d=1,layout=sbhd", "bhsd, bshd"},
        {"layer:s=1,model=10,heads=3", "model / heads"},
        {"layer:s=1,model=8192,heads=1", "model / heads"},
        {"layer:s=1,model=12,heads=3,kv_heads=2", "heads must be a multiple of kv_heads"},
    };
    for (const auto& [text, message] : examples) {
        CAPTURE(text);
        const std::string error = error_of(text);
        CAPTURE(error);
        CHECK(error.find(message) != std::string::npos);
    }
}
