#pragma once

#include "headwise/attention.hpp"
#include "headwise/cpu.hpp"
#include "headwise/error.hpp"
#include "headwise/matmul.hpp"
#include "headwise/multi_head_attention.hpp"
#include "headwise/reference.hpp"
#include "headwise/tensor.hpp"
