// SPDX-License-Identifier: MIT

/// The services of the suite, in the order they are started: who is asked before who asks.
enum SuiteService: String, CaseIterable, Sendable {
    case auth, chat, notification

    /// The name of its executable, which lies beside chatctl's own.
    var executable: String {
        switch self {
        case .auth: "AuthService"
        case .chat: "ChatService"
        case .notification: "NotificationService"
        }
    }

    /// The name padded to the longest, so that what follows it lines up.
    var label: String {
        let width = SuiteService.allCases.map(\.rawValue.count).max() ?? 0
        return rawValue + String(repeating: " ", count: width - rawValue.count)
    }
}
