// SPDX-License-Identifier: MIT
#pragma once
#include <argon2.h>
