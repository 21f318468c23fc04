// SPDX-License-Identifier: MIT
internal import Bytes
internal import Crypto
internal import HTTP1
internal import HTTPServer

/// A piece of HTML. Text goes in escaped; only literals of ours go in as they are.
struct HTML: Sendable, ExpressibleByStringInterpolation {
    private(set) var text: String

    init(stringLiteral value: String) { text = value }
    init(stringInterpolation: Interpolation) { text = stringInterpolation.text }

    private init(raw: String) { text = raw }

    /// Several pieces, one after another.
    static func joined(_ pieces: [HTML]) -> HTML {
        HTML(raw: pieces.map(\.text).joined())
    }

    struct Interpolation: StringInterpolationProtocol {
        var text = ""
        init(literalCapacity: Int, interpolationCount: Int) {
            text.reserveCapacity(literalCapacity + interpolationCount * 16)
        }
        mutating func appendLiteral(_ literal: String) { text += literal }
        mutating func appendInterpolation(_ html: HTML) { text += html.text }
        /// Text and attribute values: escaped for both.
        mutating func appendInterpolation(_ value: String) {
            for character in value.unicodeScalars {
                switch character {
                case "&": text += "&amp;"
                case "<": text += "&lt;"
                case ">": text += "&gt;"
                case "\"": text += "&quot;"
                case "'": text += "&#39;"
                default: text.unicodeScalars.append(character)
                }
            }
        }
        mutating func appendInterpolation(_ value: Int) { text += "\(value)" }
    }
}

/// One page for people: the frame around its content, and the headers that keep it to itself.
struct Page: Sendable {
    var title: String
    var content: HTML

    /// Renders the page.
    /// - Parameters:
    ///   - origins: where a form post may be redirected to. Chromium applies `form-action` to the
    ///     redirects that follow a post, so the clients' origins must be listed, or signing in would
    ///     end at a blank page.
    func response(status: Int, isSecure: Bool, origins: [String]) -> HTTPResponse {
        let formTargets = (["'self'"] + origins).joined(separator: " ")
        var response = HTTPResponse(
            status: status,
            fields: [
                "content-type": "text/html; charset=utf-8", "cache-control": "no-store",
                "content-security-policy":
                    "default-src 'none'; style-src '\(PageStyle.source)'; img-src data:; "
                    + "form-action \(formTargets); frame-ancestors 'none'; base-uri 'none'",
                "x-frame-options": "DENY", "x-content-type-options": "nosniff",
                "referrer-policy": "no-referrer", "cross-origin-opener-policy": "same-origin",
                "permissions-policy": "interest-cohort=()",
            ], body: Array(html.utf8))
        if isSecure {
            response.fields.set("strict-transport-security", "max-age=31536000")
        }
        return response
    }

    private var html: String {
        let head: HTML = """
            <!doctype html><html lang="en"><head><meta charset="utf-8">\
            <meta name="viewport" content="width=device-width, initial-scale=1">\
            <meta name="color-scheme" content="light dark">\
            <title>\(title) · Chat</title><link rel="icon" href="data:,">
            """
        let body: HTML = """
            </head><body><main><header><svg viewBox="0 0 48 48" aria-hidden="true">\
            <path d="M24 5c11 0 19 7 19 16.5S35 38 24 38c-2.3 0-4.5-.3-6.5-.9L8 42l2-8.3C6.9 30.7 5 26.4 \
            5 21.5 5 12 13 5 24 5z"/><g><path d="M15.5 21.5h0"/>\
            <path d="M21 15.5a8.5 8.5 0 010 12M27 12a13.5 13.5 0 010 19M33 9.5a18 18 0 010 24"/></g>\
            </svg><span>Chat</span></header><h1>\(title)</h1>\(content)</main></body></html>
            """
        return head.text + "<style>" + PageStyle.text + "</style>" + body.text
    }
}

/// The one style sheet, inline: nothing is fetched, and its hash is all the policy allows.
enum PageStyle {
    static let source =
        "sha256-" + Base64.string(SHA256.digest(text), alphabet: .standard)

    static let text = """
        :root{color-scheme:light dark;--back:#f3f0ea;--card:#fff;--ink:#1e1d1a;--soft:#5f5b52;\
        --line:#e4dfd5;--accent:#146c5f;--accent-ink:#fff;--bad:#b3261e;--bad-back:#fbe9e7}
        @media (prefers-color-scheme:dark){:root{--back:#1b1c21;--card:#24262c;--ink:#ecebe7;\
        --soft:#b0aea6;--line:#363942;--accent:#58c7b0;--accent-ink:#06231d;--bad:#ff9b8f;\
        --bad-back:#3b1d1a}}
        *{box-sizing:border-box}
        body{margin:0;min-height:100vh;display:grid;place-items:center;padding:24px;\
        background:var(--back);color:var(--ink);\
        font:16px/1.5 Inter,"Segoe UI",system-ui,-apple-system,Roboto,sans-serif}
        main{width:100%;max-width:400px;background:var(--card);border:1px solid var(--line);\
        border-radius:16px;padding:32px;box-shadow:0 8px 32px rgb(0 0 0/.06)}
        header{display:flex;align-items:center;gap:8px;font-weight:650;color:var(--accent)}
        header svg{width:28px;height:28px;fill:currentColor}
        header g{fill:none;stroke:var(--card);stroke-width:3;stroke-linecap:round}
        h1{font-size:1.5rem;line-height:1.25;margin:20px 0 4px}
        h2{font-size:1rem;margin:28px 0 8px}
        p{margin:8px 0;color:var(--soft)}
        form{margin:16px 0 0}
        label{display:block;font-weight:550;margin:16px 0 6px}
        input{width:100%;font:inherit;color:inherit;background:transparent;padding:10px 12px;\
        border:1px solid var(--line);border-radius:10px}
        input[type=hidden]{display:none}
        input:focus-visible,button:focus-visible,a:focus-visible{outline:3px solid var(--accent);\
        outline-offset:2px}
        button{width:100%;margin-top:24px;padding:11px 16px;font:inherit;font-weight:600;border:0;\
        border-radius:10px;background:var(--accent);color:var(--accent-ink);cursor:pointer}
        button:hover{filter:brightness(1.08)}
        button.plain{background:transparent;color:var(--ink);border:1px solid var(--line);\
        margin-top:12px}
        a{color:var(--accent)}
        .hint{font-size:.875rem;margin:6px 0 0}
        .foot{margin-top:24px;text-align:center}
        .error{margin:16px 0 0;padding:10px 12px;border-radius:10px;background:var(--bad-back);\
        color:var(--bad)}
        ul{list-style:none;margin:0;padding:0}
        li{padding:14px 0;border-top:1px solid var(--line)}
        li form{margin:0}
        li button{width:auto;margin-top:8px;padding:6px 12px;font-size:.875rem}
        li strong{overflow-wrap:anywhere}
        """
}

extension AuthAPI {
    /// - Parameter guarding: the guard of the form on the page, whose cookie must go along.
    func page(_ page: Page, status: Int = 200, guarding: FormGuard? = nil) -> HTTPResponse {
        var response = page.response(
            status: status, isSecure: cookies.isSecure, origins: clientOrigins())
        if let fresh = guarding?.freshCookie {
            cookies.set(.form, fresh, lifetime: nil, on: &response)
        }
        return response
    }

    /// A page that says why something went wrong, and nothing to click but the way back.
    func errorPage(_ status: Int, _ title: String, _ text: String) -> HTTPResponse {
        page(
            Page(
                title: title,
                content: """
                    <p role="alert">\(text)</p>\
                    <p class="foot"><a href="/account">Go to your account</a></p>
                    """), status: status)
    }

    func storeFailedPage(_ status: Int) -> HTTPResponse {
        errorPage(
            status, "Not at the moment",
            "The service cannot do this right now. Please try again in a little while.")
    }

    func forgedPostPage() -> HTTPResponse {
        errorPage(
            403, "Please try again",
            "This form was not sent from our page, or the page was open for too long. Reload it and "
                + "send it once more.")
    }
}
