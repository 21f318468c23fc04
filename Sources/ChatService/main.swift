// SPDX-License-Identifier: MIT
print("ChatService")
