// SPDX-License-Identifier: MIT
package import HTTPServer
internal import JWT
internal import ServiceRuntime

/// The REST routes of NotificationService. All of them ask the store, so all run on worker threads.
package enum NotificationRoutes {
    package static func add(to router: inout Router, context: NotificationContext) {
        EndpointRoutes(context).add(to: &router)
        DeliveryRoutes(context).add(to: &router)
        AlertRoutes(context).add(to: &router)
    }
}

extension NotificationContext {
    /// A handler behind the gate: the caller's claims, then what the route does, then the answer.
    func handler(
        scope: String,
        _ run: @escaping @Sendable (HTTPRequest, AccessTokenClaims) throws(Refusal) -> HTTPResponse
    ) -> Router.Handler {
        .blocking { [gate] request in
            switch gate.authorize(request, scope: scope) {
            case .refused(let response): return response
            case .admitted(let claims):
                do throws(Refusal) {
                    return try run(request, claims)
                } catch {
                    return error.response
                }
            }
        }
    }
}
