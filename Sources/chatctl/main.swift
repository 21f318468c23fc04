// SPDX-License-Identifier: MIT
print("chatctl")
