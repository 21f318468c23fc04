// SPDX-License-Identifier: MIT
internal import ServiceRuntime

/// Whether people may make accounts by themselves.
enum Registration: String, CaseIterable, Sendable {
    case open, closed
}

/// The options of AuthService besides the common ones.
enum AuthOptions {
    static let port = SettingKey.port(
        "AUTH_PORT", default: 3002, help: "TCP port to listen on.")
    static let dataDirectory = SettingKey.path(
        "AUTH_DATA_DIR", default: "./data/auth", help: "Folder of auth.db; made when missing.")
    static let issuer = SettingKey.url(
        "AUTH_ISSUER", default: "http://127.0.0.1:3002",
        help: "The URL people and clients reach this service at; named in every token.")
    static let masterKeyFile = SettingKey.path(
        "AUTH_MASTER_KEY_FILE", default: "",
        help: "File with the master key; default master.key in the data folder, made when missing.")
    static let secretsDirectory = SettingKey.path(
        "AUTH_SERVICE_SECRETS_DIR", default: "",
        help: "Folder with the secrets of chat-service and notification-service; default secrets "
            + "beside the data folder, made when missing.")
    static let redirectURIs = SettingKey.list(
        "AUTH_WEB_REDIRECT_URIS",
        default: ["http://127.0.0.1:3001/callback", "http://localhost:3001/callback"],
        placeholder: "URI,URI", help: "Where the web client may be answered.")
    static let registration = SettingKey<Registration>.choice(
        "AUTH_REGISTRATION", default: .open, help: "Whether people may make accounts themselves.")

    static let keys: [any SettingDeclaration] = [
        port, dataDirectory, issuer, masterKeyFile, secretsDirectory, redirectURIs, registration,
    ]
}
