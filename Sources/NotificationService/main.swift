// SPDX-License-Identifier: MIT
print("NotificationService")
