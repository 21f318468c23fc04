// SPDX-License-Identifier: MIT
print("AuthService")
